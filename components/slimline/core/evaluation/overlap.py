"""Whether the examples that models are judged by were trained on: such figures flatter every model.

A random sample of the evaluation's records is looked for among those of the training, byte by byte. With n records the
share that is found is sure to about 1 / sqrt(n).
"""

from collections.abc import Iterable
from dataclasses import dataclass

from slimline.core.sampling.rank import bottom_k, record_rank

NUM_LOOKED_FOR = 256
_SEED = 0


@dataclass(frozen=True)
class Overlap:
    """What was found.

    Attributes:
      num_found: Records of the sample that were trained on.
      num_looked_for: Records of the sample; fewer than `NUM_LOOKED_FOR` when there are no more.
      training: Where they were looked for, as a message names it.
      failure: Why it could not be looked for; empty when it could.
    """

    num_found: int
    num_looked_for: int
    training: str
    failure: str = ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader of the evaluation should know of it; empty when nothing was found."""
        if self.failure:
            return (f"It was not checked whether examples were trained on: {self.failure}.",)
        if not self.num_found:
            return ()
        return (
            f"{self.num_found} of {self.num_looked_for} examples looked for are in {self.training} as well: the "
            "metrics flatter the models.",
        )


def find_overlap(evaluation: Iterable[bytes], training: Iterable[bytes], name: str) -> Overlap:
    """Looks for records of an evaluation among those of a training.

    Args:
      evaluation: Serialized records that models are judged by.
      training: Serialized records that the model was trained on.
      name: Of the training's records, for messages.

    Raises:
      ExamplesError: A record is broken.

    Example:
      >>> find_overlap([b"a", b"b"], [b"b", b"c"], "the training split").num_found
      1
    """
    sampled = {ranked for ranked, _ in bottom_k(evaluation, NUM_LOOKED_FOR, _SEED)}
    found = {ranked for record in training if (ranked := record_rank(record, _SEED)) in sampled}
    return Overlap(len(found), len(sampled), name)
