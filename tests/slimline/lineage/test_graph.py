import contextlib
import sqlite3

import pytest

from slimline.lineage.graph import consumers, node_id, trace, trace_downstream


def nodes(lineage):
    return {execution.node for execution in lineage.executions.values()}


def test_the_walk_reaches_the_data_and_nothing_downstream(recorder, recorded):
    lineage = trace(recorder.store, recorded["blessed"])
    assert nodes(lineage) == {"Validator", "Quantizer", "Other", "Trainer", "Gen"}
    assert recorded["pushed"] not in lineage.artifacts


def test_siblings_of_an_output_are_part_of_it(recorder, recorded):
    assert recorded["blessing"] in trace(recorder.store, recorded["blessed"]).artifacts


def test_a_cached_run_is_not_the_producer(recorder, recorded):
    lineage = trace(recorder.store, recorded["quantized"])
    assert lineage.executions[lineage.producers[recorded["quantized"]]].state == "COMPLETE"


def test_what_came_from_outside_has_no_producer(recorder, tmp_path):
    alone = recorder.artifact("Model", tmp_path / "imported")
    lineage = trace(recorder.store, alone)
    assert not lineage.executions
    assert not lineage.producers


def test_a_chain_of_any_length_is_walked_to_its_end(recorder, tmp_path):
    last = recorder.artifact("Model", tmp_path / "0")
    for number in range(1, 151):
        made = recorder.artifact("Model", tmp_path / str(number))
        recorder.execution(f"Step{number}", [("model", last)], [("model", made)])
        last = made
    assert len(trace(recorder.store, last).executions) == 150


def test_parameters_and_properties_are_plain_values(recorder, recorded):
    lineage = trace(recorder.store, recorded["quantized"])
    assert lineage.artifacts[recorded["quantized"]].properties["scheme"] == "int8"
    quantizer = lineage.executions[lineage.producers[recorded["quantized"]]]
    assert quantizer.parameters == {"config": '{"scheme":"int8"}'}
    assert quantizer.inputs == {"model": (recorded["model"],)}


def test_consumers_are_those_that_took_it_as_input(recorder, recorded):
    assert [execution.node for execution in consumers(recorder.store, recorded["blessed"])] == ["Pusher"]


def test_downstream_reaches_the_push_and_nothing_beside(recorder, recorded):
    lineage = trace_downstream(recorder.store, recorded["quantized"])
    # The cached execution of the Quantizer took the model, not what it made.
    assert [execution.node for execution in lineage.executions.values()] == ["Validator", "Pusher"]
    assert recorded["pushed"] in lineage.producers
    assert recorded["examples"] not in lineage.artifacts


def test_downstream_and_upstream_are_each_others_mirror(recorder, recorded):
    artifacts = recorder.store.get_artifacts()
    up = {a.id: set(trace(recorder.store, a.id).executions) for a in artifacts}
    for artifact in artifacts:
        down = trace_downstream(recorder.store, artifact.id)
        for other, makers in up.items():
            used = any(
                artifact.id in ids for e in makers for ids in trace(recorder.store, other).executions[e].inputs.values()
            )
            assert used <= (other in down.artifacts)


def test_a_pipelines_name_with_dots_is_no_part_of_a_components(recorder, tmp_path):
    pipeline, node = recorder.context("pipeline", "my.flow.v2"), recorder.context("node", "my.flow.v2.Trainer.big")
    made = recorder.artifact("Model", tmp_path / "m")
    id_ = recorder.execution("Trainer", [], [("model", made)], contexts=[pipeline, node])
    contexts = recorder.store.get_contexts_by_execution(id_)
    assert {context.name for context in contexts} == {"flow.Trainer", "my.flow.v2", "my.flow.v2.Trainer.big"}
    assert node_id(recorder.store, id_) in ("Trainer.big", "flow.Trainer")


@pytest.mark.parametrize("table", ["Execution", "Artifact"])
def test_a_deleted_row_stops_no_walk(table, recorder, recorded, tmp_path):
    lineage = trace(recorder.store, recorded["quantized"])
    gone = lineage.producers[recorded["quantized"]] if table == "Execution" else recorded["quantized"]
    # As an attacker would: its properties, of which ML Metadata makes sure in its own way, are left.
    with contextlib.closing(sqlite3.connect(tmp_path / "metadata.sqlite")) as database, database:
        database.execute(f"DELETE FROM {table} WHERE id = ?", (gone,))
    lineage = trace(recorder.store, recorded["blessed"])
    assert gone not in (lineage.executions if table == "Execution" else lineage.artifacts)
    assert "Validator" in nodes(lineage)
    assert trace_downstream(recorder.store, recorded["model"]).executions
