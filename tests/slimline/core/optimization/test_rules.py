import pytest
import tf_keras

from slimline.core.optimization.rules import LayerRule, first_match, require_matches
from slimline.errors import ConfigError

LAYERS = [
    tf_keras.layers.Conv2D(2, 3, name="conv_1"),
    tf_keras.layers.Conv2D(2, 3, name="conv_2"),
    tf_keras.layers.Dense(2, name="dense"),
]


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (LayerRule(), ["conv_1", "conv_2", "dense"]),
        (LayerRule(layers="conv_*"), ["conv_1", "conv_2"]),
        (LayerRule(types=("Dense",)), ["dense"]),
        (LayerRule(layers="conv_?", types=("Dense",)), []),
        (LayerRule(layers="CONV_1"), []),
        (LayerRule(layers="conv_[13]"), ["conv_1"]),
        (LayerRule(layers="*_?", types=("Dense", "Conv2D")), ["conv_1", "conv_2"]),
    ],
)
def test_a_rule_is_for_layers_of_its_pattern_and_types(rule, names):
    assert [layer.name for layer in LAYERS if rule.matches(layer)] == names


def test_the_first_rule_that_matches_counts():
    rules = (LayerRule(layers="conv_2"), LayerRule(layers="conv_*"))
    assert [first_match(rules, layer) for layer in LAYERS] == [rules[1], rules[0], None]


def test_a_rule_without_effect_is_refused_with_the_near_miss():
    require_matches([LayerRule(layers="dense")], LAYERS)
    with pytest.raises(ConfigError, match="Did you mean 'dense'"):
        require_matches([LayerRule(layers="dens")], LAYERS)
    with pytest.raises(ConfigError) as refused:
        require_matches([LayerRule(), LayerRule(layers="conv_*", types=("Dense",))], LAYERS)
    assert "layers='conv_*', types=['Dense']" in refused.value.found
    assert "conv_2 (Conv2D)" in refused.value.expected


def test_a_rule_without_a_pattern_is_refused():
    with pytest.raises(ConfigError, match=r"LayerRule\.layers = ''"):
        LayerRule(layers="")
