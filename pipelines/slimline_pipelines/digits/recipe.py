"""How the digits' network is made small: the settings of Pruner, Clusterer and quantization-aware training.

The first and the last layer are small and do much: they keep more of their weights. `benchmarks/digits_compression.py`
measures what each step gains.
"""

from slimline import ClusteringConfig, PruningConfig, PruningRule, QatConfig

PRUNING = PruningConfig(
    target_sparsity=0.97,
    rules=(
        PruningRule(layers="conv_1", target_sparsity=0.5),
        PruningRule(layers="conv_2", target_sparsity=0.9),
        PruningRule(layers="probabilities", target_sparsity=0.8),
    ),
    epochs=40,
    learning_rate=2e-3,
    ramp=0.6,
)
CLUSTERING = ClusteringConfig(num_clusters=8, epochs=6, learning_rate=5e-4)
QAT = QatConfig(epochs=6, learning_rate=3e-4)
