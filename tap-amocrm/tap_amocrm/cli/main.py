"""Where the commands start: each imports what it uses, and the SDK without what a tap never uses."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager


def tap() -> None:
    """Run `tap-amocrm`."""
    with imports_without("numpy"):
        from tap_amocrm.tap import TapAmoCRM
    TapAmoCRM.cli()


def check() -> None:
    """Run `tap-amocrm-check`."""
    with imports_without("numpy"):
        from tap_amocrm.cli.check import check as command
    command()


def smoke() -> None:
    """Run `tap-amocrm-smoke`."""
    with imports_without("numpy"):
        from tap_amocrm.cli.smoke import smoke as command
    command()


def files() -> None:
    """Run `tap-amocrm-files`."""
    with imports_without("numpy"):
        from tap_amocrm.cli.files import files as command
    command()


def login() -> None:
    """Run `tap-amocrm-login`."""
    with imports_without("numpy"):
        from tap_amocrm.cli.login import main as command
    command()


def hooks() -> None:
    """Run `tap-amocrm-hooks`."""
    with imports_without("numpy"):
        from tap_amocrm.cli.hooks import hooks as command
    command()


@contextmanager
def imports_without(package: str) -> Iterator[None]:
    """Imports under it find no such package, and are not interrupted to look for garbage, of which they leave little.

    The SDK imports joblib, which imports numpy wherever it finds it: a third of the start for something that a tap
    never uses.
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
