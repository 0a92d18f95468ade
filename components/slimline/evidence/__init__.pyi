from .bundle import write_bundle as write_bundle
from .collecting import Evidence as Evidence
from .collecting import collect as collect
from .model_signature import sign_files as sign_files
from .model_signature import verify_files as verify_files
