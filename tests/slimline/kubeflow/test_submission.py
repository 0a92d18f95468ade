"""Submitting to a server on loopback, which reads and answers by the types of Kubeflow's own API client."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import kfp_server_api
import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2
from typer.testing import CliRunner

from slimline.cli.app import app
from slimline.errors import PipelineError
from slimline.kubeflow.submission import Schedule, Server, Submission, schedule, submit

TOKEN = "eyJ-a-secret-token"
API = "/apis/v2beta1"
MODELS = kfp_server_api.ApiClient()


class Kubeflow(ThreadingHTTPServer):
    """What of Kubeflow's API a submission needs; keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.multi_user = False
        self.refusal: tuple[int, str] | None = None
        self.tokens: set[str | None] = set()
        self.runs: list[Any] = []
        self.recurring_runs: list[Any] = []
        self.experiments: dict[str, Any] = {}

    @property
    def host(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: Kubeflow

    def do_GET(self) -> None:
        place = self.path.partition("?")[0].removeprefix(API)
        if place == "/healthz":
            self._answer(kfp_server_api.V2beta1GetHealthzResponse(multi_user=self.server.multi_user))
        elif place == "/experiments":
            found = list(self.server.experiments.values())
            self._answer(kfp_server_api.V2beta1ListExperimentsResponse(experiments=found, total_size=len(found)))
        else:
            name = place.removeprefix("/experiments/")
            self._answer(next(made for made in self.server.experiments.values() if made.experiment_id == name))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        place = self.path.partition("?")[0].removeprefix(API)
        kinds = {"/runs": "V2beta1Run", "/recurringruns": "V2beta1RecurringRun", "/experiments": "V2beta1Experiment"}
        made = MODELS.deserialize(SimpleNamespace(data=body), kinds[place])
        if place == "/experiments":
            made.experiment_id = "e-1"
            self.server.experiments[made.display_name] = made
        elif place == "/runs":
            made.run_id = "r-1"
            self.server.runs.append(made)
        else:
            made.recurring_run_id = "s-1"
            self.server.recurring_runs.append(made)
        self._answer(made)

    def _answer(self, model: Any) -> None:
        self.server.tokens.add(self.headers.get("authorization"))
        status, content = 200, json.dumps(MODELS.sanitize_for_serialization(model))
        if self.server.refusal:
            status, message = self.server.refusal
            content = json.dumps({"error_message": message})
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content.encode())

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kubeflow(monkeypatch, tmp_path) -> Iterator[Kubeflow]:
    # kfp's client keeps settings in the home folder.
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    monkeypatch.delenv("SLIMLINE_KUBEFLOW_TOKEN", raising=False)
    server = Kubeflow()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture
def file(tmp_path) -> Path:
    """The compiled digits, with a parameter and a second document."""
    golden = Path(__file__).parents[2] / "goldens" / "digits.yaml"
    specification, *_ = yaml.safe_load_all(golden.read_text())
    specification["root"]["inputDefinitions"] = {"parameters": {"steps": {"parameterType": "NUMBER_INTEGER"}}}
    config = {"executors": {"Trainer_executor": {"activeDeadlineSeconds": "60"}}}
    platform = {"platforms": {"kubernetes": {"deploymentSpec": config}}}
    (tmp_path / "digits.yaml").write_text(yaml.safe_dump_all([specification, platform]))
    return tmp_path / "digits.yaml"


def require_the_same(sent: Any, file: Path) -> None:
    """Checks that what the server got is what was compiled, and that Kubeflow knows every field of it."""
    specification, platform = yaml.safe_load_all(file.read_text())
    wanted = json_format.ParseDict(specification, pipeline_spec_pb2.PipelineSpec())
    assert json_format.ParseDict(sent["pipeline_spec"], pipeline_spec_pb2.PipelineSpec()) == wanted
    assert sent["platform_spec"] == platform


def test_a_run_is_what_was_compiled(kubeflow, file):
    server = Server(kubeflow.host, token=TOKEN)
    submission = Submission(
        file,
        "tonight",
        experiment="digits",
        parameters={"steps": "10"},
        pipeline_root="s3://bucket/x",
        service_account="slimline-runner",
    )
    assert submit(submission, server) == "r-1"
    (run,) = kubeflow.runs
    require_the_same(run.pipeline_spec, file)
    assert (run.display_name, run.experiment_id, run.service_account) == ("tonight", "e-1", "slimline-runner")
    assert run.runtime_config.parameters == {"steps": 10}
    assert run.runtime_config.pipeline_root == "s3://bucket/x"
    assert kubeflow.tokens == {f"Bearer {TOKEN}"}


