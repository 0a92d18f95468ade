import pytest

from slimline.lineage.runs import find_run, newest_run_id, node_states, outputs_of_type


def test_a_run_is_found_by_its_pipeline_once_it_is_newer(recorder, recorded):
    newest = newest_run_id(recorder.store)
    first = find_run(recorder.store, "flow", after=0)
    assert first is not None
    assert first.run_id == "first"
    assert find_run(recorder.store, "flow", after=newest) is None
    assert find_run(recorder.store, "another", after=0) is None


def test_states_are_told_by_component(recorder, recorded):
    run = recorder.run("second")
    recorder.execution("Trainer", [], [], state="CACHED", contexts=[run])
    recorder.execution("Pruner", [], [], state="FAILED", contexts=[run])
    recorder.execution("Pusher", [], [], state="RUNNING", contexts=[run])
    found = find_run(recorder.store, "flow", after=newest_run_id(recorder.store) - 1)
    assert found is not None
    states = {name: node.state for name, node in node_states(recorder.store, found).items()}
    assert states == {"Trainer": "CACHED", "Pruner": "FAILED", "Pusher": "RUNNING"}


def test_an_empty_store_has_no_run(recorder):
    assert newest_run_id(recorder.store) == 0


@pytest.mark.parametrize(("type_name", "number"), [("PushedModel", 1), ("Examples", 0)])
def test_outputs_of_a_run_are_those_attributed_to_it(type_name, number, recorder, tmp_path):
    run = recorder.run("attributed")
    pushed = recorder.artifact("PushedModel", tmp_path / "pushed")
    recorder.artifact("Examples", tmp_path / "of-another-run")
    recorder.store.put_attributions_and_associations([_attribution(pushed, run.id)], [])
    found = find_run(recorder.store, "flow", after=0)
    assert found is not None
    assert len(outputs_of_type(recorder.store, found, type_name)) == number


def _attribution(artifact_id, context_id):
    from ml_metadata.proto import metadata_store_pb2 as pb

    return pb.Attribution(artifact_id=artifact_id, context_id=context_id)
