"""Writes metadata stores of any size, with the rows that TFX and Slimline's components leave for their runs."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ml_metadata.metadata_store.metadata_store import MetadataStore
from ml_metadata.proto import metadata_store_pb2 as pb

from slimline.names import metadata_keys

_PIPELINE = "digits"


@dataclass(frozen=True)
class Step:
    """A component of the pipeline.

    Attributes:
      node: Its id.
      type: Class path of its executions.
      inputs: Key, and the output that it takes, as `node.key`.
      outputs: Type of the artifact by key.
    """

    node: str
    type: str
    inputs: Mapping[str, str] = field(default_factory=dict)
    outputs: Mapping[str, str] = field(default_factory=dict)


_TFX = "tfx.components"
_MODEL_OUTPUTS = {"quantized_model": "Model", "report": "HyperParameters", "graph": "String"}
# Ten executions with thirty artifacts, which is what the pipeline of the demo comes to.
STEPS = (
    Step("ImportExampleGen", f"{_TFX}.ImportExampleGen", outputs={"examples": "Examples"}),
    Step("StatisticsGen", f"{_TFX}.StatisticsGen", {"examples": "ImportExampleGen.examples"}, {"statistics": "Stats"}),
    Step("SchemaGen", f"{_TFX}.SchemaGen", {"statistics": "StatisticsGen.statistics"}, {"schema": "Schema"}),
    Step(
        "Trainer",
        f"{_TFX}.Trainer",
        {"examples": "ImportExampleGen.examples", "schema": "SchemaGen.schema"},
        {"model": "Model", "model_run": "ModelRun", "log": "String", "history": "String"},
    ),
    Step(
        "CalibrationSampler",
        "slimline.CalibrationSampler",
        {"examples": "ImportExampleGen.examples"},
        {"calibration_examples": "Examples", "statistics": "Stats", "list": "String"},
    ),
    *(
        Step(
            f"Quantizer-{scheme}",
            "slimline.Quantizer",
            {"model": "Trainer.model", "calibration_examples": "CalibrationSampler.calibration_examples"},
            _MODEL_OUTPUTS,
        )
        for scheme in ("float16", "int8", "int16x8")
    ),
    Step(
        "EdgeValidator",
        "slimline.EdgeValidator",
        {
            "baseline": "Trainer.model",
            "examples": "ImportExampleGen.examples",
            "candidate_01": "Quantizer-float16.quantized_model",
            "candidate_02": "Quantizer-int8.quantized_model",
            "candidate_03": "Quantizer-int16x8.quantized_model",
        },
        {
            "blessed_model": "Model",
            "blessing": "ModelBlessing",
            "evaluation": "ModelEvaluation",
            "metrics": "String",
            "page": "String",
            **{f"detail_{number}": "String" for number in range(5)},
        },
    ),
    Step(
        "Pusher",
        f"{_TFX}.Pusher",
        {"model": "EdgeValidator.blessed_model", "model_blessing": "EdgeValidator.blessing"},
        {"pushed_model": "PushedModel"},
    ),
)


class StoreWriter:
    """Adds runs to a store.

    Attributes:
      store: Opened for writing.
      folder: Below which the artifacts are said to lie; nothing is written there.
    """

    def __init__(self, store: MetadataStore, folder: Path) -> None:
        self.store, self.folder, self.num_runs = store, folder, 0
        self._types: dict[tuple[type, str], int] = {}
        (self._pipeline,) = self._put_contexts("pipeline", [_PIPELINE])
        self._nodes = self._put_contexts("node", [f"{_PIPELINE}.{step.node}" for step in STEPS])

    def add_run(self) -> dict[str, int]:
        """Adds one run; returns the ids of its artifacts by `node.key`."""
        self.num_runs += 1
        (run,) = self._put_contexts("pipeline_run", [f"run-{self.num_runs}"])
        self.store.put_parent_contexts([pb.ParentContext(child_id=run, parent_id=self._pipeline)])
        artifacts: list[pb.Artifact] = []
        edges: list[tuple[int, int, pb.Event]] = []
        places: dict[str, int] = {}
        for number, step in enumerate(STEPS):
            for key, type_name in step.outputs.items():
                places[f"{step.node}.{key}"] = len(artifacts)
                edges.append((number, len(artifacts), _event(pb.Event.OUTPUT, key)))
                artifacts.append(self._artifact(step, key, type_name))
            edges += [(number, places[source], _event(pb.Event.INPUT, key)) for key, source in step.inputs.items()]
        executions = [self._execution(step) for step in STEPS]
        execution_ids, artifact_ids, _ = self.store.put_lineage_subgraph(executions, artifacts, [], edges)
        self._associate(execution_ids, artifact_ids, run)
        return {name: artifact_ids[index] for name, index in places.items()}

    def _associate(self, execution_ids: list[int], artifact_ids: list[int], run: int) -> None:
        contexts = ((id_, (self._pipeline, run, node)) for id_, node in zip(execution_ids, self._nodes, strict=True))
        associations = [pb.Association(execution_id=id_, context_id=c) for id_, three in contexts for c in three]
        attributions = [
            pb.Attribution(artifact_id=id_, context_id=c) for id_ in artifact_ids for c in (self._pipeline, run)
        ]
        self.store.put_attributions_and_associations(attributions, associations)

    def _artifact(self, step: Step, key: str, type_name: str) -> pb.Artifact:
        uri = self.folder / _PIPELINE / step.node / key / str(self.num_runs)
        artifact = pb.Artifact(type_id=self._type(pb.ArtifactType, type_name), uri=str(uri), state=pb.Artifact.LIVE)
        properties: dict[str, str | int] = {
            "producer_component": step.node,
            "pipeline_name": _PIPELINE,
            "tfx_version": "1.16.0",
        }
        if step.type.startswith("slimline."):
            digest = "sha256:" + hashlib.sha256(str(uri).encode()).hexdigest()
            properties |= {
                metadata_keys.CONTENT_DIGEST: digest,
                metadata_keys.STEP_DIGEST: digest,
                metadata_keys.MANIFEST_DIGEST: digest,
                metadata_keys.PROVENANCE_ID: f"slimline-{digest[7:39]}",
            }
        if type_name == "PushedModel":
            properties |= {
                "pushed": 1,
                metadata_keys.PUSHED_DESTINATION: str(self.folder / "serving" / str(self.num_runs)),
            }
        _fill(artifact.custom_properties, properties)
        return artifact

    def _execution(self, step: Step) -> pb.Execution:
        execution = pb.Execution(
            type_id=self._type(pb.ExecutionType, step.type), last_known_state=pb.Execution.COMPLETE
        )
        # Of the length that a configuration has.
        _fill(
            execution.custom_properties,
            {"config": json.dumps({f"option_{n}": n for n in range(12)}), "module_path": "digits@1.0"},
        )
        return execution

    def _type(self, kind: type, name: str) -> int:
        if (kind, name) not in self._types:
            put = {pb.ArtifactType: self.store.put_artifact_type, pb.ExecutionType: self.store.put_execution_type}[kind]
            self._types[kind, name] = put(kind(name=name))
        return self._types[kind, name]

    def _put_contexts(self, kind: str, names: list[str]) -> list[int]:
        type_id = self.store.put_context_type(pb.ContextType(name=kind))
        return list(self.store.put_contexts([pb.Context(type_id=type_id, name=name) for name in names]))


def _event(kind: int, key: str) -> pb.Event:
    event = pb.Event(type=kind)
    event.path.steps.add().key = key
    event.path.steps.add().index = 0
    return event


def _fill(target: Mapping[str, pb.Value], properties: Mapping[str, str | int]) -> None:
    for name, value in properties.items():
        if isinstance(value, int):
            target[name].int_value = value
        else:
            target[name].string_value = value
