import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from google.protobuf import text_format
from tensorflow_metadata.proto.v0 import schema_pb2

from slimline.core.examples.batches import check_batches, labelled_batches, representative_inputs
from slimline.core.examples.configuration import ExamplesConfig
from slimline.core.examples.records import check_records
from slimline.errors import ConfigError, ExamplesError
from tests.conftest import example, write_records

TABLE = """
feature { name: "age" type: FLOAT shape { dim { size: 1 } } }
feature { name: "income" type: FLOAT shape { dim { size: 3 } } }
feature { name: "price" type: FLOAT shape { dim { size: 1 } } }
feature { name: "interests" type: INT shape { dim { size: 2 } } }
"""
OWN = """
import tensorflow as tf

def prepare(features):
    return {"image": tf.reshape(features["image"], [-1, 8, 8, 1]) / 2.0}, features["digit"][:, 0]

def read(files, schema, batch_size):
    data = {"image": tf.zeros((10, 8, 8, 1))}, tf.range(10)
    return tf.data.Dataset.from_tensor_slices(data).batch(batch_size)

def wrong_inputs(features):
    return {"picture": features["image"]}, features["digit"]

def weighted(features):
    return {"image": features["image"]}, features["digit"], features["digit"]

def unnamed(files, schema, batch_size):
    return tf.data.Dataset.from_tensors((tf.zeros((1, 8, 8, 1)), tf.zeros(1)))

def no_pair(features):
    return features["image"]

def no_dataset(files, schema, batch_size):
    return files
"""


def floats(**features):
    return tf.train.Example(
        features=tf.train.Features(
            feature={
                name: tf.train.Feature(int64_list=tf.train.Int64List(value=values))
                if name == "interests"
                else tf.train.Feature(float_list=tf.train.FloatList(value=values))
                for name, values in features.items()
            }
        )
    ).SerializeToString()


@pytest.fixture
def table(tmp_path):
    rows = [floats(age=[n], income=[n, 0, 1], price=[2 * n], interests=[0, n % 2]) for n in range(10)]
    return check_records((str(write_records(tmp_path / "table", rows)),))


@pytest.fixture(scope="module")
def tabular():
    layers = tf_keras.layers
    inputs = [layers.Input((1,), name="years"), layers.Input((3,), name="income")]
    hidden = layers.Concatenate()(inputs)
    return tf_keras.Model(inputs, [layers.Dense(1, name="price")(hidden), layers.Dense(2, name="likes")(hidden)])


@pytest.fixture
def images(digits, tmp_path):
    pictures, labels = digits
    rows = [example(picture, int(label)) for picture, label in zip(pictures[:50], labels, strict=False)]
    plain = write_records(tmp_path / "plain", rows[:20], compressed=False)
    return check_records((str(plain), str(write_records(tmp_path / "zipped", rows[20:]))))


@pytest.fixture
def _own_code(tmp_path, monkeypatch):
    (tmp_path / "own_reading.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)


def parse(text):
    return text_format.Parse(text, schema_pb2.Schema())


def first(dataset):
    return next(dataset.as_numpy_iterator())


def test_plain_and_zipped_files_are_read_in_their_order(images, schema, trained, digits):
    batches = labelled_batches(images, schema, trained, ExamplesConfig(label_key="digit"), batch_size=50)
    inputs, label = first(batches)
    np.testing.assert_allclose(inputs["image"], digits[0][:50])
    np.testing.assert_array_equal(label, digits[1][:50])


def test_several_inputs_and_outputs_get_their_features(table, tabular):
    data = ExamplesConfig(label_key={"price": "price", "likes": "interests"}, input_features={"years": "age"})
    inputs, labels = first(labelled_batches(table, parse(TABLE), tabular, data, batch_size=4))
    assert inputs["years"].tolist() == [[0], [1], [2], [3]]
    assert labels["price"].tolist() == [0, 2, 4, 6]
    assert labels["likes"].shape == (4, 2)


def test_an_autoencoder_gets_its_input_as_label(images, schema, trained):
    data = ExamplesConfig(label_is_input=True)
    inputs, label = first(labelled_batches(images, schema, trained, data, batch_size=4))
    np.testing.assert_array_equal(inputs["image"], label)


@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"label_key": "digt"}, "Did you mean 'digit'"),
        ({"label_key": "digit", "input_features": {"imag": "image"}}, "Did you mean 'image'"),
        (
            {"label_key": "digit", "input_features": {"image": "digit"}},
            "has 1 values, but the model input 'image' takes",
        ),
        ({"label_key": {"score": "digit"}}, "one for each output of the model: scores"),
    ],
)
def test_what_does_not_fit_is_refused(options, hint, images, schema, trained):
    with pytest.raises((ExamplesError, ConfigError)) as refused:
        labelled_batches(images, schema, trained, ExamplesConfig(**options), batch_size=4)
    assert hint in str(refused.value)


