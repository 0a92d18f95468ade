from .rank import SampledRecord as SampledRecord
from .rank import SamplingConfig as SamplingConfig
from .rank import Strata as Strata
from .rank import bottom_k as bottom_k
from .rank import record_rank as record_rank
from .rank import select as select
