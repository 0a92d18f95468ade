"""What a target has to be told: which accelerator of a family, in which system."""

from typing import Literal, TypeAlias

from pydantic import model_validator

from slimline.core.config import Config

Accelerator: TypeAlias = Literal[
    "ethos-u55-32",
    "ethos-u55-64",
    "ethos-u55-128",
    "ethos-u55-256",
    "ethos-u65-256",
    "ethos-u65-512",
    "ethos-u85-128",
    "ethos-u85-256",
    "ethos-u85-512",
    "ethos-u85-1024",
    "ethos-u85-2048",
]
MemoryMode: TypeAlias = Literal[
    "Sram_Only",
    "Shared_Sram",
    "Dedicated_Sram",
    "Dedicated_Sram_256KB",
    "Dedicated_Sram_384KB",
    "Dedicated_Sram_512KB",
]
# Those that Vela 5.2 chooses when it is told nothing; named, since a figure without its system says little.
_SYSTEMS = {
    "ethos-u55": ("Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u65": ("Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
    "ethos-u85": ("Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"),
}


class EthosUConfig(Config):
    """An Ethos-U in its system. All estimates hold for these three together.

    Attributes:
      accelerator: The NPU, with its multiply-accumulate units.
      system_config: Clock and bandwidths, as a section of Vela's `Arm/vela.ini`; that of a system usual for the
        accelerator when left out.
      memory_mode: Where weights and activations lie, as a section of the same file; likewise.
    """

    accelerator: Accelerator = "ethos-u55-128"
    system_config: str | None = None
    memory_mode: MemoryMode | None = None

    @model_validator(mode="after")
    def _check(self) -> "EthosUConfig":
        family = self.accelerator.split("-")[1].upper()
        if self.system_config is not None and not self.system_config.startswith(f"Ethos_{family}_"):
            raise ValueError(f"a system_config that begins with Ethos_{family}_, not {self.system_config!r}")
        return self

    @property
    def system(self) -> str:
        """The system configuration, given or usual."""
        return self.system_config or _SYSTEMS[self._family][0]

    @property
    def memory(self) -> str:
        """The memory mode, given or usual."""
        return self.memory_mode or _SYSTEMS[self._family][1]

    @property
    def _family(self) -> str:
        return self.accelerator.rpartition("-")[0]
