import json
import multiprocessing
import operator
import os
import pathlib
import pickle
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as npst

from slimline.core.isolation import IsolatedError, IsolatedProcess, run_isolated
from slimline.core.isolation.messages import JunkError, receive_answer, send_answer
from slimline.errors import ExamplesError

FUNCTIONS = """
    import os, pathlib, signal, sys, time
    import numpy as np

    def fail_in_words():
        from slimline.errors import ExamplesError
        raise ExamplesError("this", "that", "do so")

    def fail(text):
        raise KeyError(text)

    def print_and_die(text):
        print("something before")
        print(text, file=sys.stderr, flush=True)
        os.kill(os.getpid(), signal.SIGABRT)

    def print_much_and_die():
        print("x" * 100_000 + "the end", flush=True)
        os._exit(3)

    def write_pid_and_hang(path):
        pathlib.Path(path).write_text(str(os.getpid()))
        print("hanging", flush=True)
        time.sleep(60)

    def loaded():
        return sorted(sys.modules)

    def send_raw(content):
        from slimline.core.isolation import child
        child._connections[0].send_bytes(content)
        time.sleep(60)

    def write_raw(content):
        from slimline.core.isolation import child
        os.write(child._connections[0].fileno(), content)
        time.sleep(60)

    def say_array_but_send_text() -> "np.ndarray":
        return "text"

    def kill_with(number):
        os.kill(os.getpid(), number)
        time.sleep(60)

    def flood():
        line = b"x" * 1_000_000
        for _ in range(845):
            os.write(1, line)
        print("the end", flush=True)

    def temporary():
        import tempfile
        return tempfile.mkstemp()[1]

    def temporary_and_die():
        import tempfile
        print(tempfile.mkstemp()[1], flush=True)
        os.kill(os.getpid(), signal.SIGKILL)

    def start_another_and_hang(path):
        import subprocess
        other = subprocess.Popen(["sleep", "60"])
        pathlib.Path(path).write_text(str(other.pid))
        time.sleep(60)

    def not_plain():
        return lambda: None
"""


@pytest.fixture(scope="module")
def functions(tmp_path_factory):
    """A module that parent and child can import."""
    folder = tmp_path_factory.mktemp("modules")
    (folder / "isolated_functions.py").write_text(textwrap.dedent(FUNCTIONS))
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        patch.setenv("PYTHONPATH", os.pathsep.join([str(folder), *filter(None, [os.environ.get("PYTHONPATH")])]))
        import isolated_functions  # type: ignore[import-not-found]

        yield isolated_functions
    sys.modules.pop("isolated_functions")


def test_the_result_is_that_of_the_function():
    assert run_isolated(operator.add, [1], [2], time_limit_s=30) == [1, 2]


def test_arrays_go_there_and_back():
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    result = run_isolated(operator.mul, {"a": values}["a"], 2, time_limit_s=30)
    assert result.dtype == np.float32
    assert np.array_equal(result, values * 2)


def test_it_runs_in_another_process():
    assert run_isolated(os.getpid, time_limit_s=30) != os.getpid()


def test_the_child_imports_what_the_function_needs_and_nothing_else(functions):
    modules = run_isolated(functions.loaded, time_limit_s=30)
    assert "isolated_functions" in modules
    assert not {"tensorflow", "tfx", "pytest", "apache_beam"} & set(modules)


def test_a_mistake_of_the_user_comes_through(functions):
    with pytest.raises(ExamplesError) as refused:
        run_isolated(functions.fail_in_words, time_limit_s=30)
    assert (refused.value.found, refused.value.expected, refused.value.remedy) == ("this", "that", "do so")


def test_a_mistake_of_the_programmer_comes_with_its_traceback(functions):
    with pytest.raises(RuntimeError) as failed:
        run_isolated(functions.fail, "some text", time_limit_s=30)
    text = str(failed.value)
    assert text.startswith("Traceback")
    assert "in fail\n" in text
    assert text.endswith("KeyError: 'some text'\n")


def test_a_crash_names_its_signal_and_hands_on_what_was_printed(functions):
    with pytest.raises(IsolatedError, match=r"^crashed with SIGABRT$") as crashed:
        run_isolated(functions.print_and_die, "last words", time_limit_s=30)
    assert crashed.value.reason == "crash"
    assert crashed.value.text == "crashed with SIGABRT"
    assert crashed.value.output.endswith("last words")


def test_a_child_that_ends_itself_is_a_crash_with_its_code_and_the_end_of_its_output(functions):
    with pytest.raises(IsolatedError, match="ended with code 3") as crashed:
        run_isolated(functions.print_much_and_die, time_limit_s=30)
    assert crashed.value.output.endswith("the end")
    assert len(crashed.value.output) <= 2_000


