import numpy as np
import pytest

from slimline.core.optimization.pruning import prune
from slimline.core.optimization.pruning_config import PruningConfig
from slimline.errors import ModelError
from tests import zoo
from tests.zoo import NUM_EXAMPLES

TRAIN_FN = """
def nothing(model, dataset, epochs, callbacks):
    pass

def only_the_begin(model, dataset, epochs, callbacks):
    callbacks[0].set_model(model)
    callbacks[0].on_train_begin()
    model.fit(dataset, epochs=epochs, verbose=0)
"""


def pruned(specimen, **options):
    config = PruningConfig(target_sparsity=0.5, batch_size=16, epochs=1, **options)
    return prune(specimen.model, specimen.dataset(config.batch_size), NUM_EXAMPLES, config)


@pytest.mark.parametrize(("function", "zeros"), [("nothing", "0.000"), ("only_the_begin", "0.1")])
def test_pruning_that_the_users_own_training_left_out_is_an_error_of_each_kernel(
    tmp_path, monkeypatch, function, zeros
):
    (tmp_path / "careless_training.py").write_text(TRAIN_FN)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModelError, match="hand on the callbacks in train_fn") as refused:
        pruned(zoo.autoencoder(), train_fn=f"careless_training.{function}")
    encode, decode = refused.value.found.split("; ")
    assert encode.startswith(f"encode/kernel has {zeros}")
    assert encode.endswith("zeros, not 0.500")
    assert decode.startswith(f"decode/kernel has {zeros}")


def test_a_kernel_of_too_few_values_to_be_pruned_is_named():
    """Of equal weights TFMOT takes all or none, and half of these are the largest."""
    specimen = zoo.autoencoder()
    kernel = specimen.model.get_layer("encode").kernel
    small = np.arange(kernel.shape.num_elements()).reshape(kernel.shape) % 4 == 0
    kernel.assign(np.where(small, 0.1, 0.5))
    with pytest.raises(ModelError, match="prune before clustering") as refused:
        pruned(specimen, learning_rate=1e-7)
    assert "encode/kernel has 0.2" in refused.value.found
    assert "decode" not in refused.value.found
