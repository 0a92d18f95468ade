import operator
import os
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from slimline.core.isolation import IsolatedError, IsolatedProcess, run_isolated
from slimline.errors import ExamplesError

FUNCTIONS = """
    import os, pathlib, signal, sys, time

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

    def unpicklable():
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
    with pytest.raises((IsolatedError, RuntimeError)) as failed:
        run_isolated(functions.unpicklable, time_limit_s=30)
    assert "pickle" in str(getattr(failed.value, "output", failed.value))


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
