"""What docs/stacks.md shows works as it stands."""

from __future__ import annotations

import re
from pathlib import Path

from devnet.spec import dump_model, load_model, parse_model

PAGE = Path(__file__).parents[2] / "docs" / "stacks.md"


def blocks(kind):
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


def test_the_tables_make_a_stack():
    text = dump_model(load_model("raghavan2019_grown_pooling/small")) + "\n" + "\n".join(blocks("toml"))
    stack = parse_model(text).stack
    assert stack.feeding == (1, 2, 2)
    layer = stack.layers["layer2"]
    assert (layer.units, layer.rule.rule, layer.rule.upkeep["grow"].density) == (256, "pair_stdp", 0.25)
    assert set(
        re.findall(r"`([a-z_]+)`", PAGE.read_text(encoding="utf-8").split("| what |")[1].split("\n\n")[0])
    ) <= set(type(layer).model_fields)


def test_the_lines_of_python_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    exec(compile(blocks("python")[0], str(PAGE), "exec"), {})
    assert re.match(r"Stack\(\d+ -> 256 -> 64\) \(\d+, 64\) \(1, 2, 3\)", capsys.readouterr().out)
