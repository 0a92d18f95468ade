"""An audit as one HTML page: findings first, then the graph; it needs no network and no other file."""

import json
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from slimline.audit.audit import AuditResult
from slimline.audit.findings import Finding, Status, count_statuses
from slimline.audit.layout import lay_out
from slimline.audit.snapshot import Execution, Snapshot
from slimline.lineage.records import ArtifactNode
from slimline.plain_text import plain_values

_MAX_CHARS = 4_000
# What a browser draws and searches without a pause. `--json` has all.
_MAX_STEPS, _MAX_FINDINGS = 300, 2_000


def render_audit(result: AuditResult, records: Snapshot, *, strict: bool) -> str:
    """Returns the page. Whatever stands in the records is escaped.

    Args:
      result: The findings.
      records: What was audited.
      strict: Whether undecided rules count as failures.
    """
    environment = Environment(
        loader=PackageLoader("slimline.audit", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    shown = _newest(records, result)
    layout = lay_out(shown)
    content = {
        "subject": result.subject,
        "is_clean": result.is_clean(strict=strict),
        "counts": count_statuses(result.findings),
        "findings": [finding.to_dict() for finding in _shown(result)],
        "steps": [_step(execution, shown) for execution in shown.executions.values()],
        "num_left_out": len(records.executions) - len(shown.executions),
    }
    return environment.get_template("audit.html.jinja").render(
        layout=layout,
        places={place.execution.id: place for place in layout.places},
        worst=_worst(result),
        **plain_values(content),
    )


def _newest(records: Snapshot, result: AuditResult) -> Snapshot:
    """Leaves out old steps of a large store about which there is nothing to say."""
    told = {f.execution_id for f in result.findings if f.status in (Status.FAIL, Status.WARN)}
    newest = sorted(records.executions, key=lambda id_: (id_ in told, id_))[-_MAX_STEPS:]
    return records if len(newest) == len(records.executions) else records.restricted(sorted(newest))


def _shown(result: AuditResult) -> list[Finding]:
    """Leaves out what is in order beyond a number that a browser shows at once."""
    bad = [f for f in result.findings if f.status not in (Status.PASS, Status.NOT_RECORDED)]
    rest = [f for f in result.findings if f.status in (Status.PASS, Status.NOT_RECORDED)]
    return [*bad[:_MAX_FINDINGS], *rest[: max(0, _MAX_FINDINGS - len(bad))]]


def _worst(result: AuditResult) -> dict[int, str]:
    """Returns the status of each step: the first of its findings, which are in order of severity."""
    worst: dict[int, str] = {}
    for finding in result.findings:
        if finding.execution_id:
            worst.setdefault(finding.execution_id, str(finding.status))
    return worst


def _step(execution: Execution, records: Snapshot) -> dict[str, Any]:
    return {
        "id": execution.id,
        "node": execution.node or execution.type,
        "state": execution.state,
        "run": execution.run,
        "parameters": {
            name: _shorten(value) for name, value in execution.parameters.items() if value not in ("", None)
        },
        "inputs": [_artifact(key, records.artifacts[id_]) for key, ids in execution.inputs.items() for id_ in ids],
        "outputs": [_artifact(key, records.artifacts[id_]) for key, ids in execution.outputs.items() for id_ in ids],
    }


def _artifact(key: str, node: ArtifactNode) -> dict[str, Any]:
    properties = {name: _shorten(value) for name, value in node.properties.items() if value not in ("", None)}
    return {"key": key, "id": node.id, "type": node.type, "uri": node.uri, "properties": properties}


def _shorten(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _MAX_CHARS else text[:_MAX_CHARS] + "…"
