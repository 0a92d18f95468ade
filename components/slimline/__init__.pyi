from .artifacts import CalibrationDataset as CalibrationDataset
from .artifacts import EdgeEvaluation as EdgeEvaluation
from .calibration_sampler.component import CalibrationSampler as CalibrationSampler
from .clusterer.component import Clusterer as Clusterer
from .core.evaluation.gates import DeviceBudget as DeviceBudget
from .core.evaluation.gates import GateConfig as GateConfig
from .core.evaluation.gates import TargetRule as TargetRule
from .core.evaluation.gates import Threshold as Threshold
from .core.evaluation.gates import WeightedGoal as WeightedGoal
from .core.evaluation.metrics import CustomMetric as CustomMetric
from .core.evaluation.slices import SliceBy as SliceBy
from .core.examples.configuration import ExamplesConfig as ExamplesConfig
from .core.optimization.clustering_config import ClusteringConfig as ClusteringConfig
from .core.optimization.clustering_config import ClusteringRule as ClusteringRule
from .core.optimization.pruning_config import PruningConfig as PruningConfig
from .core.optimization.pruning_config import PruningRule as PruningRule
from .core.optimization.qat_config import QatConfig as QatConfig
from .core.quantization.advisor import Wishes as Wishes
from .core.quantization.configuration import QuantizationConfig as QuantizationConfig
from .core.quantization.selective_config import SelectiveConfig as SelectiveConfig
from .core.sampling.rank import SamplingConfig as SamplingConfig
from .core.sampling.rank import Strata as Strata
from .edge_validator.component import EdgeValidator as EdgeValidator
from .pruner.component import Pruner as Pruner
from .quantizer.component import Quantizer as Quantizer

__version__: str
