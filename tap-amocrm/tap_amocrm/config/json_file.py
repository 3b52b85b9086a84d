"""Files that options name: --config, --catalog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from tap_amocrm.errors import FileError


def read_json_object(option: str, file: Path, example: str) -> dict[str, Any]:
    """The JSON object of a file.

    Args:
        option: The option that names the file, for messages.
        file: Its path.
        example: What such a file may hold, for the message about one that holds something else.

    Raises:
        FileError: it can't be read or does not hold a JSON object; the message holds nothing of its content.
    """
    try:
        text = file.read_text("utf-8-sig")
    except OSError as error:
        msg = f"{option} {file} can't be read: {error.strerror}."
        raise FileError(msg, source=f"{option} {file}") from None
    except UnicodeDecodeError:
        msg = f"{option} {file} is not text in UTF-8."
        raise FileError(msg, source=f"{option} {file}") from None
    return parse_json_object(f"{option} {file}", text, example)


def parse_json_object(name: str, text: str, example: str) -> dict[str, Any]:
    """The JSON object that a text holds; `name` and `example` are for messages.

    Raises:
        FileError: it holds none; the message shows nothing of the text.
    """
    where: str | None = None
    found: Any = None
    try:
        found = json.loads(text)
    except json.JSONDecodeError as error:
        where = "it is empty" if not text.strip() else f"line {error.lineno}, column {error.colno}: {error.msg}"
    except RecursionError:
        where = "it is nested too deep"
    except ValueError:
        where = "it holds a number with too many digits"
    if where is not None:  # raised out here: the decoder's error carries the text
        msg = f"{name} is not valid JSON: {where}."
        raise FileError(msg, source=name)
    if not isinstance(found, dict):
        msg = f"{name} must hold a JSON object such as {example}."
        raise FileError(msg, source=name)
    return found
