"""The command `target-crm`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def main() -> None:
    """Run the Singer target."""
    with left_out("numpy"):
        from target_crm.target import TargetCRM
    TargetCRM.cli()


@contextmanager
def left_out(package: str) -> Iterator[None]:
    """Imports under it find no such package.

    The SDK imports joblib, which imports numpy wherever it finds it: a third of the start for something that a load
    never uses. Here it is there for the report's plots only.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
