"""Where the commands start: each imports what it uses, and the SDK without what a tap never uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


def tap() -> None:
    """Run `tap-amocrm`."""
    with left_out("numpy"):
        from tap_amocrm.tap import TapAmoCRM
    TapAmoCRM.cli()


def check() -> None:
    """Run `tap-amocrm-check`."""
    with left_out("numpy"):
        from tap_amocrm.cli.check import check as command
    command()


def smoke() -> None:
    """Run `tap-amocrm-smoke`."""
    with left_out("numpy"):
        from tap_amocrm.cli.smoke import smoke as command
    command()


def files() -> None:
    """Run `tap-amocrm-files`."""
    with left_out("numpy"):
        from tap_amocrm.cli.files import files as command
    command()


def login() -> None:
    """Run `tap-amocrm-login`."""
    with left_out("numpy"):
        from tap_amocrm.cli.login import main as command
    command()


@contextmanager
def left_out(package: str) -> Iterator[None]:
    """Imports under it find no such package.

    The SDK imports joblib, which imports numpy wherever it finds it: a third of the start for something that a tap
    never uses.
    """
    if package in sys.modules:
        yield
        return
    sys.modules[package] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[package]
