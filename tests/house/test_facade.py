"""The facade: verbs stay verbs whatever was imported before them."""

from __future__ import annotations

import subprocess
import sys

import pytest

import devnet


@pytest.mark.parametrize("name", ["grow", "simulate", "organize", "to_torch", "traverse", "load", "save"])
def test_verbs_can_be_called_after_their_rooms_were_imported(name: str) -> None:
    code = (
        "import devnet.growth, devnet.waves, devnet.organization, devnet.organization.organize, devnet.io\n"
        f"import devnet; assert callable(devnet.{name}), devnet.{name}"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_public_name_resolves() -> None:
    for name in devnet.__all__:
        assert getattr(devnet, name) is not None
    assert set(devnet.__all__) <= set(dir(devnet))
    with pytest.raises(AttributeError, match="no attribute 'brain'"):
        _ = devnet.brain
