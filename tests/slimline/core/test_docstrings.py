"""The examples in docstrings are run as they stand."""

import doctest
import importlib

import pytest
import tf_keras


@pytest.mark.parametrize(
    "module",
    [
        "optimization.pruning",
        "optimization.clustering",
        "optimization.qat",
        "quantization.conversion",
        "inspection",
        "sampling.rank",
    ],
)
def test_examples_give_what_they_say(module):
    # They name layers as Keras does in a fresh process.
    tf_keras.backend.clear_session()
    result = doctest.testmod(importlib.import_module(f"slimline.core.{module}"))
    assert result.attempted
    assert not result.failed
