"""The command `target-crm`."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Run the Singer target."""
    with imports_without("numpy"):
        from target_crm.target import TargetCRM
    TargetCRM.cli()


@contextmanager
def imports_without(package: str) -> Iterator[None]:
    """Imports under it find no such package, and are not interrupted to look for garbage, of which they leave little.

    The SDK imports joblib, which imports numpy wherever it finds it: a third of the start for something that a load
    never uses. Here it is there for the report's plots only.
    """
    collecting, found = gc.isenabled(), package in sys.modules
    gc.disable()
    if not found:
        sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        if not found:
            del sys.modules[package]
        # What is imported stays: it need not be looked through again and again.
        gc.freeze()
        if collecting:
            gc.enable()
