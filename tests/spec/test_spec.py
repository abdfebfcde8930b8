"""Specs: what is refused and how it is told (made from the schema itself), round trips, sources, the catalog."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from annotated_types import Ge, Gt, Le, Lt
from hypothesis import given
from hypothesis import strategies as st

from devnet._core.errors import ConfigError, StorageError
from devnet.spec import (
    ASSUMED,
    AdaptiveLeakySpec,
    CouplingSpec,
    GrowthSpec,
    HebbianWTASpec,
    IzhikevichSpec,
    LearningSpec,
    ModelSpec,
    PairSTDPSpec,
    PathSpec,
    RateMapSpec,
    ReadoutSpec,
    ScaffoldSpec,
    Spec,
    StudySpec,
    TripletSTDPSpec,
    build,
    catalog,
    dump_model,
    load_model,
    parse_model,
)
from devnet.spec import _toml as toml_module

CARD = Path(__file__).parents[2] / "models" / "raghavan2019_grown_pooling"


def plain(**changes: Any) -> dict[str, Any]:
    return {
        "name": "test",
        "scaffold": {"outline": [[0, 0], [4, 0], [4, 4]], "seed_cell": [3, 1]},
        "dynamics": {"map": {"form": "rate_map"}},
        "learning": {"map": {"dynamics": "map"}},
    } | changes


# Where each part stands in a model, so that bad values travel the way a user's would.
PLACES: list[tuple[type[Spec], tuple[str, ...], dict[str, Any]]] = [
    (GrowthSpec, ("growth",), {}),
    (IzhikevichSpec, ("dynamics", "waves"), {"form": "izhikevich"}),
    (AdaptiveLeakySpec, ("dynamics", "waves"), {"form": "adaptive_leaky"}),
    (RateMapSpec, ("dynamics", "rate_map"), {"form": "rate_map"}),
    (CouplingSpec, ("dynamics", "map", "coupling"), {}),
    (LearningSpec, ("learning", "map"), {"dynamics": "map"}),
    (HebbianWTASpec, ("learning", "map", "rule"), {}),
    (PairSTDPSpec, ("learning", "map", "rule"), {"rule": "pair_stdp"}),
    (TripletSTDPSpec, ("learning", "map", "rule"), {"rule": "triplet_stdp"}),
    (ReadoutSpec, ("readout",), {}),
    (PathSpec, ("path",), {}),
    (StudySpec, ("study",), {}),
]


def placed(path: tuple[str, ...], table: dict[str, Any]) -> dict[str, Any]:
    """A good model but for one table."""
    model = plain()
    here = model
    for name in path[:-1]:
        here = here.setdefault(name, {})
    here[path[-1]] = here.get(path[-1], {}) | table
    return model


def wrong_numbers(kind: type[Spec], name: str) -> Iterator[Any]:
    """Values just beyond the bounds that the schema declares, and values that are no numbers at all."""
    field = kind.model_fields[name]
    whole = "int" in str(field.annotation)
    for bound in field.metadata:
        match bound:
            case Ge(ge=low):
                yield low - 1
            case Gt(gt=low):
                yield low
            case Le(le=high):
                yield high + 1
            case Lt(lt=high):
                yield high
    yield from (float("nan"), float("inf"), -float("inf"), "3", True, [], {}, [[1]])
    if whole:
        yield from (1.5, 2**31, 10**30)


def quantities() -> Iterator[Any]:
    for kind, path, needed in PLACES:
        for name in kind.model_fields:
            if kind.declared(name) is not None and "tuple" not in str(kind.model_fields[name].annotation):
                yield pytest.param(kind, path, needed, name, id=f"{kind.__name__}-{name}")


@pytest.mark.parametrize(("kind", "path", "needed", "name"), list(quantities()))
def test_every_quantity_refuses_what_it_may_not_hold(kind, path, needed, name):
    cases = list(wrong_numbers(kind, name))
    assert len(cases) >= 8
    for value in cases:
        with pytest.raises(ConfigError) as caught:
            build(ModelSpec, placed(path, needed | {name: value}), where="model.toml")
        assert [p.field for p in caught.value.problems] == ["model.toml: " + ".".join((*path, name))], value
        assert len(str(caught.value).splitlines()) == 1
        assert "pydantic" not in str(caught.value)


@pytest.mark.parametrize(("kind", "path", "needed", "name"), list(quantities()))
def test_every_quantity_takes_its_default_with_unit_and_source_and_no_other_unit(kind, path, needed, name):
    unit, _ = kind.declared(name)
    value = kind.model_fields[name].default
    value = 7 if value is None else value
    good = build(
        ModelSpec, placed(path, needed | {name: {"value": value, "unit": unit, "source": "a book, p. 3"}})
    )
    here: Any = good
    for part in path:
        here = here[part] if isinstance(here, dict) else getattr(here, part)
    assert getattr(here, name) == value
    assert here.source(name) == "a book, p. 3"
    for table in (
        {"value": value, "unit": "furlong"},
        {"value": value, "units": unit},
        {"unit": unit},
        {"value": value, "source": 3},
        {"value": "x", "unit": unit},
    ):
        with pytest.raises(ConfigError) as caught:
            build(ModelSpec, placed(path, needed | {name: table}))
        assert [p.field for p in caught.value.problems] == [".".join((*path, name))]


@pytest.mark.parametrize(("kind", "path", "needed"), PLACES)
def test_unknown_names_are_refused(kind, path, needed):
    with pytest.raises(
        ConfigError, match=rf"{'.'.join(path)}\.no_such: 1 is not allowed; give nothing here"
    ) as caught:
        build(ModelSpec, placed(path, needed | {"no_such": 1}))
    known = caught.value.problems[0].allowed.rpartition("among ")[2]
    assert known.split(", ") == list(kind.model_fields)


@pytest.mark.parametrize(("kind", "path", "needed"), PLACES)
def test_a_part_that_is_no_table_is_refused(kind, path, needed):
    model = placed(path, needed)
    here = model
    for name in path[:-1]:
        here = here[name]
    here[path[-1]] = 3
    with pytest.raises(ConfigError, match=rf"{'.'.join(path)}: 3 is not allowed; give a table"):
        build(ModelSpec, model)


def choices() -> Iterator[Any]:
    for kind, path, needed in PLACES:
        for name, field in kind.model_fields.items():
            if "Literal" in str(field.annotation) and name not in {"form", "rule"}:
                yield pytest.param(path, needed, name, id=f"{kind.__name__}-{name}")


@pytest.mark.parametrize(("path", "needed", "name"), list(choices()))
def test_every_choice_names_what_may_be_chosen(path, needed, name):
    with pytest.raises(
        ConfigError, match=rf"{'.'.join((*path, name))}: 'none such' is not allowed; give '\w+"
    ):
        build(ModelSpec, placed(path, needed | {name: "none such"}))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": ""}, "name: '' is not allowed; give text of at least 1 characters"),
        ({"bogus": 1}, "bogus: 1 is not allowed; give nothing here: there is no such field"),
        ({"dynamics": {}}, "dynamics: {} is not allowed; give at least 1 entries"),
        (
            {"dynamics": {"map": {"form": "nope"}}},
            "dynamics.map.form: 'nope' is not allowed; give one of 'izhikevich'",
        ),
        (
            {"dynamics": {"map": {"h": 3}}},
            "dynamics.map.form: None is not allowed; give a value: the field is requ",
        ),
        (
            {"dynamics": {"a/b": {"form": "rate_map"}}, "learning": {}},
            "dynamics.a/b: 'a/b' is not allowed; give a name",
        ),
        (
            {"learning": {"../x": {"dynamics": "map"}}},
            "learning.../x: '../x' is not allowed; give a name of letters",
        ),
        (
            {"learning": {"a": {"dynamics": "none"}}},
            "learning.a.dynamics: 'none' is not allowed; give one of 'map'",
        ),
        (
            {"learning": {"a": {}}},
            "learning.a.dynamics: None is not allowed; give a value: the field is required",
        ),
        (
            {"dynamics": {"map": {"form": "rate_map", "coupling": {"r_i": 7, "r_o": 3}}}},
            "dynamics.map.coupling.r_o: 3.0 is not allowed; give at least r_i, which is 7.0",
        ),
        (
            {"dynamics": {"map": {"form": "adaptive_leaky", "dt": 0.3}}},
            "dynamics.map.dt: 0.3 is not allowed; give a step that divides one time unit",
        ),
        (
            {"scaffold": {"seed_cell": [1, 1]}},
            "scaffold.outline: None is not allowed; give a value: the field is req",
        ),
        (
            {"scaffold": {"outline": [[0, 0], [1, 0]], "seed_cell": [1, 1]}},
            "scaffold.outline: [[0, 0], [1, 0]] is not allowed; give at least 3 entries",
        ),
        (
            {"scaffold": {"outline": [[0, 0], [1, 0], [1]], "seed_cell": [1, 1]}},
            "scaffold.outline.2.1: None is not allowed; give a value: the field is required",
        ),
        (
            {"scaffold": {"outline": [[0, 0], [1, 0], [1, float("nan")]], "seed_cell": [1, 1]}},
            "scaffold.outline.2.1: nan is not allowed; give a finite number",
        ),
        (
            {"scaffold": {"outline": [[0, 0], [1, 0], [1, "2"]], "seed_cell": [1, 1]}},
            "scaffold.outline: [[0, 0], [1, 0], [1, '2']] is not allowed; give a number",
        ),
        ({"path": {"sparsity": [0.9, 1.0]}}, "path.sparsity.1: 1.0 is not allowed; give less than 1"),
        (
            {"readout": {"units_small": [0]}},
            "readout.units_small.0: 0 is not allowed; give greater than or equal to 1",
        ),
    ],
    ids=lambda value: value[:40] if isinstance(value, str) else None,
)
def test_other_faults(changes, message):
    with pytest.raises(ConfigError) as caught:
        build(ModelSpec, plain(**changes))
    assert len(caught.value.problems) == 1
    assert str(caught.value).startswith(message)


def test_all_faults_of_all_parts_at_once():
    model = plain(
        bogus=1,
        growth={
            "hayflick": {"value": 3, "unit": "m"},
            "timer": 0,
            "foo": 3,
            "rise": "1",
            "height": {"unit": "length"},
        },
        dynamics={"map": {"form": "rate_map", "h": -1, "coupling": {"a_i": -1}}},
        study={"seeds": 0},
    )
    del model["name"]
    with pytest.raises(ConfigError) as caught:
        build(ModelSpec, model)
    assert {p.field for p in caught.value.problems} == {
        "name", "bogus", "growth.hayflick", "growth.timer", "growth.foo", "growth.rise", "growth.height",
        "dynamics.map.h", "dynamics.map.coupling.a_i", "study.seeds",
    }  # fmt: skip
    assert len(str(caught.value).splitlines()) == 10


def test_two_learnings_with_unknown_dynamics_are_told_together():
    with pytest.raises(ConfigError) as caught:
        build(ModelSpec, plain(learning={"a": {"dynamics": "x"}, "b": {"dynamics": "y"}}))
    assert [p.field for p in caught.value.problems] == ["learning.a.dynamics", "learning.b.dynamics"]


CROSSING = [[0, 0], [10, 10], [10, 0], [0, 10]]


@pytest.mark.parametrize(
    "wrap", [lambda v: v, lambda v: {"value": v, "unit": "length"}], ids=["bare", "tables"]
)
def test_a_scaffold_that_is_no_region_is_told_with_the_other_wrong_fields(wrap):
    scaffold = {"outline": wrap(CROSSING), "seed_cell": wrap([11, 5])}
    with pytest.raises(ConfigError) as caught:
        build(ModelSpec, plain(scaffold=scaffold, bogus=1), where="mine.toml")
    lines = str(caught.value).splitlines()
    assert len(lines) == 3
    assert {line.split(": ")[0] for line in lines} == {"mine.toml"}
    assert {line.split(": ")[1] for line in lines} == {"bogus", "scaffold.outline", "scaffold.seed_cell"}
    assert any("(0.0, 0.0), (10.0, 10.0)" in line and "Self-intersection" in line for line in lines)

    with pytest.raises(ConfigError) as caught:  # the unknown name stands in the scaffold itself
        build(ModelSpec, plain(scaffold=scaffold | {"hole": 1}))
    assert [p.field for p in caught.value.problems] == [
        "scaffold.hole",
        "scaffold.outline",
        "scaffold.seed_cell",
    ]


def test_a_field_that_cannot_be_read_is_not_measured_as_well():
    scaffold = {"outline": CROSSING, "holes": [[[1, 1], ["a", 2], [3, 3]]], "seed_cell": [1]}
    with pytest.raises(ConfigError) as caught:
        build(ModelSpec, plain(scaffold=scaffold))
    assert {p.field for p in caught.value.problems} == {
        "scaffold.holes",
        "scaffold.seed_cell.1",
        "scaffold.outline",
    }


def test_a_scaffold_given_as_a_part_is_checked_with_its_model():
    bad = ScaffoldSpec.model_validate({"outline": CROSSING, "seed_cell": [5, 1]})
    with pytest.raises(ConfigError, match=r"^scaffold\.outline: .*Self-intersection"):
        build(ModelSpec, plain()).replace(scaffold=bad)


def test_a_bare_part_that_is_no_table_is_called_model():
    with pytest.raises(ConfigError, match=r"^model: 3 is not allowed; give a table"):
        build(GrowthSpec, 3)  # pyright: ignore[reportArgumentType]


# ------------------------------------------------------------------------------------------------ as objects


def test_specs_are_frozen_and_compare_by_value_not_by_source():
    a, b = GrowthSpec(), build(GrowthSpec, {"timer": {"value": 25, "source": "elsewhere"}})
    assert a == b
    assert hash(a) == hash(b)
    assert a.source("timer") != b.source("timer")
    assert a != GrowthSpec(timer=24)
    assert a != CouplingSpec()
    with pytest.raises(ValueError, match="frozen"):
        a.timer = 3


def test_sources_tell_default_given_and_stated():
    spec = build(GrowthSpec, {"timer": 20, "hayflick": {"value": 30, "unit": "divisions", "source": ASSUMED}})
    assert spec.source("timer") == "given"
    assert spec.source("hayflick") == ASSUMED
    assert spec.source("rise") == "G19, released code"
    assert GrowthSpec.declared("nothing") is None
    assert ScaffoldSpec.declared("outline") == ("length", ASSUMED)


def test_replace_validates_and_keeps_the_other_sources():
    spec = build(
        GrowthSpec, {"timer": {"value": 20, "source": "x"}, "hayflick": {"value": 30, "source": "y"}}
    )
    other = spec.replace(timer=21)
    assert (other.timer, other.source("timer"), other.source("hayflick")) == (21, "given", "y")
    assert spec.timer == 20
    with pytest.raises(ConfigError, match=r"^timer: 0 is not allowed"):
        spec.replace(timer=0)
    with pytest.raises(ConfigError, match=r"^bogus: 0 is not allowed"):
        spec.replace(bogus=0)


@pytest.mark.parametrize("kind", [RateMapSpec, AdaptiveLeakySpec, IzhikevichSpec])
def test_a_partial_coupling_keeps_the_rest_of_its_own_form(kind):
    default = kind().coupling
    spec = build(kind, {"coupling": {"a_i": 7.0}})
    assert spec.coupling == default.replace(a_i=7.0)
    assert spec.coupling.source("r_o") == default.source("r_o")
    assert spec.coupling.source("a_i") == "given"


# ------------------------------------------------------------------------------------------------ TOML


@pytest.mark.parametrize("name", sorted(catalog()))
def test_models_of_the_catalog_round_trip(name):
    model = load_model(name)
    assert model.name == name
    text = dump_model(model)
    assert parse_model(text) == model
    assert dump_model(parse_model(text)) == text


def numbers(table: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number of a TOML document with the table that it stands in."""
    if isinstance(table, dict):
        if "value" in table:
            yield path, table
            return
        for key, value in table.items():
            yield from numbers(value, f"{path}.{key}")
    elif isinstance(table, list):
        for value in table:
            yield from numbers(value, path)
    elif isinstance(table, (int, float)) and not isinstance(table, bool):
        yield path, table


