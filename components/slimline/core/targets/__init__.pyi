from .judging import judge_target as judge_target
from .options import EthosUConfig as EthosUConfig
from .report import Placement as Placement
from .report import TargetReport as TargetReport
