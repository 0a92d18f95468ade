from . import completeness as completeness
from . import content as content
from . import decision as decision
from . import gate as gate
from . import origins as origins
from . import remeasuring as remeasuring
from . import sampling as sampling
