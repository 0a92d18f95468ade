"""Names of the files and folders inside artifacts."""

# As TFX lays a model out: a `.tflite` file is `Format-Serving/tflite`.
SERVING_FOLDER = "Format-Serving"
TFLITE = "tflite"

# Beside a model.
GAINS = "gains.json"
IO_SPEC = "io_spec.json"
QUANTIZATION_REPORT = "quantization_report.json"

EVALUATION = "evaluation.json"
EVALUATION_PAGE = "evaluation.html"

CALIBRATION_RECORDS = "records.tfrecord.gz"
CALIBRATION_MANIFEST = "manifest.json"