def test_a_missing_label_and_a_number_that_is_none_are_found_before_any_training(tmp_path, schema, trained, digits):
    data = ExamplesConfig(label_key="digit")
    unlabelled = tf.train.Example.FromString(example(digits[0][0], 1))
    del unlabelled.features.feature["digit"]
    broken = np.where(np.arange(64) == 5, np.nan, 0.0)
    for name, record, hint in (
        ("unlabelled", unlabelled.SerializeToString(), "can't be parsed"),
        ("broken", example(broken, 1), "NaN or infinity in image"),
    ):
        records = check_records((str(write_records(tmp_path / name, [example(digits[0][0], 1), record])),))
        with pytest.raises(ExamplesError, match=hint):
            check_batches(labelled_batches(records, schema, trained, data, batch_size=1), records)


def test_the_last_batch_may_be_smaller_and_all_examples_are_counted(images, schema, trained):
    batches = labelled_batches(images, schema, trained, ExamplesConfig(label_key="digit"), batch_size=16)
    assert [len(label) for _, label in batches.as_numpy_iterator()] == [16, 16, 16, 2]
    assert check_batches(batches, images) == 50


def test_a_number_that_is_none_is_found_in_its_batch(tmp_path, tabular):
    rows = [floats(age=[n], income=[0, 0, 0], price=[np.inf if n == 5 else 1], interests=[0, 0]) for n in range(7)]
    records = check_records((str(write_records(tmp_path / "table", rows)),))
    data = ExamplesConfig(label_key={"price": "price", "likes": "interests"}, input_features={"years": "age"})
    with pytest.raises(ExamplesError, match="in the label, in example 4 or one of the 2 from it on"):
        check_batches(labelled_batches(records, parse(TABLE), tabular, data, batch_size=2), records)


@pytest.mark.parametrize("values", [[1.0, 2.0], [], [1.0] * 4])
def test_a_record_of_another_size_than_the_schema_says_is_refused(values, tmp_path, tabular):
    good = floats(age=[1], income=[1, 2, 3], price=[1], interests=[0, 0])
    odd = floats(age=[1], income=values, price=[1], interests=[0, 0])
    records = check_records((str(write_records(tmp_path / "table", [good, odd])),))
    data = ExamplesConfig(label_key={"price": "price", "likes": "interests"}, input_features={"years": "age"})
    with pytest.raises(ExamplesError, match="can't be parsed"):
        check_batches(labelled_batches(records, parse(TABLE), tabular, data, batch_size=2), records)
    with pytest.raises(ExamplesError, match="can't be parsed"):
        list(representative_inputs(records, parse(TABLE), tabular, data))


def test_several_inputs_are_their_own_labels_by_name(table, tabular):
    data = ExamplesConfig(label_is_input=True, input_features={"years": "age"})
    inputs, label = first(labelled_batches(table, parse(TABLE), tabular, data, batch_size=4))
    for name in ("years", "income"):
        np.testing.assert_array_equal(inputs[name], label[name])


def test_representative_inputs_need_no_label_and_come_one_by_one(tmp_path, tabular):
    rows = [floats(age=[n], income=[n, 0, 1]) for n in range(3)]
    records = check_records((str(write_records(tmp_path / "unlabelled", rows)),))
    unlabelled = parse("\n".join(TABLE.strip().splitlines()[:2]))
    data = ExamplesConfig(label_key={"price": "price", "likes": "interests"}, input_features={"years": "age"})
    given = list(representative_inputs(records, unlabelled, tabular, data))
    assert [inputs["years"].tolist() for inputs in given] == [[[0]], [[1]], [[2]]]
    assert given[0]["income"].shape == (1, 3)


