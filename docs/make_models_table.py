"""Writes docs/models.md: what can be done to the models of `tests.zoo`, as `slimline inspect` tells it.

Run from the repository's root: `.venv/bin/python -m docs.make_models_table`.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import keras
import tf_keras

from slimline.core.inspection import Finding, Preflight, inspect_model
from slimline.core.models.keras3 import to_tf_keras
from slimline.errors import ModelError
from tests import zoo

TABLE = Path(__file__).with_name("models.md")
_BOTH = {**zoo.PORTABLE, **zoo.LARGE}
_TECHNIQUES = ("pruning", "clustering", "qat", "ptq")
_HEAD = """# What can be done to which model

Made by `python -m docs.make_models_table` from the models of `tests/zoo.py`; a test checks that it is up to date. A
percentage is the share of the model's parameters that the technique acts on. *Partly* means that some layers stay as
they are: the notes below say which and why. PTQ is quantization after the training, which takes any model that TFLite
has the operations for. The last column tells whether the same model, built with Keras 3, comes through the bridge.

| model | pruning | clustering | QAT | PTQ | Keras 3 |
|---|---|---|---|---|---|
"""


def make_table() -> str:
    """Returns the whole page."""
    rows, notes = [], []
    for name, build in {**_BOTH, **zoo.TF_KERAS_ONLY, **zoo.REFUSED}.items():
        tf_keras.backend.clear_session()
        preflight = inspect_model(build().model)
        bridge = _bridge(build(keras).model) if name in _BOTH else ""
        cells = [_cell(finding) for finding in _findings(preflight)]
        rows.append(f"| {name} | {' | '.join(cells)} | {bridge} |\n")
        notes += [f"- **{name}**, {text}\n" for text in _notes(preflight)]
    return _HEAD + "".join(rows) + "\n## Notes\n\n" + "".join(notes)


def _findings(preflight: Preflight) -> Iterator[Finding]:
    by_technique = {finding.technique: finding for finding in preflight.findings}
    return (by_technique[technique] for technique in _TECHNIQUES)


def _cell(finding: Finding) -> str:
    share = "" if finding.verdict == "refused" else f" {100 * finding.covered_share:.0f}%"
    return finding.verdict + share


def _bridge(model: Any) -> str:
    try:
        to_tf_keras(model)
    except ModelError as error:
        return f"refused: {error.found}"
    return "yes"


def _notes(preflight: Preflight) -> Iterator[str]:
    for finding in _findings(preflight):
        for blocker in finding.blockers:
            yield f"{finding.technique} refused: {blocker}"
        for reason, names in _by_reason(finding).items():
            shown = ", ".join(f"`{name}`" for name in names[:3])
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            yield f"{finding.technique} leaves {shown}{more}: {reason}"


def _by_reason(finding: Finding) -> Mapping[str, list[str]]:
    reasons: dict[str, list[str]] = {}
    for layer in finding.left:
        reasons.setdefault(layer.reason, []).append(layer.name)
    return reasons


if __name__ == "__main__":
    TABLE.write_text(make_table())
