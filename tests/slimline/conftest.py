"""How long hypothesis may take for one example: as long as it likes, since machines of the checks are often busy."""

from hypothesis import settings

settings.register_profile("slimline", deadline=None)
settings.load_profile("slimline")
