"""What a user can say of Examples: which features feed the inputs, and which one is the label."""

from pydantic import Field, model_validator

from slimline.core.config import Config


class ExamplesConfig(Config):
    """How Examples become what a model is trained and measured on. It is the same for all components of a pipeline.

    Attributes:
      label_key: Feature that holds the label; for a model of several outputs one feature per output name.
      label_is_input: The model is to give back what it gets, as an autoencoder: there is no label feature.
      input_features: For each model input whose name is not the name of a feature, the feature to feed it. A model of
        one input needs no entry when the Examples have one feature besides the label.
      preprocessing_fn: Dotted path of a function from a batch of parsed features, by name, to (inputs by name, label).
        It replaces the matching of features with inputs.
      input_fn: Dotted path of a function `read(files, schema, batch_size)` that returns a `tf.data.Dataset` of batches
        of (inputs by name, label). It replaces the reading of Examples altogether.
    """

    label_key: str | dict[str, str] | None = None
    label_is_input: bool = False
    input_features: dict[str, str] = Field(default_factory=dict)
    preprocessing_fn: str | None = None
    input_fn: str | None = None

    @model_validator(mode="after")
    def _check(self) -> "ExamplesConfig":
        if self.preprocessing_fn is not None and self.input_fn is not None:
            raise ValueError("either preprocessing_fn or input_fn")
        has_own_code = self.preprocessing_fn is not None or self.input_fn is not None
        if not has_own_code and (self.label_key is None) != self.label_is_input:
            raise ValueError("either label_key='…' or label_is_input=True")
        if has_own_code and (self.label_key or self.label_is_input or self.input_features):
            raise ValueError("no label_key, label_is_input and input_features beside a function that replaces them")
        if self.label_key in ("", {}):
            raise ValueError("label_key with the name of a feature")
        return self

    @property
    def label_features(self) -> dict[str, str]:
        """Features that hold labels, by output name; the name is empty for a single output."""
        if self.label_key is None:
            return {}
        return self.label_key if isinstance(self.label_key, dict) else {"": self.label_key}
