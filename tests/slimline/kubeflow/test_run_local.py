"""Compiled pipelines by Kubeflow's rules: small tasks written by hand, and one of TFX through the real entry point."""

import contextlib
import json
import resource
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
import yaml
from tfx.components import ImportExampleGen, StatisticsGen
from tfx.dsl.experimental.conditionals.conditional import Cond
from tfx.orchestration.kubeflow.v2.kubeflow_v2_dag_runner import KubeflowV2DagRunner, KubeflowV2DagRunnerConfig
from tfx.orchestration.pipeline import Pipeline

from slimline.errors import PipelineError
from slimline.kubeflow.compile import compile_pipeline
from slimline.kubeflow.conditions import is_triggered
from slimline.kubeflow.options import CompileOptions, Volume
from slimline.kubeflow.run_local import run_local

# What every task does: it notes that it ran, reads what it is given, and writes what it is told to.
TASK = textwrap.dedent(
    """
    import json, os, pathlib, sys
    given = json.loads(sys.argv[1])
    mount = os.environ["SLIMLINE_KUBEFLOW_MOUNT"]
    place = lambda uri: pathlib.Path(mount + "/minio/" + uri.removeprefix("minio://"))
    with open(sys.argv[2], "a") as notes:
        notes.write(sys.argv[3] + "\\n")
    text = "".join(sorted(
        place(a["uri"]).joinpath("content").read_text()
        for l in given["inputs"]["artifacts"].values() for a in l["artifacts"]
    ))
    exec(sys.argv[4])
    folder = place(given["outputs"]["artifacts"]["out"]["artifacts"][0]["uri"])
    folder.mkdir()
    folder.joinpath("content").write_text(text + sys.argv[3])
    answer = {"artifacts": {"out": {"artifacts": [{"metadata": {"count": 3, **METADATA}, **MORE}]}}}
    pathlib.Path(given["outputs"]["outputFile"]).write_text(json.dumps(answer))
    """
)


def specification(notes: Path, **tasks: dict[str, Any]) -> dict[str, Any]:
    """Builds a pipeline: each task takes the outputs of those under `after`, and runs `code` on the way."""
    components, executors, dag = {}, {}, {}
    for name, task in tasks.items():
        inputs = {
            f"in-{producer}": {"taskOutputArtifact": {"producerTask": producer, "outputArtifactKey": "out"}}
            for producer in task.get("after", ())
        }
        components[name] = {
            "executorLabel": f"{name}-executor",
            "outputDefinitions": {"artifacts": {"out": {"artifactType": {"schemaTitle": "system.Dataset"}}}},
        }
        code = "METADATA, MORE = {}, {}\n" + task.get("code", "")
        arguments = ["{{$}}", str(notes), name, code]
        executors[f"{name}-executor"] = {
            "container": {"image": "any", "command": ["python", "-c", TASK], "args": arguments}
        }
        dag[name] = {"componentRef": {"name": name}, "inputs": {"artifacts": inputs}}
        if "condition" in task:
            dag[name]["triggerPolicy"] = {"condition": task["condition"]}
        if "retries" in task:
            dag[name]["retryPolicy"] = {"maxRetryCount": task["retries"]}
    return {
        "schemaVersion": "2.1.0",
        "pipelineInfo": {"name": "small"},
        "components": components,
        "deploymentSpec": {"executors": executors},
        "root": {"dag": {"tasks": dag}},
    }


