"""A model card for people, every number of which is the evaluation's; sections follow Mitchell et al., 2019.

https://arxiv.org/abs/1810.03993.
"""

from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape

from slimline.evidence.collecting import Evidence
from slimline.provenance.statement import Step


def model_card(evidence: Evidence, *, as_html: bool) -> str:
    """Returns the card.

    Args:
      evidence: Of a blessed model.
      as_html: One HTML file that loads nothing; else Markdown.
    """
    environment = Environment(
        loader=PackageLoader("slimline.evidence", "templates"),
        autoescape=select_autoescape(["html.jinja"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    name = "card.html.jinja" if as_html else "card.md.jinja"
    environment.filters["cell"] = _cell
    return environment.get_template(name).render(**_content(evidence))


def _content(evidence: Evidence) -> dict[str, Any]:
    gate, report = evidence.gate, evidence.report
    examples = gate.input("examples")
    return {
        "name": evidence.evaluation["chosen"],
        "digest": evidence.digest,
        "files": evidence.manifest.files,
        "report": report,
        "evaluation": evidence.evaluation,
        "config": evidence.evaluation["config"],
        "gate": gate,
        "examples": examples,
        "steps": [_step(step) for step in evidence.steps.values()],
        "versions": gate.environment.get("versions", {}),
    }


def _step(step: Step) -> dict[str, Any]:
    used = ", ".join(f"{state.key} {state.digest[7:19]}" for state in step.inputs)
    return {"node": step.node, "started": step.started, "used": used}


def _cell(text: Any) -> str:
    """Keeps a text in one cell of a Markdown table."""
    return str(text).replace("|", "\\|").replace("\n", " ").replace("<", "&lt;")
