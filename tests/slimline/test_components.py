"""What the components' constructors refuse when a pipeline is built, and what they promise to stay the same."""

from typing import Any, get_args

import pytest
from tfx.types import standard_artifacts

from slimline import (
    CalibrationDataset,
    CalibrationSampler,
    Clusterer,
    ClusteringConfig,
    EdgeEvaluation,
    EdgeValidator,
    ExamplesConfig,
    GateConfig,
    Pruner,
    PruningConfig,
    PruningRule,
    QatConfig,
    QuantizationConfig,
    Quantizer,
    SamplingConfig,
    Threshold,
    Wishes,
)
from slimline.core.schemes import Scheme
from slimline.errors import ConfigError
from tests.artifacts import channel

MODEL = channel(standard_artifacts.Model)
EXAMPLES = channel(standard_artifacts.Examples)
SCHEMA = channel(standard_artifacts.Schema)
CALIBRATION = channel(CalibrationDataset)
DATA = ExamplesConfig(label_key="digit")
WRONG_KIND: Any = ClusteringConfig()
GATE = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.01),))


def quantizer(scheme="int8", **inputs):
    return Quantizer(model=MODEL, config=QuantizationConfig(scheme=scheme), **inputs)


def advised(target, priority="size", **inputs):
    wishes = Wishes(target=target, priority=priority)
    return Quantizer(model=MODEL, config=QuantizationConfig(scheme="auto", wishes=wishes), **inputs)


def trained(**inputs):
    return Quantizer(model=MODEL, config=QuantizationConfig(scheme="int8", training="qat"), **inputs)


def unchecked(**options: Any) -> Any:
    """Hides options from the type checker, which refuses them before the test could."""
    return options


def validator(candidates):
    return EdgeValidator(
        baseline=MODEL, candidates=candidates, examples=EXAMPLES, schema=SCHEMA, config=GATE, data=DATA
    )


def test_executor_paths_are_public_api():
    paths = {
        component.__name__: f"{component.EXECUTOR_SPEC.executor_class.__module__}."
        f"{component.EXECUTOR_SPEC.executor_class.__qualname__}"
        for component in (Pruner, Clusterer, CalibrationSampler, Quantizer, EdgeValidator)
    }
    assert paths == {
        "Pruner": "slimline.pruner.executor.PrunerExecutor",
        "Clusterer": "slimline.clusterer.executor.ClustererExecutor",
        "CalibrationSampler": "slimline.calibration_sampler.executor.CalibrationSamplerExecutor",
        "Quantizer": "slimline.quantizer.executor.QuantizerExecutor",
        "EdgeValidator": "slimline.edge_validator.executor.EdgeValidatorExecutor",
    }


