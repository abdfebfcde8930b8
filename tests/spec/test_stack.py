"""Stacks as parts of a model: what is a table, what feeds what, and what is refused before anything is grown."""

from __future__ import annotations

import pytest

from devnet._core.errors import ConfigError
from devnet.spec import LayerSpec, StackSpec, dump_model, load_model, parse_model


def test_tables_in_another_order_are_another_model():
    a, b = LayerSpec(units=9), LayerSpec(units=16)
    assert StackSpec(layers={"a": a, "b": b}) == StackSpec(layers={"a": a, "b": b})
    assert StackSpec(layers={"a": a, "b": b}) != StackSpec(layers={"b": b, "a": a})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("eta", (3.0, 0.1)),
        ("eta", (0.1, -0.1)),
        ("winners", (0.0, 0.1)),
        ("winners", (0.9, 0.1)),
        ("width", (1, -2)),
    ],
)
def test_both_ends_of_a_layers_range_are_checked(field, value):
    with pytest.raises(ValueError, match=field):
        LayerSpec(**{field: value})


def test_a_stack_is_a_table_a_layer_and_comes_back_from_toml():
    model = load_model("raghavan2019_grown_pooling/small")
    text = (
        dump_model(model)
        + "\n[stack]\n[stack.layers.lgn]\nunits = 100\n[stack.layers.v1]\nunits = 25\neta = [0.02, 0.01]\n"
    )
    found = parse_model(text)
    assert [layer.units for layer in found.stack.layers.values()] == [100, 25]
    assert parse_model(dump_model(found)) == found
    with pytest.raises(ConfigError, match=r"stack\.layers\.v1\.winner"):
        parse_model(text + "winner = 3\n")
    assert found.stack.feeding == (1, 2)
    branch = (
        text
        + '[stack.layers.wide]\nbelow = "lgn"\n[stack.layers.fine]\nbelow = "sheet"\n[stack.layers.top]\n'
    )
    assert parse_model(branch).stack.feeding == (1, 2, 2, 1, 5)
    assert parse_model(dump_model(parse_model(branch))) == parse_model(branch)
    for below in ("top", "v2"):
        with pytest.raises(ConfigError, match=r"stack\.layers\.wide\.below: .* before it: sheet, lgn, v1"):
            parse_model(branch.replace('below = "lgn"', f'below = "{below}"'))
    with pytest.raises(ConfigError, match=r"stack\.layers\.sheet: .*another name"):
        parse_model(text.replace("layers.lgn", "layers.sheet"))
    with pytest.raises(ConfigError, match=r"stack\.dynamics"):
        parse_model(text.replace("[stack]\n", '[stack]\ndynamics = "none"\n'))


@pytest.mark.parametrize("name", ["stack", "wiring", "noise", "Grown", "step0", "pools16"])
def test_no_learning_is_called_as_a_run_calls_its_own_files(name):
    text = dump_model(load_model("raghavan2019_grown_pooling/small"))
    assert parse_model(text.replace("learning.izhikevich", "learning.poolside")).learning["poolside"]
    with pytest.raises(ConfigError, match=rf"^learning\.{name}: .*another name"):
        parse_model(text.replace("learning.izhikevich", f"learning.{name}"))


def test_a_stack_on_a_sphere_is_refused_before_it_grows():
    model = load_model("raghavan2019_grown_pooling/small")
    text = dump_model(model.replace(scaffold=model.scaffold.replace(sphere_radius=50.0)))
    with pytest.raises(ConfigError, match=r"^scaffold\.sphere_radius: 50.0 .*0 beside a \[stack\]"):
        parse_model(text + "\n[stack]\n[stack.layers.lgn]\nunits = 100\n")
