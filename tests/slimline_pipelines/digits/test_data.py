import numpy as np
import tensorflow as tf

from slimline.core.digest import folder_digest
from slimline.core.examples.tfrecord import read_records
from slimline_pipelines.digits.data import write_examples


def read(folder):
    (file,) = folder.iterdir()
    with file.open("rb") as stream:
        return list(read_records(stream, file.name))


def test_all_images_are_written_once_and_the_splits_share_none(tmp_path):
    write_examples(tmp_path)
    train, evaluation = read(tmp_path / "data" / "train"), read(tmp_path / "data" / "eval")
    assert (len(train), len(evaluation)) == (1347, 450)
    assert not set(train) & set(evaluation)


def test_images_are_in_range_and_every_class_is_in_both_splits(tmp_path):
    write_examples(tmp_path)
    for split in ("train", "eval"):
        features = [tf.train.Example.FromString(record).features.feature for record in read(tmp_path / "data" / split)]
        images = np.array([feature["image"].float_list.value for feature in features])
        assert images.shape[1] == 64
        assert (images.min(), images.max()) == (0, 1)
        assert {feature["digit"].int64_list.value[0] for feature in features} == set(range(10))


def test_writing_again_touches_nothing(tmp_path):
    write_examples(tmp_path)
    digest = folder_digest(tmp_path)
    times = [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.gz"))]
    write_examples(tmp_path)
    assert folder_digest(tmp_path) == digest
    assert [path.stat().st_mtime_ns for path in sorted(tmp_path.rglob("*.gz"))] == times
