"""Reference pipelines, each complete: data, Trainer, optimization, validation, push.

`PIPELINES` names them for the command line.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Reference:
    """Where a pipeline's parts are, as `package.module:function`.

    Attributes:
      create: From the root folder to the TFX pipeline.
      prepare: Takes the root folder and returns None: writes the data that ships with the pipeline, before it runs.
    """

    create: str
    prepare: str


PIPELINES = {
    "digits": Reference(
        create="slimline_pipelines.digits.pipeline:create_pipeline",
        prepare="slimline_pipelines.digits.data:write_examples",
    ),
}
