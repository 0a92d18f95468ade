"""Options of the form NAME=VALUE."""

from collections.abc import Sequence

from slimline.errors import ConfigError


def pairs(listed: Sequence[str], option: str, form: str) -> dict[str, str]:
    """Splits options of the form NAME=VALUE.

    Args:
      listed: As given on the command line.
      option: For messages.
      form: For messages, as `INPUT=FEATURE`.

    Raises:
      ConfigError: One has no equals sign, or a name is given twice.
    """
    found: dict[str, str] = {}
    for text in listed:
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise ConfigError(f"{option} {text!r}", form, "write both sides, with an equals sign")
        if name in found:
            raise ConfigError(f"{option} {name}=... twice", "each name once", "leave one of them out")
        found[name] = value
    return found


def shapes(listed: Sequence[str], option: str) -> dict[str, tuple[int, ...]]:
    """Splits options of the form NAME=SIZES, as `image=224,224,3`.

    Raises:
      ConfigError: One has another form.
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, text in pairs(listed, option, "INPUT=SIZES").items():
        sizes = text.split(",")
        if not all(size.strip().isdecimal() and int(size) for size in sizes):
            raise ConfigError(
                f"{option} {name}={text}", "INPUT=SIZES, as image=224,224,3", "write sizes without a batch"
            )
        found[name] = tuple(int(size) for size in sizes)
    return found
