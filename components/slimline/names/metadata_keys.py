"""Keys of what Slimline writes to ML Metadata, and its artifacts' type names: shells write them, lineage reads them.

They are public: an audit of next year reads the records of today. Values follow one rule for all databases: floats and
large integers as strings, strings under 2.6 kB, no backslash, no NUL (docs/decisions.md).
"""

# On every model that Slimline writes: `sha256:<hex>` (see `slimline.core.digest`).
CONTENT_DIGEST = "content_digest"
# The digest of the model that a component was given.
SOURCE_DIGEST = "source_digest"

# On every output of Slimline's components: the digest of the statement of the step, and of its files' manifest
# (see `slimline.provenance`).
STEP_DIGEST = "step_digest"
MANIFEST_DIGEST = "manifest_digest"

# Pruner, Clusterer and Quantizer: what is measured of the kernels, with the digest of the file that has all of it.
SPARSITY = "sparsity"
SPARSITY_BEFORE = "sparsity_before"
MAX_DISTINCT_WEIGHTS = "max_distinct_weights"
MAX_DISTINCT_PER_CHANNEL = "max_distinct_per_channel"
LOST_GAINS = "lost_gains"
GAINS_DIGEST = "gains_digest"
# Loss and metrics of what was trained: `training_loss_before`, `held_accuracy_after`. Values as `repr` of a float.
STAGE_VALUE = "{part}_{name}_{when}"

# Quantizer.
SCHEME = "scheme"
TRAINING = "training"
COLLABORATION = "collaboration"
BACKEND = "backend"
PROVENANCE_ID = "provenance_id"
AGREEMENT = "agreement"
SQNR_DB = "sqnr_db"
MEETS_GOAL = "meets_goal"
KEPT_OPERATIONS = "kept_operations"
REPORT_DIGEST = "report_digest"
IO_SPEC_DIGEST = "io_spec_digest"
SIZE_BYTES = "size_bytes"
GZIP_BYTES = "gzip_bytes"

# CalibrationSampler.
NUM_RECORDS = "num_records"
NUM_SCANNED = "num_scanned"
NUM_DISTINCT = "num_distinct_estimate"
WARNINGS = "warnings"
SEED = "seed"

# EdgeValidator. The first three are TFX's own words, which Pusher and LatestBlessedModelStrategy read.
BLESSED = "blessed"
CURRENT_MODEL = "current_model"
CURRENT_MODEL_ID = "current_model_id"
CHOSEN = "chosen"
DECISION = "decision"
# TFX's InfraValidator: whether the blessing itself holds the model.
HAS_MODEL = "has_model"
BASELINE_DIGEST = "baseline_digest"
REASON = "reason"
# Followed by a metric's name; values as `repr` of a float.
METRIC_PREFIX = "metric_"
DROP_PREFIX = "drop_"
BASELINE_PREFIX = "baseline_"

# TFX's Pusher.
PUSHED = "pushed"
PUSHED_DESTINATION = "pushed_destination"

# Type names of Slimline's own artifacts. On Kubeflow they are imported by this path.
CALIBRATION_DATASET_TYPE = "slimline.CalibrationDataset"
EDGE_EVALUATION_TYPE = "slimline.EdgeEvaluation"