class Here:
    """A folder with a pipeline, its notes and what was told."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.notes = folder, folder / "notes"
        self.told: list[str] = []

    def run(self, *documents: dict[str, Any], jobs: int = 2, tell: Callable[[str], None] | None = None):
        (self.folder / "p.yaml").write_text(yaml.safe_dump_all(documents))
        return run_local(
            self.folder / "p.yaml",
            self.folder / "run",
            parameters={},
            num_processes=jobs,
            tell=tell or self.told.append,
        )

    def ran(self) -> list[str]:
        return self.notes.read_text().split() if self.notes.exists() else []

    def content(self, task: str) -> str:
        return (self.folder / "run/bucket/mlpipeline/v2/artifacts/small" / task / "out/content").read_text()


@pytest.fixture
def here(tmp_path) -> Here:
    return Here(tmp_path)


def test_tasks_get_what_earlier_ones_left(here):
    found = specification(here.notes, a={}, b={}, c={"after": ("a", "b")}, d={"after": ("c",)})
    run = here.run(found)
    assert run.states == dict.fromkeys("abcd", "done")
    assert here.content("d") == "abcd"
    assert not any((here.folder / "run/pods").iterdir())


def test_numbers_come_back_as_doubles_and_types_as_nothing(here):
    check = "a = given['inputs']['artifacts']['in-a']['artifacts'][0]; assert repr(a['metadata']['count']) == '3.0'"
    check += "; assert a['type'] == {'instanceSchema': ''}; assert 'executor-logs' in given['outputs']['artifacts']"
    assert here.run(specification(here.notes, a={}, b={"after": ("a",), "code": check})).failed == []


def test_what_waits_for_a_failed_task_does_not_start_and_the_next_run_goes_on(here):
    broken = specification(here.notes, a={}, b={"after": ("a",), "code": "sys.exit(7)"}, c={"after": ("b",)})
    run = here.run(broken)
    assert run.states == {"a": "done", "b": "failed", "c": "skipped"}
    assert any("code 7" in line for line in here.told)
    flag = here.folder / "flag"
    mended = specification(
        here.notes,
        a={},
        b={"after": ("a",), "code": f"sys.exit(0 if pathlib.Path({str(flag)!r}).exists() else 7) if 0 else None"},
        c={"after": ("b",)},
    )
    # Another pipeline starts anew; the same one goes on.
    assert here.run(mended).states == {"a": "done", "b": "done", "c": "done"}
    assert here.run(mended).states == {"a": "kept", "b": "kept", "c": "kept"}


def test_the_same_pipeline_goes_on_after_a_failure(here):
    flag = here.folder / "flag"
    code = f"sys.exit(0) if False else None\nif not pathlib.Path({str(flag)!r}).exists(): sys.exit(7)"
    found = specification(here.notes, a={}, b={"after": ("a",), "code": code}, c={"after": ("b",)})
    assert here.run(found).failed == ["b"]
    flag.touch()
    assert here.run(found).states == {"a": "kept", "b": "done", "c": "done"}
    assert here.ran() == ["a", "b", "b", "c"]


def test_a_task_is_tried_again_in_a_fresh_pod(here):
    code = (
        f"tries = pathlib.Path({str(here.notes)!r}).read_text().count('a')\n"
        "pathlib.Path(mount, 'left').touch(exist_ok=False)\nif tries < 3: sys.exit(1)"
    )
    run = here.run(specification(here.notes, a={"retries": 2, "code": code}))
    assert run.states == {"a": "done"}
    assert here.ran() == ["a", "a", "a"]


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("MORE = {'uri': '/minio/x'}", "would not upload"),
        ("METADATA = {'x': None}", "None"),
        ("os.kill(os.getpid(), 9)", "code -9"),
    ],
)
def test_what_the_launcher_refuses_fails_here_too(here, code, words):
    assert here.run(specification(here.notes, a={"code": code})).failed == ["a"]
    assert any(words in line for line in here.told)


COUNT = "inputs.artifacts['in-a'].artifacts[0].metadata['count']"


@pytest.mark.parametrize(("condition", "state"), [(f"({COUNT} == 3.0)", "done"), (f"!({COUNT} == 3.0)", "skipped")])
def test_a_task_whose_condition_is_false_does_not_run_nor_what_waits_for_it(here, condition, state):
    found = specification(here.notes, a={}, b={"after": ("a",), "condition": condition}, c={"after": ("b",)})
    run = here.run(found)
    assert run.states == {"a": "done", "b": state, "c": state}
    assert run.failed == []


def test_a_condition_over_what_was_not_recorded_fails(here):
    condition = "inputs.artifacts['in-a'].artifacts[0].metadata['blessed'] == 1.0"
    assert here.run(specification(here.notes, a={}, b={"after": ("a",), "condition": condition})).failed == ["b"]
    assert any("blessed" in line for line in here.told)


def test_conditions_of_tfx_are_understood():
    """The other party is TFX's compiler, which writes them."""
    gen = ImportExampleGen(input_base="gs://bucket/data")
    with Cond(gen.outputs["examples"].future().property("span") < 5):
        statistics = StatisticsGen(examples=gen.outputs["examples"])
    pipeline = Pipeline("small", "gs://bucket/x", components=[gen, statistics])
    job = KubeflowV2DagRunner(KubeflowV2DagRunnerConfig(use_pipeline_spec_2_1=True)).run(pipeline, write_out=False)
    condition = job["pipelineSpec"]["root"]["dag"]["tasks"]["StatisticsGen"]["triggerPolicy"]["condition"]
    for span, runs in ((4.0, True), (5.0, False)):
        examples = {"artifacts": [{"uri": "minio://b/x", "metadata": {"span": span}}]}
        given = {"inputs": {"parameterValues": {}, "artifacts": {"_ImportExampleGen.examples": examples}}}
        assert is_triggered(condition, given) is runs


def with_platform(**config: object) -> dict[str, Any]:
    executors = {"a-executor": config}
    return {"platforms": {"kubernetes": {"deploymentSpec": {"executors": executors}}}}


