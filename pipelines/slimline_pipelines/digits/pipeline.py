"""The pipeline: from the digits' files to a pushed edge model."""

from ml_metadata.proto import metadata_store_pb2
from tfx.components import (
    ExampleValidator,
    ImportExampleGen,
    Pusher,
    SchemaGen,
    StatisticsGen,
    Trainer,
)
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, pusher_pb2, trainer_pb2
from tfx.types.channel import BaseChannel

from slimline import (
    CalibrationSampler,
    Clusterer,
    EdgeValidator,
    ExamplesConfig,
    GateConfig,
    Pruner,
    QuantizationConfig,
    Quantizer,
    SamplingConfig,
    Strata,
    Threshold,
)
from slimline_pipelines.digits.data import LABEL_KEY
from slimline_pipelines.digits.recipe import CLUSTERING, PRUNING, QAT

NAME = "digits"
_TRAIN_STEPS = 860
GATE = GateConfig(
    thresholds=(Threshold(metric="accuracy", max_drop=0.02, min_value=0.95),),
    goal="smallest",
)


def create_pipeline(root: str, gate: GateConfig = GATE) -> Pipeline:
    """Builds the pipeline; the same one for every runner.

    Args:
      root: Folder or URI that holds data, artifacts, metadata and pushed models. `write_examples` fills its `data`.
      gate: What a candidate must keep to be pushed.
    """
    data = ExamplesConfig(label_key=LABEL_KEY)
    example_gen = ImportExampleGen(
        input_base=f"{root}/data",
        input_config=example_gen_pb2.Input(
            splits=[
                example_gen_pb2.Input.Split(name="train", pattern="train/*"),
                example_gen_pb2.Input.Split(name="eval", pattern="eval/*"),
            ]
        ),
    )
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = SchemaGen(statistics=statistics_gen.outputs["statistics"], infer_feature_shape=True)
    schema = schema_gen.outputs["schema"]
    example_validator = ExampleValidator(statistics=statistics_gen.outputs["statistics"], schema=schema)
    trainer = Trainer(
        run_fn="slimline_pipelines.digits.trainer.run_fn",
        examples=examples,
        schema=schema,
        train_args=trainer_pb2.TrainArgs(num_steps=_TRAIN_STEPS),
        eval_args=trainer_pb2.EvalArgs(),
    )
    pruner = Pruner(
        model=trainer.outputs["model"],
        examples=examples,
        schema=schema,
        config=PRUNING,
        data=data,
    )
    clusterer = Clusterer(
        model=pruner.outputs["pruned_model"],
        examples=examples,
        schema=schema,
        config=CLUSTERING,
        data=data,
    )
    sampler = CalibrationSampler(
        examples=examples,
        config=SamplingConfig(num_records=256, strata=Strata(feature=LABEL_KEY, min_records=10)),
        model=trainer.outputs["model"],
        schema=schema,
        data=data,
    )
    quantizers = _quantizers(
        clusterer.outputs["clustered_model"], sampler.outputs["calibration"], examples, schema, data
    )
    validator = EdgeValidator(
        baseline=trainer.outputs["model"],
        candidates=[quantizer.outputs["quantized_model"] for quantizer in quantizers],
        examples=examples,
        schema=schema,
        config=gate,
        data=data,
    )
    pusher = Pusher(
        model=validator.outputs["blessed_model"],
        model_blessing=validator.outputs["blessing"],
        infra_blessing=validator.outputs["infra_blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=f"{root}/serving")
        ),
    )
    components = [example_gen, statistics_gen, schema_gen, example_validator, trainer, pruner, clusterer, sampler]
    return Pipeline(
        pipeline_name=NAME,
        pipeline_root=f"{root}/artifacts",
        components=[*components, *quantizers, validator, pusher],
        metadata_connection_config=_sqlite(f"{root}/metadata.sqlite"),
        enable_cache=True,
    )


def _quantizers(
    model: BaseChannel, calibration: BaseChannel, examples: BaseChannel, schema: BaseChannel, data: ExamplesConfig
) -> list[Quantizer]:
    """One node per scheme, side by side, and int8 once more with training. Kubeflow takes no underscore in an id."""
    calibrated = {"calibration": calibration, "schema": schema, "data": data}
    return [
        Quantizer(model=model, config=QuantizationConfig(scheme="float16"), **calibrated).with_id("Quantizer-float16"),
        Quantizer(model=model, config=QuantizationConfig(scheme="dynamic_range"), **calibrated).with_id(
            "Quantizer-dynamic-range"
        ),
        Quantizer(model=model, config=QuantizationConfig(scheme="int8"), **calibrated).with_id("Quantizer-int8"),
        Quantizer(model=model, config=QuantizationConfig(scheme="int16x8"), **calibrated).with_id("Quantizer-int16x8"),
        Quantizer(
            model=model,
            config=QuantizationConfig(scheme="int8", training="qat", qat=QAT),
            examples=examples,
            **calibrated,
        ).with_id("Quantizer-int8-qat"),
    ]


def _sqlite(path: str) -> metadata_store_pb2.ConnectionConfig:
    """Names the store without touching the disk: the pipeline is also compiled, for roots that are not here."""
    config = metadata_store_pb2.ConnectionConfig()
    config.sqlite.filename_uri = path
    config.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    return config
