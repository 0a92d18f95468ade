import apache_beam as beam
import pytest
from apache_beam.options.pipeline_options import DirectOptions, PipelineOptions
from apache_beam.runners.portability.fn_api_runner import FnApiRunner

from slimline.errors import ConfigError
from slimline.transforms.runner import pinned_arguments

DASK = "--runner=apache_beam.runners.dask.dask_runner.DaskRunner"


def refused(*arguments):
    with pytest.raises(ConfigError) as error:
        pinned_arguments(arguments)
    return error.value


@pytest.mark.parametrize(
    "arguments", [[], ["--runner=DirectRunner"], ["--runner=directrunner"], ["--runner=direct"], ["--runner=Direct"]]
)
def test_no_runner_and_the_direct_runner_are_the_embedded_one(arguments):
    assert pinned_arguments(arguments) == ["--runner=FnApiRunner"]


def test_other_options_stay_with_the_embedded_runner():
    given = ["--direct_num_workers=2", "--runner=DirectRunner", "--direct_running_mode=multi_processing"]
    pinned = pinned_arguments(given)
    assert set(pinned) == {*given, "--runner=FnApiRunner"} - {"--runner=DirectRunner"}
    assert PipelineOptions(pinned).view_as(DirectOptions).direct_num_workers == 2
    assert given[1] == "--runner=DirectRunner"


def test_beam_takes_the_embedded_runner():
    assert isinstance(beam.Pipeline(argv=pinned_arguments([])).runner, FnApiRunner)


@pytest.mark.parametrize(
    "arguments",
    [
        ["--runner=FnApiRunner"],
        ["--runner=DataflowRunner", "--project=some", "--region=here"],
        ["--runner=PrismRunner"],
        ["--runner", "FlinkRunner", "--flink_master=localhost:8081"],
        [DASK, "--dask_client_address=tcp://127.0.0.1:8786", "--dask_npartitions=4"],
        # As TFX adds them.
        ["--runner=FnApiRunner", "--labels", "tfx_executor=some", "--labels", "tfx_version=1", "--extra_package=x.tgz"],
    ],
)
def test_a_runner_that_was_chosen_stays_with_its_options(arguments):
    assert pinned_arguments(arguments) == arguments


@pytest.mark.parametrize(
    ("runner", "reason", "hint"),
    [
        ("FlinkRuner", "Unexpected pipeline runner", "Did you mean 'FlinkRunner'?"),
        ("DaskRunner", "Unexpected pipeline runner", "the dotted path of a runner's class"),
        ("no_such_package.Runner", "No module named 'no_such_package'", "install what the runner needs"),
        ("apache_beam.runners.runner.Missing", "no attribute 'Missing'", "correct the name"),
    ],
)
def test_a_runner_that_beam_does_not_load_is_refused(runner, reason, hint):
    error = refused(f"--runner={runner}")
    assert error.found.startswith(f"--runner={runner}, which Beam can't load")
    assert reason in error.found
    assert hint in str(error)


@pytest.mark.parametrize(
    ("arguments", "known"),
    [
        (["--direct_num_worker=2"], "--direct_num_workers"),
        (["--direct_runing_mode", "multi_processing"], "--direct_running_mode"),
        ([DASK, "--dask_npartition=4"], "--dask_npartitions"),
    ],
)
def test_an_unknown_option_is_refused_with_the_nearest(arguments, known):
    error = refused(*arguments)
    assert error.found.startswith("the Beam option '--d")
    assert f"Did you mean {known!r}?" in error.remedy


def test_an_option_is_not_taken_for_another_that_begins_like_it():
    assert "--direct_num" in refused("--direct_num=2").found


@pytest.mark.parametrize(
    ("argument", "reason"),
    [
        ("--direct_num_workers=two", "invalid int value: 'two'"),
        ("--direct_running_mode=multi_procesing", "invalid choice: 'multi_procesing'"),
    ],
)
def test_a_value_that_beam_does_not_take_is_refused_with_its_reason(argument, reason, capsys):
    error = refused(argument)
    assert argument in error.found
    assert reason in error.found
    assert capsys.readouterr() == ("", "")


def test_the_name_of_the_program_that_tfx_hands_on_is_no_option():
    """`kubeflow_v2_run_executor` gives Beam all that it does not know of its own arguments, its own name first."""
    assert pinned_arguments(["/app/kubeflow_v2_run_executor.py", "--direct_num_workers=2"]) == pinned_arguments(
        ["--direct_num_workers=2"]
    )
    with pytest.raises(ConfigError):
        pinned_arguments(["--direct_num_workers=2", "stray"])
