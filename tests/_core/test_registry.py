from __future__ import annotations

from dataclasses import dataclass

import pytest

from devnet._core.errors import ConfigError
from devnet._core.registry import Registry


@dataclass(frozen=True)
class Part:
    name: str
    number: int


def test_the_latest_part_of_a_name_is_found_and_others_are_refused() -> None:
    registry: Registry[Part] = Registry("kind")
    registry.register(Part("a", 1))
    assert registry.register(Part("a", 2)) == Part("a", 2)
    assert registry.of("a").number == 2
    with pytest.raises(ConfigError, match="kind: 'b' is not allowed; give one of a, or register one"):
        registry.of("b")
