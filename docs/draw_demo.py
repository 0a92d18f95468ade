"""Draws docs/images/demo.svg, the README's picture, from the outcome of a real run.

Call it with a fresh run, whose duration is that of all steps:
`slimline run digits --root $(mktemp -d) --json | python docs/draw_demo.py`.
"""

import io
import json
import sys
from pathlib import Path

from rich.console import Console

from slimline.cli.results import print_outcome

_PICTURE = Path(__file__).parent / "images" / "demo.svg"
_WIDTH = 140
# Like rich's own, but its fonts are those of the reader's machine: the picture loads nothing.
_TEMPLATE = """\
<svg viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: ui-monospace, Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-family: sans-serif; font-size: 18px; font-weight: bold; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal"><rect width="{terminal_width}" height="{terminal_height}"/></clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix" xml:space="preserve">
{matrix}
</g>
</g>
</svg>
"""


def draw(outcome_json: str) -> str:
    """Returns the picture of what a terminal shows at the end of a run.

    Args:
      outcome_json: What `slimline run --json` prints. Wherever the run's folder was, the picture shows the default one.
    """
    outcome = json.loads(outcome_json)
    root = str(Path(outcome["metadata"]).parent)
    outcome = json.loads(outcome_json.replace(root, f"slimline-runs/{outcome['pipeline']}"))
    console = Console(record=True, width=_WIDTH, file=io.StringIO(), force_terminal=True, highlight=False)
    print_outcome(outcome, console)
    picture = console.export_svg(title="slimline demo", code_format=_TEMPLATE)
    # Lines end in spaces that a terminal needs and a file does not.
    return "".join(f"{line.rstrip()}\n" for line in picture.splitlines() if line.strip())


if __name__ == "__main__":
    _PICTURE.write_text(draw(sys.stdin.read()))
