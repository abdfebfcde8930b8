"""Where two nested configurations differ first."""

from __future__ import annotations

from typing import Any, cast


def first_difference(old: Any, new: Any, path: str = "") -> tuple[str, object, object] | None:
    """Return (dotted path, old value, new value) of the first field that differs, or None.

    Where two tables hold the same in another order, these are their names: of learnings the first is the main one, and
    layers feed one another in their order.

    Args:
        old: One configuration: dicts within dicts.
        new: The other.
        path: Where in them we are.

    Returns:
        The field and both values, an absent one as the word ``absent``.
    """
    if isinstance(old, dict) and isinstance(new, dict):
        left, right = cast("dict[str, Any]", old), cast("dict[str, Any]", new)
        for name in sorted(set(left) | set(right)):
            inner = f"{path}.{name}" if path else name
            found = first_difference(left.get(name, "absent"), right.get(name, "absent"), inner)
            if found is not None:
                return found
        return None if list(left) == list(right) else (path, list(left), list(right))
    return None if old == new else (path, cast("object", old), cast("object", new))
