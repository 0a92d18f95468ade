"""What a rule finds."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Status(StrEnum):
    """How a rule ended for one subject."""

    PASS = "PASS"  # noqa: S105
    FAIL = "FAIL"
    WARN = "WARN"
    # The evidence that would decide is gone.
    INCONCLUSIVE = "INCONCLUSIVE"
    # Whoever made it records no such evidence.
    NOT_RECORDED = "NOT_RECORDED"


@dataclass(frozen=True)
class Finding:
    """One rule's word on one subject.

    Attributes:
      rule: Id of the rule, as `bytes-as-recorded`.
      status: How it ended.
      subject: What it is about, as `Model 12 (Quantizer-int8)`.
      text: What was found, and what was expected, in one sentence.
      artifact_id: In the store; 0 when it is about no artifact.
      execution_id: In the store; 0 when it is about no execution.
    """

    rule: str
    status: Status
    subject: str
    text: str
    artifact_id: int = 0
    execution_id: int = 0

    def to_dict(self) -> dict[str, Any]:
        """Returns it for JSON."""
        return {**asdict(self), "status": str(self.status)}


def count_statuses(findings: Iterable[Finding]) -> dict[str, int]:
    """Returns the number of findings of each status, zeros too."""
    counted = Counter(finding.status for finding in findings)
    return {str(status): counted[status] for status in Status}
