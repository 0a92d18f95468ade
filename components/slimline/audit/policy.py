"""What an auditor demands beyond consistency, as a JSON file."""

from pathlib import Path

from pydantic import Field

from slimline.core.config import Config
from slimline.core.schemes import Scheme
from slimline.errors import ConfigError


class Policy(Config):
    """The demands. What is left out is not asked.

    Attributes:
      schemes: Allowed schemes of pushed models.
      min_calibration_records: Fewest records to calibrate with.
      max_drop: Largest limit that a gate may have set on the drop of a metric, by its name, as `accuracy`.
      min_confidence: Smallest confidence that a gate may have been set to.
      versions: Allowed versions by package, each one of a list, as `{"tensorflow": ["2.21.0"]}`.
      require_signatures: Whether every step must be signed; give the keys with `--key`.
      require_clean_source: Whether every step must name a commit without changes.
    """

    schemes: tuple[Scheme, ...] | None = None
    min_calibration_records: int | None = Field(default=None, ge=1)
    max_drop: dict[str, float] = Field(default_factory=dict)
    min_confidence: float | None = Field(default=None, gt=0, lt=1)
    versions: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    require_signatures: bool = False
    require_clean_source: bool = False


def read_policy(path: Path) -> Policy:
    """Reads a policy.

    Raises:
      ConfigError: There is no such file, or it is no policy.
    """
    try:
        text = path.read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"no policy {path}: {error}", "a JSON file with the options of Policy", "check the path"
        ) from None
    return Policy.from_json(text)
