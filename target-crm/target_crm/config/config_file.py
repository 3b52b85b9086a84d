"""A --config file: JSON with settings."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from target_crm.errors import ConfigError


def read_config(file: Path) -> dict[str, Any]:
    """The settings of a file.

    Raises:
        ConfigError: it can't be read or does not hold a JSON object; the message holds no value of it.
    """
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        msg = f"--config {file} can't be read: {error.strerror}."
        raise ConfigError(msg) from None
    except UnicodeDecodeError:
        msg = f"--config {file} is not text in UTF-8."
        raise ConfigError(msg) from None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = "it is empty" if not text.strip() else f"line {error.lineno}, column {error.colno}: {error.msg}"
        msg = f"--config {file} is not valid JSON: {where}."
        raise ConfigError(msg) from None
    except (ValueError, RecursionError):
        # A number of thousands of digits, or a file nested too deep.
        found = None
    if not isinstance(found, dict):
        msg = f'--config {file} must hold a JSON object such as {{"database_url": "postgresql://..."}}.'
        raise ConfigError(msg)
    return found