def test_a_child_without_an_answer_is_no_success():
    with pytest.raises(IsolatedError, match="ended with code 0"):
        run_isolated(os._exit, 0, time_limit_s=30)


def test_a_result_that_can_not_be_sent_is_no_success(functions):
    with pytest.raises(RuntimeError) as failed:
        run_isolated(functions.not_plain, time_limit_s=30)
    assert "a function can't be sent" in str(failed.value)


def test_the_time_limit_ends_the_child(functions, tmp_path):
    started = time.monotonic()
    with pytest.raises(IsolatedError, match=r"did not finish in 1\.5 s") as late:
        run_isolated(functions.write_pid_and_hang, str(tmp_path / "pid"), time_limit_s=1.5)
    assert 1.5 <= time.monotonic() - started < 10
    assert (late.value.reason, late.value.output) == ("time", "hanging")
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


def test_the_memory_limit_holds_in_the_child_only():
    limit = 2_000_000_000
    with pytest.raises(IsolatedError, match="needed more than 2,000,000,000 bytes of memory") as exceeded:
        run_isolated(bytearray, 2 * limit, time_limit_s=60, memory_limit_bytes=limit)
    assert exceeded.value.reason == "memory"
    assert len(run_isolated(bytearray, 1_000, time_limit_s=30, memory_limit_bytes=limit)) == 1_000


def test_one_child_answers_call_after_call_and_keeps_its_state():
    with IsolatedProcess() as process:
        pids = {process.call(os.getpid, time_limit_s=30) for _ in range(3)}
        process.call(os.putenv, "SLIMLINE_TEST", "kept", time_limit_s=30)
        assert process.call(subprocess.getoutput, "echo $SLIMLINE_TEST", time_limit_s=30) == "kept"
        with pytest.raises(RuntimeError, match="ZeroDivisionError"):
            process.call(operator.truediv, 1, 0, time_limit_s=30)
        assert process.call(operator.add, 1, 2, time_limit_s=30) == 3
    assert len(pids) == 1
    with pytest.raises(ProcessLookupError):
        os.kill(pids.pop(), 0)


def test_a_child_that_died_stays_dead():
    with IsolatedProcess() as process:
        for _ in range(2):
            with pytest.raises(IsolatedError, match="ended with code 3"):
                process.call(os._exit, 3, time_limit_s=30)


def test_what_a_function_prints_is_no_answer():
    assert run_isolated(print, "some text", time_limit_s=30) is None


def test_a_line_printed_at_interpreter_start_breaks_nothing(tmp_path, monkeypatch):
    (tmp_path / "sitecustomize.py").write_text("print('welcome', flush=True)")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])]))
    assert run_isolated(operator.add, 1, 2, time_limit_s=30) == 3


