"""Optional libraries: imported where they are used, and when absent, an error that says how to add them."""

from __future__ import annotations

import importlib
from types import ModuleType

from devnet._core.errors import MissingDependencyError


def require(module: str, *, extra: str) -> ModuleType:
    """Import an optional library or say how to install it.

    Args:
        module: Import name, for example ``"torch"``.
        extra: The extra of devnet that brings it, for example ``"torch"``.

    Returns:
        The imported module.

    Raises:
        MissingDependencyError: The library is not installed.
        ImportError: It is, and something that it needs itself is not.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        if error.name is not None and error.name.partition(".")[0] != module.partition(".")[0]:
            raise
        raise MissingDependencyError(module, "not installed", f"pip install 'devnet[{extra}]'") from None
