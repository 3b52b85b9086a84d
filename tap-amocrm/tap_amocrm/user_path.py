"""Paths that people give in settings."""

from __future__ import annotations

from pathlib import Path

from tap_amocrm.errors import ConfigError


def user_path(setting: str, given: str) -> Path:
    """The path with `~` replaced by the user's home folder.

    Raises:
        ConfigError: the user has no home folder, as in a container that runs under a number without a passwd entry.
    """
    try:
        return Path(given).expanduser()
    except RuntimeError:
        msg = f"Setting {setting}: {given} is below the home folder, and this user has none. Give another path."
        raise ConfigError(msg) from None


def check_writable(setting: str, path: Path) -> None:
    """Make the folder of a file that will be written later, and see that files can be made in it.

    Raises:
        ConfigError: they can't.
    """
    part = path.with_name(path.name + ".part")
    try:
        if path.is_dir():
            raise IsADirectoryError(0, "it is a folder")
        path.parent.mkdir(parents=True, exist_ok=True)
        part.touch()
        part.unlink()
    except OSError as error:
        msg = f"Setting {setting}: {path} can't be written: {error.strerror}."
        raise ConfigError(msg) from None
