"""Rules on the gate: whether what was pushed is what was blessed, and what was blessed is what was measured."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slimline.audit.case import Case, served_digests
from slimline.audit.findings import Finding, Status
from slimline.audit.snapshot import Execution
from slimline.errors import ProvenanceError
from slimline.lineage.records import ArtifactNode
from slimline.names import file_names, metadata_keys
from slimline.provenance.chain import read_chain
from slimline.provenance.manifest import manifest_of


def pushed_through_gate(case: Case) -> Iterator[Finding]:
    """Finds pushes without a gate, after a refusal, and of another model than the one that was blessed."""
    rule = "pushed-through-gate"
    for push, pushed in case.pushes:
        subject = case.describe(pushed)
        models, blessings = case.inputs(push, "model"), case.inputs(push, "model_blessing")
        problem = _gate_problem(case, models, blessings)
        if problem:
            yield Finding(rule, Status.FAIL, subject, problem, pushed.id, push.id)
        else:
            text = f"{case.describe(models[0])}, blessed by {case.describe(blessings[0])}"
            yield Finding(rule, Status.PASS, subject, text, pushed.id, push.id)


def pushed_is_blessed(case: Case) -> Iterator[Finding]:
    """Compares what lies at the destination of each push with the model that was handed to it."""
    rule = "pushed-is-blessed"
    for push, pushed in case.pushes:
        subject = f"{case.describe(pushed)} at {pushed.properties.get(metadata_keys.PUSHED_DESTINATION)}"
        models = case.inputs(push, "model")
        blessed = _stated_files(case, models[0]) if models else None
        destination = case.destination(pushed)
        if not blessed:
            yield Finding(rule, Status.NOT_RECORDED, subject, "no step recorded the pushed model's files", pushed.id)
        elif not destination.exists():
            yield Finding(rule, Status.INCONCLUSIVE, subject, "nothing lies there any more", pushed.id)
        else:
            wrong = _compare(blessed, served_digests(manifest_of(destination))) or _other_chain(
                case, models[0], destination
            )
            status = Status.FAIL if wrong else Status.PASS
            yield Finding(rule, status, subject, wrong or f"{len(blessed)} files as blessed", pushed.id)


def nothing_beside_pushes(case: Case) -> Iterator[Finding]:
    """Finds what lies in a serving folder and was pushed by no recorded run."""
    rule = "nothing-beside-pushes"
    everywhere = [node for node in case.everything.artifacts.values() if node.type == "PushedModel"]
    known = {
        case.destination(node).resolve() for node in everywhere if metadata_keys.PUSHED_DESTINATION in node.properties
    }
    for folder in sorted({case.destination(pushed).resolve().parent for _, pushed in case.pushes}):
        if not folder.is_dir():
            continue
        strangers = sorted(path for path in folder.iterdir() if path.resolve() not in known)
        for stranger in strangers:
            text = "it lies where pipelines push to, and no recorded run pushed it"
            yield Finding(rule, Status.FAIL, str(stranger), text)
        if not strangers:
            yield Finding(rule, Status.PASS, str(folder), "all that lies there was pushed by recorded runs")


def blessed_is_measured(case: Case) -> Iterator[Finding]:
    """Follows the digest of the chosen model from its Quantizer through the evaluation to the blessed model."""
    rule = "blessed-is-measured"
    for gate, evaluation in case.evaluations:
        subject = f"{gate.node} {gate.id}"
        blessing = next(iter(case.outputs(gate, "blessing")), None)
        is_blessed = blessing is not None and blessing.properties.get(metadata_keys.BLESSED) == 1
        chosen = evaluation.get("chosen")
        if is_blessed != bool(chosen):
            text = f"the evaluation chose {chosen or 'none'}, and the blessing says {'yes' if is_blessed else 'no'}"
            yield Finding(rule, Status.FAIL, subject, text, 0, gate.id)
        elif not chosen:
            yield Finding(rule, Status.PASS, subject, "it blessed none", 0, gate.id)
        else:
            wrong = "; ".join(_blessing_problems(case, gate, evaluation))
            status = Status.FAIL if wrong else Status.PASS
            yield Finding(rule, status, subject, wrong or f"{chosen} was measured and is what is blessed", 0, gate.id)


def _gate_problem(case: Case, models: list[ArtifactNode], blessings: list[ArtifactNode]) -> str:
    if not models:
        return "the push has no model on record"
    if not blessings:
        return f"{case.describe(models[0])} was pushed without a gate: the push took no blessing"
    model, blessing = models[0], blessings[0]
    if blessing.properties.get(metadata_keys.BLESSED) != 1:
        return f"{case.describe(model)} was pushed after {case.describe(blessing)} refused"
    makers = case.everything.producers
    if makers.get(model.id) == makers.get(blessing.id):
        return ""
    told = blessing.properties.get(metadata_keys.CONTENT_DIGEST)
    if told and told == model.properties.get(metadata_keys.CONTENT_DIGEST):
        return ""
    if not told and blessing.properties.get(metadata_keys.CURRENT_MODEL_ID) == model.id:
        # TFX's own Evaluator names the model by its id.
        return ""
    return f"{case.describe(blessing)} is about another model than {case.describe(model)}, which was pushed"


def _stated_files(case: Case, model: ArtifactNode) -> dict[str, str]:
    """Returns the serving files of a model as its maker stated them."""
    step = case.step(model)
    prefix = file_names.SERVING_FOLDER + "/"
    for state in step.outputs if step else ():
        if state.uri == model.uri:
            inside = (entry for entry in state.files if entry.path.startswith(prefix))
            return {entry.path.removeprefix(prefix): entry.digest for entry in inside}
    return {}


def _other_chain(case: Case, model: ArtifactNode, destination: Path) -> str:
    """Says whether the statements at the destination are others than those beside the blessed model."""
    try:
        found = [envelope.digest for envelope in read_chain(destination)]
    except ProvenanceError as error:
        return error.found
    wanted = [envelope.digest for envelope in case.chain(model)]
    return "" if found == wanted or not wanted else "its statements are not those that the gate wrote"


def _compare(expected: dict[str, str], found: dict[str, str]) -> str:
    parts = [
        f"{name} differs from the blessed one" for name in expected if name in found and found[name] != expected[name]
    ]
    parts += [f"{name} is missing" for name in sorted(set(expected) - set(found))]
    parts += [f"{name} was not blessed" for name in sorted(set(found) - set(expected))]
    return "; ".join(parts)


def _blessing_problems(case: Case, gate: Execution, evaluation: Mapping[str, Any]) -> Iterator[str]:
    chosen = str(evaluation["chosen"])
    measured = next(
        (c.get("content_digest") for c in evaluation["candidates"] if isinstance(c, dict) and c.get("name") == chosen),
        None,
    )
    if measured is None:
        yield f"{chosen} was chosen, and no candidate of that name was measured"
        return
    for key in ("blessed_model", "blessing", "infra_blessing"):
        for node in case.outputs(gate, key):
            if node.properties.get(metadata_keys.CONTENT_DIGEST) != measured:
                yield f"{case.describe(node)} names {node.properties.get(metadata_keys.CONTENT_DIGEST)}, not {measured}"
    candidates = [
        case.everything.artifacts[i] for k, ids in gate.inputs.items() for i in ids if k.startswith("candidate")
    ]
    if measured not in {node.properties.get(metadata_keys.CONTENT_DIGEST) for node in candidates}:
        yield f"{measured}, which was measured as {chosen}, is the digest of none of the candidates"
    for model in case.outputs(gate, "blessed_model"):
        served = served_digests(case.manifest(model))
        if served and served.get(file_names.TFLITE) != measured:
            yield f"{case.describe(model)} holds {served.get(file_names.TFLITE)}, and {measured} was measured"
