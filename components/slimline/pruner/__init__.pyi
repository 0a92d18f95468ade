from .component import Pruner as Pruner
