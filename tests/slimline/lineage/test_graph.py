from slimline.lineage.graph import consumers, trace


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
