import sys

import pytest

from slimline.core.user_code import load_custom_objects, load_function
from slimline.errors import ConfigError


@pytest.fixture(autouse=True)
def _module(tmp_path, monkeypatch):
    (tmp_path / "users_module.py").write_text("import math\n\ndef train(model):\n    return model\n\nNUMBER = 1\n")
    monkeypatch.syspath_prepend(tmp_path)


def test_a_function_is_found_by_its_path():
    assert load_function("users_module.train", "train_fn")(7) == 7


@pytest.mark.parametrize(
    ("path", "hint"),
    [
        ("train", "the whole dotted path"),
        ("users_module.trian", "Did you mean 'train'"),
        ("users_module.NUMBER", "no function 'NUMBER'"),
        ("users_modul.train", "no module 'users_modul'"),
    ],
)
def test_what_is_not_there_is_refused(path, hint):
    with pytest.raises(ConfigError) as refused:
        load_function(path, "train_fn")
    assert hint in str(refused.value)
    assert "train_fn" in refused.value.found


def test_only_what_a_module_defines_itself_is_taken_for_custom():
    assert set(load_custom_objects("users_module")) == {"train"}
    assert load_custom_objects(None) == {}


def test_a_module_that_the_users_module_lacks_is_named(tmp_path):
    (tmp_path / "users_broken.py").write_text("import not_installed_anywhere\n")
    with pytest.raises(ConfigError, match="no module 'not_installed_anywhere'"):
        load_function("users_broken.train", "train_fn")
    with pytest.raises(ConfigError, match="custom_objects='users_broken'"):
        load_custom_objects("users_broken")


def test_a_module_in_the_folder_of_the_call_is_found(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "users_local.py").write_text("def read():\n    return 3\n")
    monkeypatch.chdir(tmp_path / "here")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert load_function("users_local.read", "input_fn")() == 3


def test_layers_are_custom_objects_and_what_was_imported_is_not(tmp_path):
    (tmp_path / "users_layers.py").write_text(
        "from tf_keras.layers import Dense\n\nclass Own(Dense):\n    pass\n\nclass OwnModel(Own):\n    pass\n\n"
        "def activate(x):\n    return x\n\nRATE = 0.1\n"
    )
    assert set(load_custom_objects("users_layers")) == {"Own", "OwnModel", "activate"}