# As Transform writes it: a shape for every dense feature, and none for one of variable length.
TRANSFORMED = """
feature { name: "age" type: FLOAT presence { min_fraction: 1.0 min_count: 1 } shape { } }
feature { name: "income" type: FLOAT presence { min_fraction: 1.0 } shape { dim { size: 3 } } }
feature { name: "interests" type: INT int_domain { is_categorical: true } shape { dim { size: 2 } } }
feature { name: "price" type: FLOAT shape { } }
feature { name: "words" type: BYTES }
"""


def test_transformed_examples_are_read_by_the_schema_that_transform_writes(table, tabular):
    data = ExamplesConfig(label_key={"price": "price", "likes": "interests"}, input_features={"years": "age"})
    inputs, labels = first(labelled_batches(table, parse(TRANSFORMED), tabular, data, batch_size=4))
    assert (inputs["years"].shape, inputs["income"].shape) == ((4, 1), (4, 3))
    assert (labels["price"].tolist(), labels["likes"].tolist()) == ([0, 2, 4, 6], [[0, 0], [0, 1], [0, 0], [0, 1]])


def test_the_same_seed_shuffles_alike_and_each_pass_anew(images, schema, trained):
    def labels(seed):
        data = ExamplesConfig(label_key="digit")
        dataset = labelled_batches(images, schema, trained, data, batch_size=50, shuffle_seed=seed)
        return [tuple(first(dataset)[1]) for _ in range(2)]

    assert labels(1) == labels(1)
    assert labels(1) != labels(2)
    assert len(set(labels(1))) == 2


def test_the_order_is_that_of_a_process_of_its_own_whatever_ran_before(images, schema, trained):
    def order() -> list[int]:
        data = ExamplesConfig(label_key="digit")
        dataset = labelled_batches(images, schema, trained, data, batch_size=50, shuffle_seed=3)
        return [int(label) for _, labels in dataset for label in np.ravel(labels)]

    orders = []
    for seed in (1, 2):
        tf.random.set_seed(seed)
        orders.append(order())
    assert orders[0] == orders[1]


@pytest.mark.usefixtures("_own_code")
@pytest.mark.parametrize(("option", "number"), [("preprocessing_fn", 50), ("input_fn", 10)])
def test_a_function_of_ones_own_replaces_the_matching(option, number, images, schema, trained, digits):
    name = {"preprocessing_fn": "prepare", "input_fn": "read"}[option]
    data = ExamplesConfig(**{option: f"own_reading.{name}"})
    batches = labelled_batches(images, schema, trained, data, batch_size=4)
    assert check_batches(batches, images) == number
    records = list(representative_inputs(images, schema, trained, data))
    assert len(records) == number
    assert records[0]["image"].shape == (1, 8, 8, 1)
    if option == "preprocessing_fn":
        np.testing.assert_allclose(records[0]["image"][0], digits[0][0] / 2)


@pytest.mark.usefixtures("_own_code")
@pytest.mark.parametrize(
    ("options", "hint"),
    [
        ({"preprocessing_fn": "own_reading.wrong_inputs"}, "inputs picture"),
        ({"preprocessing_fn": "own_reading.no_pair"}, "a pair of"),
        ({"preprocessing_fn": "own_reading.weighted"}, "a pair of"),
        ({"input_fn": "own_reading.no_dataset"}, "returned list"),
        ({"input_fn": "own_reading.unnamed"}, "with the inputs image"),
        ({"preprocessing_fn": "other_reading.prepare"}, "no module 'other_reading'"),
        ({"input_fn": "own_reading.reed"}, "Did you mean 'read'"),
    ],
)
def test_a_function_that_gives_something_else_is_refused(options, hint, images, schema, trained):
    with pytest.raises(ConfigError) as refused:
        labelled_batches(images, schema, trained, ExamplesConfig(**options), batch_size=4)
    assert hint in str(refused.value)