@pytest.mark.parametrize("name", sorted(catalog()))
def test_a_dump_gives_every_number_with_value_unit_and_source(name):
    found = list(numbers(tomllib.loads(dump_model(load_model(name)))))
    assert len(found) > 40
    for path, table in found:
        assert isinstance(table, dict), path
        assert set(table) == {"value", "unit", "source"}, path
        assert table["unit"], path
        assert table["source"], path


def test_the_published_model_spells_out_every_number():
    text = (CARD / "model.toml").read_text(encoding="utf-8")
    model = parse_model(text)
    written = dict(numbers(tomllib.loads(text)))
    assert written == dict(numbers(tomllib.loads(dump_model(model))))
    assert all(table["source"] != "given" for table in written.values())
    published = {path for path, table in written.items() if table["source"].startswith("G19")}
    assert {
        f".growth.{n}" for n in GrowthSpec.model_fields if not n.startswith(("max_", "scattered"))
    } <= published
    assert {f".dynamics.izhikevich.coupling.{n}" for n in ("r_i", "r_o", "a_i", "a_o", "decay")} <= published


def test_no_number_of_ours_is_called_published():
    model = load_model("raghavan2019_grown_pooling")
    parts = [model.scaffold, model.growth, *model.dynamics.values(), *model.learning.values()]
    parts += [part.coupling for part in model.dynamics.values()]
    parts += [part.rule for part in model.learning.values()]
    ours = [
        (part, name)
        for part in parts
        for name, _, _, source in part.quantities()
        if source.startswith(ASSUMED)
    ]
    assert ours
    for part, name in ours:
        # The default of a coupling belongs to its form; what the class declares is G19's.
        if not isinstance(part, CouplingSpec):
            assert type(part).declared(name)[1].startswith(ASSUMED), name
    for kind in (HebbianWTASpec, PairSTDPSpec, TripletSTDPSpec):
        assert kind.declared("max_spread") == ("r_o", ASSUMED)
    for name in ("a2_plus", "a3_minus", "tau_plus", "tau_y"):
        assert "not checked" in TripletSTDPSpec.declared(name)[1]


