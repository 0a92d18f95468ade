"""How Beam reads its options, seen in apache-beam 2.77.

Beam passes over options that it does not know; its own parser, filled by every class of options, knows them.
"""

import argparse

from apache_beam.options.pipeline_options import PipelineOptions, _BeamArgumentParser


def option_parser() -> argparse.ArgumentParser:
    """Returns a parser that knows every option of Beam and of the runners whose modules are imported."""
    # It has what classes of options may use beside argparse's own methods.
    parser: argparse.ArgumentParser = _BeamArgumentParser(allow_abbrev=False, add_help=False)
    # A class of the main module may stand there twice.
    for options in {str(options): options for options in PipelineOptions.__subclasses__()}.values():
        options._add_argparse_args(parser)
    return parser


def option_names(parser: argparse.ArgumentParser) -> list[str]:
    """Returns the options that a parser knows, as `--name`."""
    return [name for action in parser._actions for name in action.option_strings]