def test_a_schedule_says_when(kubeflow, file):
    timing = Schedule("0 30 2 * * *", max_concurrency=2, catch_up=True)
    assert schedule(Submission(file, "nightly", parameters={"steps": 5}), timing, Server(kubeflow.host)) == "s-1"
    (made,) = kubeflow.recurring_runs
    require_the_same(made.pipeline_spec, file)
    assert made.trigger.cron_schedule.cron == "0 30 2 * * *"
    assert (int(made.max_concurrency), made.no_catchup, made.mode) == (2, False, "ENABLE")


def test_the_command_line_submits_and_schedules(kubeflow, file, tmp_path):
    (tmp_path / "token").write_text(f"{TOKEN}\n")
    common = [str(file), "--host", kubeflow.host, "--token-file", str(tmp_path / "token"), "--parameter", "steps=1"]
    ran = CliRunner().invoke(app, ["kubeflow", "submit", *common, "--name", "x", "--json"], catch_exceptions=False)
    assert json.loads(ran.stdout) == {
        "name": "x",
        "run_id": "r-1",
        "address": f"{kubeflow.host}/#/runs/details/r-1",
    }
    ran = CliRunner().invoke(app, ["kubeflow", "schedule", *common, "--cron", "@daily"], catch_exceptions=False)
    assert ran.stdout == f"digits-scheduled: {kubeflow.host}/#/recurringrun/details/s-1\n"
    assert kubeflow.recurring_runs[0].no_catchup is True


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"parameters": {}}, "no value for steps"),
        ({"parameters": {"steps": "many"}}, "NUMBER_INTEGER"),
        ({"parameters": {"steps": "1", "step": "2"}}, "Did you mean 'steps'"),
        ({"pipeline_root": "/slimline"}, "minio://"),
        ({"file": Path("nowhere.yaml")}, "no file"),
    ],
)
def test_nothing_is_sent_of_what_is_wrong(kubeflow, file, change, words):
    given = {"file": file, "name": "x", "parameters": {"steps": "1"}, **change}
    with pytest.raises(PipelineError, match=words):
        submit(Submission(**given), Server(kubeflow.host))
    assert kubeflow.tokens == set()


@pytest.mark.parametrize(("cron", "words"), [("30 2 * * *", "write '0 30 2"), ("tonight", "six fields")])
def test_a_schedule_without_seconds_is_none(kubeflow, file, cron, words):
    with pytest.raises(PipelineError, match=words):
        schedule(Submission(file, "x", parameters={"steps": "1"}), Schedule(cron), Server(kubeflow.host))


@pytest.mark.parametrize(
    ("status", "words"), [(401, "token that is valid"), (403, "right"), (404, "--host"), (400, "unknown field")]
)
def test_a_refusal_is_told_without_the_token(kubeflow, file, status, words):
    kubeflow.refusal = (status, f"unknown field, said the bearer of {TOKEN}")
    with pytest.raises(PipelineError, match=words) as caught:
        submit(Submission(file, "x", parameters={"steps": "1"}), Server(kubeflow.host, token=TOKEN))
    assert TOKEN not in str(caught.value)
    assert TOKEN not in repr(Server(kubeflow.host, token=TOKEN))


def test_a_server_that_is_not_there_is_told(kubeflow, file):
    # Nobody listens on a port of which the address alone is taken.
    with pytest.raises(PipelineError, match="no answer"):
        submit(Submission(file, "x", parameters={"steps": "1"}), Server("http://127.0.0.1:1"))


def test_on_a_server_of_several_users_a_namespace_is_asked_for(kubeflow, file):
    kubeflow.multi_user = True
    submission = Submission(file, "x", parameters={"steps": "1"})
    with pytest.raises(PipelineError, match="--namespace"):
        submit(submission, Server(kubeflow.host))
    assert submit(submission, Server(kubeflow.host, namespace="vision")) == "r-1"
    assert kubeflow.experiments["Default"].namespace == "vision"


@pytest.mark.parametrize(("host", "words"), [([], "no --host"), (["--host", "localhost:8080"], "http://")])
def test_the_host_is_an_address(file, host, words, monkeypatch):
    monkeypatch.delenv("KF_PIPELINES_ENDPOINT", raising=False)
    ran = CliRunner().invoke(app, ["kubeflow", "submit", str(file), *host])
    assert words in str(ran.exception)


def test_an_empty_token_is_told(file, tmp_path):
    (tmp_path / "token").write_text("\n")
    arguments = [str(file), "--host", "http://127.0.0.1:1", "--token-file", str(tmp_path / "token")]
    assert "empty" in str(CliRunner().invoke(app, ["kubeflow", "submit", *arguments]).exception)
