"""Paths that people give in settings."""

from __future__ import annotations

from pathlib import Path

from tap_amocrm.config.private_files import check_file
from tap_amocrm.errors import ConfigError


def user_path(setting: str, given: str) -> Path:
    """The path with `~` replaced by the user's home folder.

    Raises:
        ConfigError: the path holds a NUL, or the user has no home folder, as in a container that runs under a number
            without a passwd entry.
    """
    if "\0" in given:
        msg = f"Setting {setting}: a path can't contain a NUL character. Give another path."
        raise ConfigError(msg, setting=setting, problem="format")
    try:
        return Path(given).expanduser()
    except RuntimeError:
        msg = f"Setting {setting}: {given} is below the home folder, but this user has none. Give another path."
        raise ConfigError(msg, setting=setting, problem="no_home") from None


def check_writable(setting: str, path: Path) -> None:
    """See that a file can be written later, before anything is read or changed.

    Raises:
        ConfigError: it is a device, a FIFO, a folder or another user's, or its folder can't be written to.
    """
    try:
        check_file(path)
    except OSError as error:
        msg = f"Setting {setting}: {path} can't be written: {error.strerror}."
        raise ConfigError(msg, setting=setting, problem="unwritable") from None
