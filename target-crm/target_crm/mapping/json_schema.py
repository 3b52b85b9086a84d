"""The JSON Schema of mapping files, for editors: made of the same table of words that the reader uses."""

from __future__ import annotations

import re
from typing import Any

from target_crm.config.settings import POLICIES
from target_crm.mapping.model import ADOPT_BASES, SERVICE_COLUMNS, SET_COLUMNS
from target_crm.mapping.stream_reader import KEY_ROLES, SET_SERVICE
from target_crm.mapping.vocabulary import SECTIONS, Word

Schema = dict[str, Any]
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_TEXT: Schema = {"type": "string", "minLength": 1}
_NAME: Schema = {"type": ["string", "null"], "minLength": 1}
# Words whose value is a separate section.
_CONTENT: dict[tuple[str, str], Schema] = {
    ("root", "streams"): {"additionalProperties": {"$ref": "#/$defs/stream"}},
    ("stream", "columns"): {
        "additionalProperties": {"anyOf": [{"type": "string", "minLength": 1}, {"$ref": "#/$defs/column"}]}
    },
    ("stream", "through"): {"additionalProperties": {"$ref": "#/$defs/through"}},
    ("stream", "sets"): {"additionalProperties": {"$ref": "#/$defs/set"}},
    ("set", "columns"): {"properties": dict.fromkeys(SET_COLUMNS, _NAME), "additionalProperties": False},
    ("set", "service"): {"properties": dict.fromkeys(SET_SERVICE, _NAME), "additionalProperties": False},
    ("stream", "key"): {
        "properties": {**dict.fromkeys(KEY_ROLES, _NAME), "source": {"$ref": "#/$defs/source"}},
        "additionalProperties": False,
    },
    ("source", "account"): {
        "properties": {"value": {"type": "integer", "minimum": 0}},
        "required": ["value"],
        "additionalProperties": False,
    },
    ("stream", "adopt"): {
        "properties": {"base": {"enum": list(ADOPT_BASES)}, "policy": {"enum": list(POLICIES)}},
        "additionalProperties": False,
    },
    # Rules: names, and lists of names that must all agree.
    ("stream", "match"): {
        "anyOf": [_TEXT, {"type": "array", "items": {"anyOf": [_TEXT, {"type": "array", "items": _TEXT}]}}]
    },
    ("stream", "service"): {
        "properties": {
            **dict.fromkeys(SERVICE_COLUMNS, _NAME),
            "amo_deleted_at": {"anyOf": [_NAME, {"$ref": "#/$defs/flag"}]},
        },
        "additionalProperties": False,
    },
}
# Words of earlier versions that the reader still understands.
_DEPRECATED = {("column", "transform"): "task_type"}
_REQUIRED = {
    "root": ["streams"],
    "source": ["account"],
    "flag": ["column"],
    "through": ["table", "parent", "target", "from", "link"],
    "stream": ["table", "columns"],
    "set": ["table", "parent", "item"],
}


def mapping_schema() -> Schema:
    """The schema of a mapping file, as JSON Schema 2020-12.

    It knows words, types and choices. What depends on the streams, on other words of a column or on the database is
    checked by `target-crm-admin map` alone.
    """
    return {
        "$schema": _DIALECT,
        "title": "Mapping of target-crm",
        **_section("root"),
        "$defs": {name: _section(name) for name in SECTIONS if name != "root"},
    }


def _section(name: str) -> Schema:
    properties = {word.name: _value(name, word) for word in SECTIONS[name]}
    found: Schema = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": _REQUIRED[name]} if name in _REQUIRED else {})


def _value(section: str, word: Word) -> Schema:
    plain = [kind for kind in word.takes if kind != "array"]
    one: Schema = {"type": plain[0] if len(plain) == 1 else plain}
    if plain == ["string"]:
        one["minLength"] = 1
    if word.choices:
        one = {"enum": [*word.choices, *([True, False] if "boolean" in plain else [])]}
    if (section, word.name) in _DEPRECATED:
        one = {"anyOf": [one, {"const": _DEPRECATED[section, word.name], "deprecated": True}]}
    if "array" in word.takes:
        one = {"anyOf": [one, {"type": "array", "items": one}]}
    return {**one, **_CONTENT.get((section, word.name), {}), "description": _without_links(word.meaning)}


def _without_links(text: str) -> str:
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"docs/\1", text).replace("`", "")
