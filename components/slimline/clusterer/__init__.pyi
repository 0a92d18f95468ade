from .component import Clusterer as Clusterer
