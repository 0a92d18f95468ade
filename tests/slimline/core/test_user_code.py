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
