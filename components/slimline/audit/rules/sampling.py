"""Rules on calibration: the sample is the one that its seed gives, and it is apart from what the gate measures on."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from slimline.audit.case import Case
from slimline.audit.findings import Finding, Status
from slimline.core.examples.tfrecord import read_records
from slimline.core.sampling.rank import record_digest, record_rank
from slimline.errors import SlimlineError
from slimline.names import file_names, metadata_keys

_SAMPLE_TYPE = metadata_keys.CALIBRATION_DATASET_TYPE


def sample_rederived(case: Case) -> Iterator[Finding]:
    """Ranks every record of the source again, and compares the sample with the records of smallest rank.

    A record for which a place was reserved, as for a stratum, has to be of the source; the others have to be those of
    smallest rank.
    """
    rule = "sample-rederived"
    for node in case.of_type(_SAMPLE_TYPE):
        subject = case.describe(node)
        manifest = case.json_of(node, file_names.CALIBRATION_MANIFEST)
        records = case.place(node) / file_names.CALIBRATION_RECORDS
        if not isinstance(manifest, dict) or not records.is_file():
            yield Finding(rule, Status.INCONCLUSIVE, subject, "records or manifest are missing", node.id)
            continue
        try:
            status, text = _compare_sample(case, manifest, records)
        except (SlimlineError, KeyError, TypeError, ValueError) as error:
            status, text = Status.FAIL, f"its records or its manifest can't be read: {getattr(error, 'found', error)}"
        yield Finding(rule, status, subject, text, node.id)


def sample_apart(case: Case) -> Iterator[Finding]:
    """Looks whether what was calibrated on was measured on too."""
    rule = "sample-apart"
    gates = [(gate, case.config_of(gate) or {}) for gate in case.gates]
    for node in case.of_type(_SAMPLE_TYPE):
        subject = case.describe(node)
        manifest = case.json_of(node, file_names.CALIBRATION_MANIFEST)
        maker = case.everything.producers.get(node.id)
        if not isinstance(manifest, dict) or maker is None:
            continue
        examples = set(maker.inputs.get("examples", ()))
        shared = [
            gate.node
            for gate, config in gates
            if examples & set(gate.inputs.get("examples", ())) and config.get("split") == manifest.get("split")
        ]
        overlapping = [text for text in manifest.get("warnings", ()) if "evaluation" in str(text)]
        if shared:
            text = f"{shared[0]} measured on the split {manifest.get('split')!r} that it was drawn from"
            yield Finding(rule, Status.FAIL, subject, text, node.id)
        elif overlapping:
            yield Finding(rule, Status.WARN, subject, str(overlapping[0]), node.id)
        elif gates:
            yield Finding(rule, Status.PASS, subject, f"drawn from split {manifest.get('split')!r} alone", node.id)


def _compare_sample(case: Case, manifest: Mapping[str, Any], records: Path) -> tuple[Status, str]:
    seed = _seed(case, records)
    sampled = {record_rank(record, seed).hex(): record_digest(record) for record in _records(records)}
    told = {str(entry["rank"]): str(entry["digest"]) for entry in manifest["records"]}
    if sampled != told:
        num_wrong = len(set(sampled.items()) ^ set(told.items()))
        return Status.FAIL, f"{num_wrong} entries of manifest and records do not belong together"
    sources = [case.everything.place(str(entry["path"])) for entry in manifest["files"]]
    if not all(path.is_file() for path in sources):
        return Status.INCONCLUSIVE, "the files that it was drawn from are gone"
    reserved = {str(entry["rank"]) for entry in manifest["records"] if entry.get("reserved")}
    free = len(told) - len(reserved)
    ranks = {record_rank(record, seed).hex() for path in sources for record in _records(path)}
    expected = set(sorted(ranks - reserved)[:free]) | reserved
    if not reserved <= ranks or expected != set(told):
        return Status.FAIL, f"{len(set(told) - ranks)} records are not of the source, or not those of smallest rank"
    return Status.PASS, f"{len(told)} of {len(ranks)} distinct records, as seed {seed} gives them"


def _records(path: Path) -> Iterator[bytes]:
    with path.open("rb") as stream:
        yield from read_records(stream, str(path))


def _seed(case: Case, records: Path) -> int:
    """Returns the seed that the sampler was started with."""
    node = next(node for node in case.of_type(_SAMPLE_TYPE) if case.place(node) == records.parent)
    config = case.config_of(case.everything.producers.get(node.id)) or {}
    return int(config.get("seed", node.properties.get(metadata_keys.SEED, 0)))
