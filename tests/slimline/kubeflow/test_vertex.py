"""What compiling writes for Vertex AI, given to Vertex' own client and a server on loopback that speaks its types."""

import json
import threading
from collections.abc import Iterator
from concurrent import futures
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc
import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud.aiplatform_v1.services.pipeline_service import PipelineServiceClient
from google.cloud.aiplatform_v1.services.pipeline_service.transports import PipelineServiceGrpcTransport
from google.cloud.aiplatform_v1.types import CreatePipelineJobRequest, PipelineJob
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from tfx.components import ImportExampleGen
from tfx.dsl.components.common.resolver import Resolver
from tfx.dsl.input_resolution.strategies.latest_artifact_strategy import LatestArtifactStrategy
from tfx.orchestration.pipeline import Pipeline
from tfx.proto import example_gen_pb2
from tfx.types import Channel, standard_artifacts

from slimline.errors import ConfigError, PipelineError
from slimline.kubeflow.compile import compile_pipeline
from slimline.kubeflow.options import CompileOptions, KeyReference, Resources, Volume
from slimline_pipelines.digits.pipeline import create_pipeline

IMAGE = "registry.example/slimline:0.1.0"
SERVICE = "google.cloud.aiplatform.v1.PipelineService"


class PipelineService:
    """Takes jobs as Vertex does."""

    def __init__(self) -> None:
        self.received: list[CreatePipelineJobRequest] = []

    def create(self, request: CreatePipelineJobRequest, context: Any) -> PipelineJob:
        self.received.append(request)
        request.pipeline_job.name = f"{request.parent}/pipelineJobs/{request.pipeline_job_id}"
        return request.pipeline_job


@pytest.fixture
def service() -> Iterator[tuple[PipelineService, str]]:
    taken = PipelineService()
    method = grpc.unary_unary_rpc_method_handler(
        taken.create, CreatePipelineJobRequest.deserialize, PipelineJob.serialize
    )
    server = grpc.server(futures.ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(SERVICE, {"CreatePipelineJob": method}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield taken, f"127.0.0.1:{port}"
    server.stop(0).wait()


class Refusing(BaseHTTPRequestHandler):
    """Storage that its asker has no right to see."""

    def do_GET(self):
        self.send_response(403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def storage(monkeypatch) -> Iterator[None]:
    """Keeps the client, which looks whether the bucket is there before it submits, on loopback."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Refusing)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_port}")
    yield
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.usefixtures("storage")
def test_vertexs_own_client_submits_the_job(tmp_path, service):
    output = tmp_path / "job.json"
    resources = {"Trainer": Resources(cpu="4", memory="8Gi", gpu=1, gpu_type="NVIDIA_TESLA_T4")}
    options = CompileOptions(image=IMAGE, format="vertex", resources=resources, retries=1)
    compile_pipeline(create_pipeline("gs://bucket/digits"), output, options)
    job = aiplatform.PipelineJob(
        display_name="digits",
        template_path=str(output),
        project="some",
        location="us-central1",
        credentials=AnonymousCredentials(),
    )
    taken, address = service
    with grpc.insecure_channel(address) as channel:
        job.api_client = PipelineServiceClient(transport=PipelineServiceGrpcTransport(channel=channel))
        job.submit()
    (request,) = taken.received
    sent = request.pipeline_job
    assert sent.runtime_config.gcs_output_directory == "gs://bucket/digits/artifacts"
    specification = json_format.MessageToDict(PipelineJob.pb(sent).pipeline_spec)
    assert specification == json.loads(output.read_text())["pipelineSpec"]
    json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    found = specification["deploymentSpec"]["executors"]["Trainer_executor"]["container"]["resources"]
    assert found["accelerator"]["type"] == "NVIDIA_TESLA_T4"
    # Vertex reads cores and gigabytes.
    assert found["cpuLimit"] == 4.0
    assert found["memoryLimit"] == pytest.approx(8 * 2**30 / 1e9)


def test_vertex_takes_a_resolver_and_spans(tmp_path):
    options = CompileOptions(image=IMAGE, format="vertex")
    latest = Resolver(strategy_class=LatestArtifactStrategy, model=Channel(type=standard_artifacts.Model))
    gen = ImportExampleGen(
        input_base="gs://bucket/data",
        input_config=example_gen_pb2.Input(splits=[example_gen_pb2.Input.Split(name="train", pattern="span-{SPAN}/*")]),
    )
    pipeline = Pipeline("small", "gs://bucket/x", components=[gen, latest.with_id("latest")])
    compile_pipeline(pipeline, tmp_path / "job.json", options)
    job = json.loads((tmp_path / "job.json").read_text())
    assert {"ImportExampleGen", "latest"} <= set(job["pipelineSpec"]["root"]["dag"]["tasks"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"secret_env": {"A": KeyReference(name="s", key="k")}}, "secret_env"),
        ({"volumes": (Volume(claim="data", path="/slimline"),)}, "volumes"),
        ({"timeout_s": 5}, "timeout_s"),
        ({"resources": {"Trainer": Resources(gpu=1)}}, "gpu_type=NVIDIA"),
    ],
)
def test_vertex_has_no_kubernetes_options(change, words):
    with pytest.raises(ConfigError, match=words):
        CompileOptions(image=IMAGE, format="vertex", **change)


def test_vertex_needs_a_bucket(tmp_path):
    with pytest.raises(PipelineError, match="gs://"):
        compile_pipeline(
            create_pipeline("/slimline"), tmp_path / "job.json", CompileOptions(image=IMAGE, format="vertex")
        )
