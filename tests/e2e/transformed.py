"""The digits behind a Transform: everything after it reads transformed Examples and the post-transform schema."""

from pathlib import Path

import tensorflow as tf
from ml_metadata.proto import metadata_store_pb2
from tfx.components import ImportExampleGen, SchemaGen, StatisticsGen, Trainer, Transform
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, trainer_pb2

from slimline import (
    CalibrationSampler,
    EdgeValidator,
    ExamplesConfig,
    GateConfig,
    Pruner,
    PruningConfig,
    QuantizationConfig,
    Quantizer,
    SamplingConfig,
    Threshold,
)
from slimline_pipelines.digits.data import write_examples


def preprocessing_fn(inputs: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Doubles the grey levels: a model that is fed raw images does worse."""
    return {"image": inputs["image"] * 2.0, "digit": inputs["digit"]}


def create_pipeline(root: str) -> Pipeline:
    write_examples(Path(root))
    splits = [example_gen_pb2.Input.Split(name=name, pattern=f"{name}/*") for name in ("train", "eval")]
    example_gen = ImportExampleGen(input_base=f"{root}/data", input_config=example_gen_pb2.Input(splits=splits))
    statistics_gen = StatisticsGen(examples=example_gen.outputs["examples"])
    schema_gen = SchemaGen(statistics=statistics_gen.outputs["statistics"], infer_feature_shape=True)
    transform = Transform(
        examples=example_gen.outputs["examples"],
        schema=schema_gen.outputs["schema"],
        preprocessing_fn="tests.e2e.transformed.preprocessing_fn",
    )
    examples, schema = transform.outputs["transformed_examples"], transform.outputs["post_transform_schema"]
    trainer = Trainer(
        run_fn="slimline_pipelines.digits.trainer.run_fn",
        examples=examples,
        schema=schema,
        transform_graph=transform.outputs["transform_graph"],
        train_args=trainer_pb2.TrainArgs(num_steps=215),
        eval_args=trainer_pb2.EvalArgs(),
    )
    data = ExamplesConfig(label_key="digit")
    config = PruningConfig(target_sparsity=0.5, epochs=2)
    pruner = Pruner(trainer.outputs["model"], examples, schema, config, data)
    sampler = CalibrationSampler(examples, SamplingConfig(num_records=64), trainer.outputs["model"], schema, data)
    calibrated = {"calibration": sampler.outputs["calibration"], "schema": schema, "data": data}
    quantizer = Quantizer(pruner.outputs["pruned_model"], QuantizationConfig(scheme="int8"), **calibrated)
    gate = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.03),))
    candidates = [quantizer.outputs["quantized_model"]]
    validator = EdgeValidator(trainer.outputs["model"], candidates, examples, schema, gate, data)
    store = metadata_store_pb2.ConnectionConfig()
    store.sqlite.filename_uri = f"{root}/metadata.sqlite"
    store.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return Pipeline(
        pipeline_name="transformed",
        pipeline_root=f"{root}/artifacts",
        components=[
            example_gen, statistics_gen, schema_gen, transform, trainer, pruner, sampler, quantizer, validator,
        ],
        metadata_connection_config=store,
    )  # fmt: skip
