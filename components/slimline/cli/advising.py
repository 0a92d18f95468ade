"""Prints which scheme suits a device, and why."""

import json

from slimline.cli.terminal import terminal
from slimline.core.quantization.advisor import Wishes, advise
from slimline.core.schemes import Data


def print_advice(wishes: Wishes, data: Data, *, as_json: bool) -> None:
    """Walks the advisor's tree and prints where it leads.

    Raises:
      ConfigError: The target needs records, and there are none.
    """
    advice = advise(wishes, data)
    if as_json:
        print(json.dumps(advice.to_dict(), indent=1))
        return
    console = terminal()
    training = ', training="qat"' if advice.training else ""
    batch = ", static_batch=True" if advice.static_batch else ""
    console.print(f'QuantizationConfig(scheme="{advice.scheme}"{training}{batch})', markup=False, soft_wrap=True)
    for reason in advice.reasons:
        console.print(f"  because: {reason}", markup=False, soft_wrap=True)
    for step in advice.next_steps:
        console.print(f"  if that is not good enough: {step}", markup=False, soft_wrap=True)
