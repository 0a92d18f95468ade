"""The compiled pipeline is a golden: `SLIMLINE_UPDATE_GOLDENS=1 make test` writes it anew after a wanted change."""

import json
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.protobuf import json_format
from kfp import components, dsl, kubernetes
from kfp.compiler import Compiler, KubernetesManifestOptions
from kfp.kubernetes import kubernetes_executor_config_pb2
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components import CsvExampleGen, ImportExampleGen, InfraValidator, StatisticsGen, Trainer
from tfx.dsl.component.experimental.annotations import OutputArtifact, Parameter
from tfx.dsl.component.experimental.decorators import component
from tfx.dsl.components.common.importer import Importer
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.orchestration import metadata
from tfx.orchestration.data_types import RuntimeParameter
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2, infra_validator_pb2, trainer_pb2
from tfx.types import Channel, standard_artifacts
from tfx.types.channel import union

from slimline.errors import PipelineError
from slimline.kubeflow.compile import compile_pipeline
from slimline.kubeflow.options import CompileOptions, KeyReference, Resources, Toleration, Volume
from slimline.running.child import carry_out
from slimline.running.request import Request
from slimline_pipelines.digits.pipeline import create_pipeline

GOLDENS = Path(__file__).parents[2] / "goldens"
IMAGE = "registry.example/slimline:0.1.0"
DATA = Volume(claim="data", path="/slimline")
PLAIN = CompileOptions(image=IMAGE, volumes=(DATA,))
FULL = CompileOptions(
    image=IMAGE,
    images={"Trainer": "registry.example/trainer:1"},
    resources={"Pruner": Resources(cpu="4", memory="8Gi", gpu=1)},
    env={"TF_CPP_MIN_LOG_LEVEL": "2"},
    secret_env={"TOKEN": KeyReference(name="hub", key="token")},
    config_env={"REGION": KeyReference(name="site", key="region")},
    volumes=(DATA,),
    node_selector={"pool": "training"},
    tolerations=(Toleration(key="gpu", effect="NoSchedule"), Toleration(key="team", value="vision")),
    image_pull_secrets=("registry",),
    labels={"team": "vision"},
    retries=2,
    timeout_s=3600,
    no_cache=("Trainer",),
)


def compile_to(folder: Path, options: CompileOptions, pipeline: Pipeline | None = None) -> list[dict[str, Any]]:
    output = folder / "out.yaml"
    compile_pipeline(pipeline or create_pipeline("/slimline"), output, options)
    return list(yaml.safe_load_all(output.read_text()))