def test_every_key_that_a_model_cites_is_in_its_bibliography():
    entries = (CARD / "CITATION.bib").read_text(encoding="utf-8")
    for name in catalog():
        for key in load_model(name).cites:
            assert f"{{{key},\n" in entries
    for key in ("G19", "M20", "F24", "S20", "R20", "H21", "A20"):
        assert entries.count(f"{{{key},\n") == 1


NUMBER = st.floats(-1e6, 1e6)


@st.composite
def random_models(draw) -> ModelSpec:
    text = st.text(st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"]), max_size=20)
    name = st.text("abcXYZ019_-", min_size=1, max_size=8)
    x, y, width = draw(NUMBER), draw(NUMBER), draw(st.floats(1, 1e6))
    square = [(x, y), (x + 4 * width, y), (x + 4 * width, y + 4 * width), (x, y + 4 * width)]
    hole = [(x + a * width, y + b * width) for a, b in ((2, 2), (3, 2), (3, 3))]
    forms = st.fixed_dictionaries({"form": st.sampled_from(["rate_map", "izhikevich", "adaptive_leaky"])})
    dynamics = draw(st.dictionaries(name, forms, min_size=1, max_size=3))
    learning = {
        key: {
            "dynamics": draw(st.sampled_from(sorted(dynamics))),
            "units": draw(st.none() | st.integers(1, 99)),
        }
        for key in draw(st.lists(name, max_size=2, unique=True))
    }
    sourced = {"value": draw(st.integers(1, 99)), "unit": "sweeps", "source": draw(text)}
    return build(
        ModelSpec,
        {
            "name": draw(text.filter(len).filter(str.isprintable)),
            "title": draw(st.text(st.characters(codec="utf-8").filter(str.isprintable), max_size=30)),
            "cites": draw(st.lists(text, max_size=3)),
            "scaffold": {
                "outline": square,
                "holes": [hole] * draw(st.integers(0, 1)),
                "seed_cell": (x + width, y + width),
            },
            "growth": {"timer": sourced, "rise": draw(st.floats(1e-300, 1e300))},
            "dynamics": dynamics,
            "learning": learning,
            "path": {"sparsity": draw(st.lists(st.floats(0.001, 0.999), max_size=3))},
        },
    )


@given(random_models())
def test_any_model_round_trips_with_its_sources(model):
    text = dump_model(model)
    again = parse_model(text)
    assert again == model
    assert again.growth.source("timer") == model.growth.source("timer")
    assert dump_model(again) == text


# ------------------------------------------------------------------------------------------------ where models lie


def test_the_catalog_names_folders_and_variants():
    assert {"raghavan2019_grown_pooling", "raghavan2019_grown_pooling/small"} <= set(catalog())


def test_models_load_from_name_path_and_spec(tmp_path):
    model = load_model("raghavan2019_grown_pooling/small")
    assert load_model(model) is model
    path = tmp_path / "mine.toml"
    path.write_text(dump_model(model), encoding="utf-8")
    assert load_model(path) == model
    assert load_model(str(path)) == model
    assert load_model(CARD / "small.toml") == model


def test_what_cannot_be_loaded(tmp_path):
    with pytest.raises(
        ConfigError, match=r"model: 'nothing' is not allowed; give one of raghavan2019_damage"
    ):
        load_model("nothing")
    with pytest.raises(ConfigError, match="a TOML file that exists or a catalog name"):
        load_model(tmp_path / "none.toml")
    with pytest.raises(ConfigError, match="a regular file"):
        load_model(tmp_path)
    (tmp_path / "bytes.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match=r"bytes\.toml: .*can't decode.* give a TOML file in UTF-8"):
        load_model(tmp_path / "bytes.toml")
    (tmp_path / "broken.toml").write_text("name = ", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"broken\.toml: .* give valid TOML"):
        load_model(tmp_path / "broken.toml")
    with pytest.raises(ConfigError, match=r"^model: .*valid TOML"):
        parse_model("=")
    with pytest.raises(ConfigError, match=r"^mine: dynamics: None is not allowed"):
        parse_model("name = 'x'\n[scaffold]\noutline=[[0,0],[1,0],[1,1]]\nseed_cell=[0.9,0.5]", where="mine")


def test_an_installation_without_models_says_so(tmp_path, monkeypatch):
    monkeypatch.setattr(toml_module, "files", lambda _: tmp_path / "devnet")
    with pytest.raises(StorageError, match="install devnet again"):
        catalog()


def test_models_inside_the_package_come_first_and_other_files_are_passed_over(tmp_path, monkeypatch):
    folder = tmp_path / "devnet" / "models" / "mine"
    folder.mkdir(parents=True)
    (folder / "model.toml").touch()
    (folder / "fast.toml").touch()
    (folder / "card.md").touch()
    (folder.parent / "README.md").touch()
    monkeypatch.setattr(toml_module, "files", lambda _: tmp_path / "devnet")
    assert sorted(catalog()) == ["mine", "mine/fast"]