@pytest.mark.parametrize(
    ("mistake", "hint"),
    [
        (lambda: QuantizationConfig(scheme="int_8"), "Did you mean 'int8'"),
        (lambda: QuantizationConfig(**unchecked(sceme="int8")), "Did you mean 'scheme'"),
        (lambda: GateConfig(thresholds=(Threshold(metric="acuracy", max_drop=0.1),)), "Did you mean 'accuracy'"),
        (lambda: Threshold(**unchecked(metric="accuracy", max_dorp=0.1)), "Did you mean 'max_drop'"),
        (lambda: Threshold(metric="accuracy"), "at least one of max_drop"),
        (lambda: GateConfig(thresholds=(Threshold(metric="accuracy", max_value=0.5),)), "more is better"),
        (lambda: GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0, slice="*"),)), "slices=..."),
        (lambda: GateConfig(thresholds=()), "at least 1 item"),
        (lambda: PruningConfig(target_sparsity=1.0), "less than 1"),
        (lambda: PruningConfig(target_sparsity=0.5, schedule="constant", ramp=0.5), "constant has neither"),
        (lambda: PruningConfig(target_sparsity=0.5, initial_sparsity=0.5), "under every target_sparsity"),
        (lambda: PruningConfig(epochs=0), "greater than or equal to 1"),
        (lambda: ClusteringConfig(num_clusters=2), "greater than or equal to 3"),
        (lambda: SamplingConfig(num_records=0), "greater than or equal to 1"),
        (lambda: ExamplesConfig(**unchecked()), "label_key"),
        (lambda: quantizer("int8"), "without calibration records"),
        (lambda: quantizer("float16", calibration=CALIBRATION), "give data and schema too"),
        (lambda: quantizer("int8", calibration=CALIBRATION), "give data and schema too"),
        (lambda: trained(), "give data and examples and schema too"),
        (lambda: quantizer("float16", examples=EXAMPLES), "leave examples out"),
        (lambda: QuantizationConfig(scheme="int16x8", training="qat"), "TFMOT trains for int8 alone"),
        (lambda: QuantizationConfig(scheme="int8", qat=QatConfig()), "without effect otherwise"),
        (lambda: PruningConfig(structure="block"), "block_size with structure='block'"),
        (lambda: PruningConfig(block_pooling="max"), "block_pooling belongs to structure='block'"),
        (lambda: PruningConfig(structure="m_by_n", m_by_n=(4, 4)), "m at least 1 and under n"),
        (lambda: PruningConfig(structure="m_by_n", m_by_n=(2, 4), target_sparsity=0.7), "neither target_sparsity"),
        (lambda: PruningConfig(scope="model", rules=(PruningRule(target_sparsity=0),)), "either rules or scope"),
        (lambda: ExamplesConfig(label_key="y", label_is_input=True), "either label_key"),
        (lambda: ExamplesConfig(input_fn="m.f", preprocessing_fn="m.g"), "either preprocessing_fn or input_fn"),
        (lambda: ExamplesConfig(label_key="y", input_fn="m.f"), "no label_key"),
        (lambda: quantizer("float16", schema=SCHEMA), "leave schema out"),
        (
            lambda: quantizer("int8", calibration=CALIBRATION, schema=SCHEMA, data=DATA, examples=EXAMPLES),
            "examples out",
        ),
        (lambda: QuantizationConfig(scheme="auto"), "scheme='auto' with wishes"),
        (lambda: advised("edgetpu"), "target='edgetpu' without any records"),
        (lambda: advised("cpu", calibration=CALIBRATION), "give data and schema too"),
        (lambda: advised("cpu", schema=SCHEMA), "leave schema out"),
        (lambda: advised("cpu", examples=EXAMPLES, data=DATA), "give schema too"),
        (lambda: validator([]), "1 to 16"),
        (lambda: validator([channel(standard_artifacts.Model, "Q")] * 2), "the candidate 'Q' twice"),
        (lambda: Pruner(MODEL, EXAMPLES, SCHEMA, config=WRONG_KIND, data=DATA), "a PruningConfig"),
    ],
)
def test_mistakes_are_refused_when_the_pipeline_is_built(mistake, hint):
    with pytest.raises(ConfigError) as refused:
        mistake()
    assert hint in str(refused.value)


@pytest.mark.parametrize("scheme", get_args(Scheme))
def test_calibration_is_taken_by_every_scheme(scheme):
    node = quantizer(scheme, calibration=CALIBRATION, schema=SCHEMA, data=DATA)
    assert set(node.inputs) == {"model", "calibration", "schema"}


@pytest.mark.parametrize(
    ("target", "priority", "inputs"),
    [
        ("cpu", "size", ()),
        ("gpu", "accuracy", ()),
        ("cpu", "latency", ("calibration",)),
        ("edgetpu", "size", ("calibration",)),
        ("micro", "accuracy", ("calibration", "examples")),
        ("cpu", "size", ("calibration", "examples")),
        ("hexagon", "latency", ("calibration", "examples")),
    ],
)
def test_auto_takes_whatever_data_there_are_and_stays_undecided(target, priority, inputs):
    channels = {"calibration": CALIBRATION, "examples": EXAMPLES}
    given = {name: channels[name] for name in inputs}
    if inputs:
        given |= {"schema": SCHEMA, "data": DATA}
    node = advised(target, priority, **given)
    assert QuantizationConfig.from_json(node.exec_properties["config"]).scheme == "auto"
    assert set(node.inputs) == {"model", *given} - {"data"}


def test_a_channel_of_another_type_is_refused():
    with pytest.raises(TypeError):
        Pruner(EXAMPLES, EXAMPLES, SCHEMA, config=PruningConfig(), data=DATA)


def test_the_validator_has_all_outputs_that_tfxs_pusher_reads():
    types = {key: found.type for key, found in validator([MODEL]).outputs.items()}
    assert types == {
        "blessing": standard_artifacts.ModelBlessing,
        "infra_blessing": standard_artifacts.InfraBlessing,
        "blessed_model": standard_artifacts.Model,
        "evaluation": EdgeEvaluation,
    }


def test_candidates_are_named_after_their_nodes():
    node = quantizer("float16").with_id("Quantizer-half")
    parameters = validator([node.outputs["quantized_model"], MODEL]).exec_properties
    assert parameters["candidate_names"] == '["Quantizer-half", "candidate-2"]'


def test_parameters_are_strings_only():
    components = [
        Pruner(MODEL, EXAMPLES, SCHEMA, config=PruningConfig(), data=DATA),
        Clusterer(MODEL, EXAMPLES, SCHEMA, config=ClusteringConfig(), data=DATA),
        CalibrationSampler(EXAMPLES),
        quantizer("float16"),
        validator([MODEL]),
    ]
    for component in components:
        assert all(isinstance(value, str) for value in component.exec_properties.values())
        assert component.exec_properties["component_version"]