@pytest.fixture(scope="module")
def compiled(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("compiled") / "digits.yaml"
    compile_pipeline(create_pipeline("/slimline"), output, PLAIN)
    return output


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> list[dict[str, Any]]:
    return compile_to(tmp_path_factory.mktemp("full"), FULL)


def container(specification: dict[str, Any], task: str) -> dict[str, Any]:
    component = specification["components"][specification["root"]["dag"]["tasks"][task]["componentRef"]["name"]]
    return specification["deploymentSpec"]["executors"][component["executorLabel"]]["container"]


def test_the_specification_has_not_changed(compiled):
    golden = GOLDENS / "digits.yaml"
    if os.environ.get("SLIMLINE_UPDATE_GOLDENS"):
        golden.write_text(compiled.read_text())
    assert list(yaml.safe_load_all(compiled.read_text())) == list(yaml.safe_load_all(golden.read_text()))


def test_kfp_loads_it(compiled):
    loaded = components.load_component_from_file(str(compiled))
    assert loaded.pipeline_spec.pipeline_info.name == "digits"


def test_every_field_is_one_that_kubeflow_knows(full):
    specification, platform = full
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    json_format.ParseDict(platform, pipeline_spec_pb2.PlatformSpec())
    for executor in platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values():
        json_format.ParseDict(executor, kubernetes_executor_config_pb2.KubernetesExecutorConfig())


def test_compiling_twice_gives_the_same_bytes(compiled, tmp_path):
    compile_pipeline(create_pipeline("/slimline"), tmp_path / "again.yaml", PLAIN)
    assert (tmp_path / "again.yaml").read_bytes() == compiled.read_bytes()
    assert [path.name for path in compiled.parent.iterdir()] == ["digits.yaml"]
    assert not Path("/slimline").exists()


def test_every_component_starts_in_our_entry_point_with_its_own_executor(compiled):
    (specification, *_) = yaml.safe_load_all(compiled.read_text())
    executors = specification["deploymentSpec"]["executors"]
    paths = set()
    for executor in executors.values():
        found = executor["container"]
        assert found["image"] == IMAGE
        assert found["command"] == ["python", "-m", "slimline.kubeflow.entrypoint"]
        paths.add(found["args"][found["args"].index("--executor_class_path") + 1])
    assert "slimline.edge_validator.executor.EdgeValidatorExecutor" in paths
    assert len(executors) == 15


def test_what_reads_data_or_pushes_is_never_cached(full):
    tasks = full[0]["root"]["dag"]["tasks"]
    uncached = {name for name, task in tasks.items() if not task["cachingOptions"].get("enableCache")}
    assert uncached == {"ImportExampleGen", "Pusher", "Trainer"}


def test_options_are_written_as_kfp_writes_them(full, tmp_path):
    """The other party is a pipeline of kfp's own, with the same options set by hand."""

    @dsl.container_component
    def pruner() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="any", command=["true"], args=[])

    @dsl.pipeline(name="wanted")
    def pipeline() -> None:
        task = pruner()
        task.set_cpu_request("4").set_cpu_limit("4").set_memory_request("8Gi").set_memory_limit("8Gi")
        task.set_accelerator_type("nvidia.com/gpu").set_accelerator_limit(1)
        task.set_retry(2, backoff_duration="30s", backoff_factor=2)
        task.set_env_variable("TF_CPP_MIN_LOG_LEVEL", "2")
        kubernetes.use_secret_as_env(task, "hub", {"token": "TOKEN"})
        kubernetes.use_config_map_as_env(task, "site", {"region": "REGION"})
        kubernetes.mount_pvc(task, "data", "/slimline")
        kubernetes.add_node_selector(task, "pool", "training")
        kubernetes.add_toleration(task, key="gpu", operator="Exists", effect="NoSchedule")
        kubernetes.add_toleration(task, key="team", operator="Equal", value="vision")
        kubernetes.set_image_pull_secrets(task, ["registry"])
        kubernetes.add_pod_label(task, "team", "vision")
        kubernetes.set_timeout(task, 3600)

    Compiler().compile(pipeline, str(tmp_path / "wanted.yaml"))
    wanted, wanted_platform = yaml.safe_load_all((tmp_path / "wanted.yaml").read_text())
    specification, platform = full
    wanted_container = wanted["deploymentSpec"]["executors"]["exec-pruner"]["container"]
    found = container(specification, "Pruner")
    assert {key: found[key] for key in ("resources", "env")} == {
        key: wanted_container[key] for key in ("resources", "env")
    }
    assert (
        specification["root"]["dag"]["tasks"]["Pruner"]["retryPolicy"]
        == (wanted["root"]["dag"]["tasks"]["pruner"]["retryPolicy"])
    )
    executors = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]
    assert (
        executors["Pruner_executor"]
        == (wanted_platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"]["exec-pruner"])
    )
    assert "resources" not in container(specification, "Trainer")


def test_images_of_single_components(full):
    assert container(full[0], "Trainer")["image"] == "registry.example/trainer:1"
    assert container(full[0], "Pruner")["image"] == IMAGE


def test_the_page_is_among_the_outputs(full):
    outputs = full[0]["components"]["EdgeValidator"]["outputDefinitions"]["artifacts"]
    assert outputs["metrics"]["artifactType"]["schemaTitle"] == "system.Metrics"
    assert outputs["report"]["artifactType"]["schemaTitle"] == "system.HTML"
    quantizer = full[0]["components"]["Quantizer-int8"]["outputDefinitions"]["artifacts"]
    assert quantizer["metrics"]["artifactType"]["schemaTitle"] == "system.Metrics"


def test_manifests_hold_the_same_pipeline(tmp_path, full):
    options = FULL.model_copy(update={"format": "manifest", "namespace": "vision", "version": "digits-1"})
    pipeline, version = compile_to(tmp_path, options)
    assert (pipeline["kind"], pipeline["metadata"]) == ("Pipeline", {"name": "digits", "namespace": "vision"})
    assert (version["kind"], version["metadata"]["name"]) == ("PipelineVersion", "digits-1")
    assert version["apiVersion"] == "pipelines.kubeflow.org/v2beta1"
    assert [version["spec"]["pipelineSpec"], version["spec"]["platformSpec"]] == full


def test_a_version_is_named_by_its_content(tmp_path):
    options = PLAIN.model_copy(update={"format": "manifest"})
    names = set()
    for change in ({}, {}, {"retries": 1}):
        _, version = compile_to(tmp_path, options.model_copy(update=change))
        names.add(version["metadata"]["name"])
    assert len(names) == 2


def small(root: str = "gs://bucket/x", **changes: object) -> Pipeline:
    gen = ImportExampleGen(input_base=changes.pop("input_base", f"{root}/data"), **changes)
    return Pipeline("small", f"{root}/artifacts", components=[gen, StatisticsGen(examples=gen.outputs["examples"])])


def test_a_parameter_that_only_looks_like_a_path_is_none(tmp_path):
    gen = ImportExampleGen(input_base="gs://bucket/data")
    pipeline = Pipeline("small", "gs://bucket/x", components=[gen, name_an_address(address="/v1/score")])
    pipeline.components[-1].with_id("address")
    assert compile_to(tmp_path, CompileOptions(image=IMAGE), pipeline)


@component
def name_an_address(address: Parameter[str], place: OutputArtifact[standard_artifacts.String]) -> None:
    """Takes an address below a server's."""


def with_trainer(**given: object) -> Pipeline:
    gen = ImportExampleGen(input_base="gs://bucket/data")
    arguments = {"train_args": trainer_pb2.TrainArgs(), "eval_args": trainer_pb2.EvalArgs()}
    return Pipeline(
        "small", "gs://bucket/x", components=[gen, Trainer(examples=gen.outputs["examples"], **arguments, **given)]
    )


def with_imported(uri: str) -> Pipeline:
    imported = Importer(source_uri=uri, artifact_type=standard_artifacts.Schema).with_id("schema")
    return Pipeline("small", "gs://bucket/x", components=[ImportExampleGen(input_base="gs://b/d"), imported])


def union_of_models() -> Pipeline:
    gens = [ImportExampleGen(input_base="gs://bucket/data").with_id(name) for name in ("first", "second")]
    statistics = StatisticsGen(examples=union([gen.outputs["examples"] for gen in gens]))
    return Pipeline("small", "gs://bucket/x", components=[*gens, statistics])


@component
def name_a_place(place: OutputArtifact[standard_artifacts.String]) -> None:
    """Gives a value."""


def dynamic_parameter() -> Pipeline:
    place = name_a_place().with_id("place")
    gen = ImportExampleGen(input_base=place.outputs["place"].future()[0].value)
    return Pipeline("small", "gs://bucket/x", components=[place, gen])


def infra_validator() -> InfraValidator:
    return InfraValidator(model=Channel(type=standard_artifacts.Model), serving_spec=infra_validator_pb2.ServingSpec())


@pytest.mark.parametrize(
    ("pipeline", "options", "words"),
    [
        (lambda: create_pipeline("/slimline"), {}, "--pvc"),
        (lambda: with_imported("/schema"), {}, "--pvc"),
        (lambda: small(), {"images": {"Trainr": "x"}}, "--image-for"),
        (lambda: small(), {"resources": {"Trainr": Resources(cpu="1")}}, "--resources"),
        (lambda: small(), {"no_cache": ("Trainr",)}, "--no-cache"),
        (lambda: small(), {"parameters": {"rate": "1"}}, "RuntimeParameter"),
        (
            lambda: small(
                input_config=example_gen_pb2.Input(
                    splits=[example_gen_pb2.Input.Split(name="train", pattern="span-{SPAN}/*")]
                )
            ),
            {},
            "SPAN",
        ),
        (lambda: small(input_base="gs://bucket/{{x}}"), {}, "braces"),
        (
            lambda: Pipeline(
                "small",
                "gs://bucket/x",
                components=[
                    Resolver(
                        strategy_class=LatestArtifactStrategy, model=Channel(type=standard_artifacts.Model)
                    ).with_id("latest")
                ],
            ),
            {},
            "Resolver",
        ),
        (
            lambda: Pipeline("small", "gs://b", components=[CsvExampleGen(input_base="gs://b/d").with_id("csv_gen")]),
            {},
            "underscores",
        ),
        (lambda: with_trainer(module_file="/some/trainer.py"), {}, "run_fn"),
        (lambda: with_trainer(run_fn="a.b", custom_config={"x": "{{y}}"}), {}, "braces"),
        (union_of_models, {}, "union of channels"),
        (dynamic_parameter, {}, "another component's output"),
        (lambda: Pipeline("small", "gs://b", components=[infra_validator()]), {}, "InfraValidator"),
        (lambda: Pipeline("small", "gs://b", components=[infra_validator()]), {"format": "vertex"}, "InfraValidator"),
        (
            lambda: Pipeline("small", "gs://b", components=[], beam_pipeline_args=["--project={{x}}"]),
            {},
            "beam_pipeline_args",
        ),
        (lambda: Pipeline("Small", "gs://b", components=[CsvExampleGen(input_base="gs://b/d")]), {}, "lower-case"),
    ],
)
def test_what_could_not_run_is_refused_with_the_alternative(pipeline, options, words, tmp_path):
    with pytest.raises(PipelineError, match=words):
        compile_pipeline(pipeline(), tmp_path / "out.yaml", CompileOptions(image=IMAGE, **options))
    assert list(tmp_path.iterdir()) == []


def test_a_runtime_parameter_gets_its_default(tmp_path):
    base = RuntimeParameter(name="data", ptype=str)
    pipeline = small(input_base=base)
    (specification,) = compile_to(
        tmp_path, CompileOptions(image=IMAGE, parameters={"data": "gs://bucket/new"}), pipeline
    )
    assert specification["root"]["inputDefinitions"]["parameters"]["data"]["defaultValue"] == "gs://bucket/new"


def test_a_stock_pipeline_compiles_as_it_is(tmp_path):
    (specification,) = compile_to(tmp_path, CompileOptions(image=IMAGE), small())
    assert set(specification["root"]["dag"]["tasks"]) == {"ImportExampleGen", "StatisticsGen"}


def test_a_stores_folder_is_not_made_and_no_network_asked(tmp_path):
    """TFX's function makes it at once, and would try to reach the bucket for half a minute."""
    request = Request(
        "tests.slimline.kubeflow.test_compile:with_a_store",
        "gs://no-such-bucket-here/digits",
        output=str(tmp_path / "out.yaml"),
        options=CompileOptions(image=IMAGE).to_json(),
    )
    started = time.monotonic()
    # The child handles signals in its main thread.
    with ThreadPoolExecutor(1) as pool:
        pool.submit(carry_out, request.to_json()).result()
    assert (tmp_path / "out.yaml").is_file()
    assert time.monotonic() - started < 10


def with_a_store(root: str) -> Pipeline:
    gen = ImportExampleGen(input_base=f"{root}/data")
    config = metadata.sqlite_metadata_connection_config(f"{root}/metadata.sqlite")
    return Pipeline("small", root, components=[gen], metadata_connection_config=config)


def test_with_a_version_of_the_data_it_is_read_once_for_each(tmp_path):
    options = CompileOptions(image=IMAGE, parameters={"data_version": "1"})
    pipeline = small()
    pipeline.enable_cache = True
    (specification,) = compile_to(tmp_path, options, pipeline)
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    parameters = specification["root"]["inputDefinitions"]["parameters"]
    assert parameters == {"data_version": {"parameterType": "STRING", "defaultValue": "1", "isOptional": True}}
    task = specification["root"]["dag"]["tasks"]["ImportExampleGen"]
    assert task["cachingOptions"] == {"enableCache": True}
    assert task["inputs"]["parameters"]["data_version"] == {"componentInputParameter": "data_version"}
    assert "data_version" not in json.dumps(container(specification, "ImportExampleGen"))


def test_the_manifest_is_as_kfp_writes_one(tmp_path):
    """The other party is kfp's own manifest of a pipeline of its own."""

    @dsl.container_component
    def one() -> dsl.ContainerSpec:
        return dsl.ContainerSpec(image="any", command=["true"], args=[])

    @dsl.pipeline(name="small")
    def pipeline() -> None:
        kubernetes.set_timeout(one(), 60)

    wanted = KubernetesManifestOptions(
        pipeline_name="small",
        pipeline_display_name="small",
        pipeline_version_name="small-1",
        pipeline_version_display_name="small-1",
        namespace="vision",
        include_pipeline_manifest=True,
    )
    Compiler().compile(
        pipeline, str(tmp_path / "k.yaml"), kubernetes_manifest_options=wanted, kubernetes_manifest_format=True
    )
    options = CompileOptions(image=IMAGE, format="manifest", namespace="vision", version="small-1", timeout_s=60)
    ours = compile_to(tmp_path, options, small())
    for theirs, found in zip(yaml.safe_load_all((tmp_path / "k.yaml").read_text()), ours, strict=True):
        for part in ("pipelineSpec", "platformSpec"):
            assert (part in theirs["spec"]) == (part in found["spec"])
            theirs["spec"].pop(part, None), found["spec"].pop(part, None)
        assert found == theirs