def test_a_task_is_ended_after_its_limit_of_time_with_its_children(here):
    child = "import subprocess\nsubprocess.Popen(['sleep', '97.25'])\nsubprocess.run(['sleep', '97.25'])"
    found = specification(here.notes, a={"code": child})
    started = time.monotonic()
    assert here.run(found, with_platform(activeDeadlineSeconds="1")).failed == ["a"]
    assert time.monotonic() - started < 20
    assert any("after 1 s" in line for line in here.told)
    assert is_gone("97.25")


def test_an_interrupted_run_leaves_no_process_and_goes_on(here):
    flag = here.folder / "flag"
    wait = f"import subprocess\nif not pathlib.Path({str(flag)!r}).exists(): subprocess.run(['sleep', '98.25'])"
    found = specification(here.notes, a={}, b={"code": wait})

    def tell(line: str) -> None:
        if line.startswith("a: done"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        here.run(found, tell=tell)
    assert is_gone("98.25")
    flag.touch()
    assert here.run(found).states == {"a": "kept", "b": "done"}


def is_gone(word: str) -> bool:
    """Waits a little until no `sleep` of that length runs here: a process that was killed takes a moment to die."""
    for _ in range(100):
        commands = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                commands.append(path.read_bytes())
        if b"sleep\0%s\0" % word.encode() not in commands:
            return True
        time.sleep(0.1)
    return False


def test_a_secret_of_the_cluster_is_asked_for_here(here, monkeypatch):
    secret = {"secretName": "hub", "keyToEnv": [{"secretKey": "token", "envVar": "HUB_TOKEN"}]}
    found, platform = specification(here.notes, a={}), with_platform(secretAsEnv=[secret])
    with pytest.raises(PipelineError, match=r"HUB_TOKEN.*Secret hub"):
        here.run(found, platform)
    monkeypatch.setenv("HUB_TOKEN", "x")
    assert here.run(found, platform).failed == []


def test_no_space_fails_the_task_and_the_next_run_goes_on(here):
    big = here.folder / "big"
    big.write_bytes(bytes(2_000_000))
    # What is uploaded is larger than a file may become.
    found = specification(here.notes, a={}, b={"after": ("a",)})
    found["deploymentSpec"]["executors"]["b-executor"]["container"]["command"][2] += (
        f"\nfolder.joinpath('linked').symlink_to({str(big)!r})\n"
    )
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, limits[1]))
    try:
        run = here.run(found)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert run.states == {"a": "done", "b": "failed"}
    assert any("can't be moved" in line for line in here.told)
    assert here.run(found).states == {"a": "kept", "b": "done"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda found: found.update(schemaVersion="2.0.0"), "2.1.0"),
        (lambda found: found["deploymentSpec"]["executors"].update({"a-executor": {"importer": {}}}), "no container"),
        (
            lambda found: found["root"].update(inputDefinitions={"parameters": {"rate": {"parameterType": "STRING"}}}),
            "--parameter",
        ),
    ],
)
def test_what_can_not_be_run_is_refused(here, change, words):
    found = specification(here.notes, a={})
    change(found)
    with pytest.raises(PipelineError, match=words):
        here.run(found)
    assert here.ran() == []


@pytest.mark.parametrize("text", ["", "[1, 2]", "no: pipeline", ": : :", "\x00"])
def test_what_is_no_pipeline_is_refused(tmp_path, text):
    (tmp_path / "p.yaml").write_text(text)
    with pytest.raises(PipelineError, match="slimline compile"):
        run_local(tmp_path / "p.yaml", tmp_path / "run", parameters={}, num_processes=1, tell=print)


@pytest.mark.slow
def test_tfx_runs_through_the_entry_point(tmp_path):
    data = tmp_path / "volume" / "data"
    data.mkdir(parents=True)
    with tf.io.TFRecordWriter(str(data / "examples.gz"), options="GZIP") as writer:
        for number in range(30):
            feature = tf.train.Feature(float_list=tf.train.FloatList(value=[number]))
            writer.write(tf.train.Example(features=tf.train.Features(feature={"x": feature})).SerializeToString())
    gen = ImportExampleGen(input_base=str(data))
    pipeline = Pipeline("small", str(tmp_path / "volume"), components=[gen])
    volume = Volume(claim="data", path=str(tmp_path / "volume"))
    compile_pipeline(pipeline, tmp_path / "p.yaml", CompileOptions(image="any@sha256:0", volumes=(volume,)))
    told: list[str] = []
    run = run_local(tmp_path / "p.yaml", tmp_path / "run", parameters={}, num_processes=2, tell=told.append)
    assert run.failed == [], told
    assert len(list((tmp_path / "run/bucket").rglob("data_tfrecord*"))) == 2
    done = json.loads((tmp_path / "run/state.json").read_text())["done"]
    assert "/minio/" not in json.dumps(done)
