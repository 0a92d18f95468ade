"""The shortest pipeline that has every step an audit follows: sample, prune, quantize twice, gate, push."""

from pathlib import Path

from ml_metadata.proto import metadata_store_pb2
from tfx.components import ImportExampleGen, Pusher, SchemaGen, StatisticsGen, Trainer
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, pusher_pb2, trainer_pb2

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
    Strata,
    Threshold,
)
from slimline_pipelines.digits.data import LABEL_KEY, write_examples

GATE = GateConfig(thresholds=(Threshold(metric="accuracy", max_drop=0.05),))


def create_pipeline(root: str, gate: GateConfig = GATE) -> Pipeline:
    write_examples(Path(root))
    splits = [example_gen_pb2.Input.Split(name=name, pattern=f"{name}/*") for name in ("train", "eval")]
    example_gen = ImportExampleGen(input_base=f"{root}/data", input_config=example_gen_pb2.Input(splits=splits))
    examples = example_gen.outputs["examples"]
    statistics_gen = StatisticsGen(examples=examples)
    schema_gen = SchemaGen(statistics=statistics_gen.outputs["statistics"], infer_feature_shape=True)
    schema = schema_gen.outputs["schema"]
    trainer = Trainer(
        run_fn="slimline_pipelines.digits.trainer.run_fn",
        examples=examples,
        schema=schema,
        train_args=trainer_pb2.TrainArgs(num_steps=215),
        eval_args=trainer_pb2.EvalArgs(),
    )
    model, data = trainer.outputs["model"], ExamplesConfig(label_key=LABEL_KEY)
    pruner = Pruner(model, examples, schema, PruningConfig(target_sparsity=0.3, epochs=2), data)
    sampling = SamplingConfig(num_records=64, strata=Strata(feature=LABEL_KEY, min_records=2))
    sampler = CalibrationSampler(examples, sampling, model, schema, data)
    calibrated = {"calibration": sampler.outputs["calibration"], "schema": schema, "data": data}
    pruned = pruner.outputs["pruned_model"]
    quantizers = [
        Quantizer(pruned, QuantizationConfig(scheme=scheme), **calibrated).with_id(f"Quantizer-{scheme}")
        for scheme in ("float16", "int8")
    ]
    candidates = [quantizer.outputs["quantized_model"] for quantizer in quantizers]
    validator = EdgeValidator(model, candidates, examples, schema, gate, data)
    pusher = Pusher(
        model=validator.outputs["blessed_model"],
        model_blessing=validator.outputs["blessing"],
        infra_blessing=validator.outputs["infra_blessing"],
        push_destination=pusher_pb2.PushDestination(
            filesystem=pusher_pb2.PushDestination.Filesystem(base_directory=f"{root}/serving")
        ),
    )
    store = metadata_store_pb2.ConnectionConfig()
    store.sqlite.filename_uri = f"{root}/metadata.sqlite"
    store.sqlite.connection_mode = metadata_store_pb2.SqliteMetadataSourceConfig.READWRITE_OPENCREATE
    before = [example_gen, statistics_gen, schema_gen, trainer, pruner, sampler]
    return Pipeline(
        pipeline_name="audited",
        pipeline_root=f"{root}/artifacts",
        components=[*before, *quantizers, validator, pusher],
        metadata_connection_config=store,
    )