class Pickled:
    """Unpickling it would make a folder."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (self.path,)


def test_nothing_that_a_child_sends_is_unpickled(functions, tmp_path):
    evil = pickle.dumps(("result", Pickled(str(tmp_path / "made"))))
    for content in (evil, len(evil).to_bytes(8, "little") + evil):
        for send in (functions.send_raw, functions.write_raw):
            with pytest.raises(IsolatedError):
                run_isolated(send, content, time_limit_s=3)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\x00\xff",
        b"[]",
        b"{}",
        b"null",
        b"[" * 100_000,
        b'[[], "result", {}]',
        b'[[], "result", ["unknown"]]',
        b'[[], "result", ["record", "Popen", ["args", "ls"]]]',
        b'[[], "result", ["array", 0, "<f4", [1]]]',
        b'[[4000000000000], "result", ["bytes", 0]]',
        b'[[-1], "result", ["bytes", 0]]',
        b'[[true], "result", 1]',
        b'[[], "result", ["dict", [["list"], 1]]]',
        b'[[], "error", ["SystemExit", "a", "b", "c"]]',
        b'[[], "error", ["ModelError", 1, 2, 3]]',
        b'[[], "bug", 5]',
        b"[[], [], 1]",
        b'[[], "other", 1]',
    ],
)
def test_junk_is_the_childs_failure(functions, content):
    with pytest.raises(IsolatedError, match="sent what is no answer") as failed:
        run_isolated(functions.send_raw, content, time_limit_s=30)
    assert failed.value.reason == "crash"


@pytest.mark.parametrize(
    ("dtype", "shape", "num_bytes"),
    [("<f4", [3], 4), ("|O", [1], 8), ("|O8", [1], 8), ("<f4", [-1], 4), ("<f4,<f4", [1], 8), ("<V4", [1], 4)],
)
def test_an_array_must_be_what_its_header_says(functions, dtype, shape, num_bytes):
    def send(ours):
        ours.send_bytes(json.dumps([[num_bytes], "result", ["array", 0, dtype, shape]]).encode())
        ours.send_bytes(b"x" * num_bytes)

    ours, theirs = multiprocessing.Pipe()
    send(ours)
    with pytest.raises(JunkError):
        receive_answer(theirs, operator.add)


@pytest.mark.parametrize(
    "header", [struct.pack("!i", 0x7FFFFFFF), struct.pack("!iQ", -1, 1 << 60), struct.pack("!i", -7)]
)
def test_a_giant_or_negative_length_is_the_childs_failure(functions, header):
    with pytest.raises(IsolatedError, match="sent what is no answer"):
        run_isolated(functions.write_raw, header + b"xxxx", time_limit_s=30)


def test_half_a_message_is_late_and_no_wait_without_end(functions):
    with pytest.raises(IsolatedError, match="did not finish in 2 s"):
        run_isolated(functions.write_raw, struct.pack("!i", 100) + b"half", time_limit_s=2)


def test_a_result_must_be_what_the_function_says_that_it_returns(functions):
    with pytest.raises(IsolatedError, match="a result that is not"):
        run_isolated(functions.say_array_but_send_text, time_limit_s=30)


@pytest.mark.parametrize(("number", "name"), [(signal.SIGRTMIN + 3, f"signal {signal.SIGRTMIN + 3}"), (9, "SIGKILL")])
def test_every_signal_is_the_childs_failure(functions, number, name):
    with pytest.raises(IsolatedError, match=f"crashed with {name}"):
        run_isolated(functions.kill_with, int(number), time_limit_s=30)


def test_845_mb_of_output_fill_no_disk(functions, tmp_path):
    log = tmp_path / "log"
    with IsolatedProcess(log=log) as process:
        process.call(functions.flood, time_limit_s=60)
    assert log.stat().st_size < (64 << 20) + (1 << 17)
    content = log.read_bytes()
    assert b"[Over 67,108,864 bytes: what follows is left out, but for its end.]" in content
    assert content.endswith(b"the end\n")


def test_temporary_files_go_with_the_child(functions):
    assert not pathlib.Path(run_isolated(functions.temporary, time_limit_s=30)).exists()
    with pytest.raises(IsolatedError) as crashed:
        run_isolated(functions.temporary_and_die, time_limit_s=30)
    path = crashed.value.output.splitlines()[-1]
    assert path.startswith("/")
    assert not pathlib.Path(path).parent.exists()


def _has_ended(pid, seconds=15):
    for _ in range(int(seconds / 0.1)):
        try:
            state = pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0]
        except FileNotFoundError:
            return True
        if state == "Z":
            return True
        time.sleep(0.1)
    return False


def test_a_busy_child_dies_with_its_parent_even_when_that_is_killed(functions, tmp_path):
    path = tmp_path / "pid"
    code = (
        "import isolated_functions, sys; from slimline.core.isolation import run_isolated;"
        "run_isolated(isolated_functions.write_pid_and_hang, sys.argv[1], time_limit_s=60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(path)])
    while not (path.exists() and path.read_text()):
        time.sleep(0.1)
    parent.kill()
    parent.wait()
    assert _has_ended(int(path.read_text()))


def test_what_a_child_started_ends_with_it(functions, tmp_path):
    with pytest.raises(IsolatedError, match="did not finish"):
        run_isolated(functions.start_another_and_hang, str(tmp_path / "pid"), time_limit_s=3)
    assert _has_ended(int((tmp_path / "pid").read_text()))


def test_a_child_outlives_the_thread_that_made_it():
    made = []
    thread = threading.Thread(target=lambda: made.append(IsolatedProcess()))
    thread.start()
    thread.join()
    time.sleep(0.5)
    with made[0] as process:
        assert process.call(operator.add, 1, 2, time_limit_s=30) == 3


DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(DATA)
def test_plain_data_comes_back_as_it_is(data):
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        send_answer(ours, "result", data)
        assert receive_answer(theirs, operator.add).value == data


@given(npst.arrays(npst.scalar_dtypes(), npst.array_shapes(min_dims=0, min_side=0)))
def test_arrays_come_back_bit_by_bit(array):
    if array.dtype.kind not in "biufcSU":
        return
    ours, theirs = multiprocessing.Pipe()
    with ours, theirs:
        send_answer(ours, "result", {"a": array})
        found = receive_answer(theirs, operator.add).value["a"]
    assert (found.dtype, found.shape, found.tobytes()) == (array.dtype, array.shape, array.tobytes())
