"""Paths into records, as the mapping names what a column takes."""

from __future__ import annotations

import json
import re

CUSTOM_FIELDS = "custom_fields_values"
# A step of a path: a property, and of a list what to take: all (`[]`), one by its place (`[0]`, `[first]`), those of
# which a property has a value (`[is_main=true]`).
STEP = re.compile(r"(?P<name>[^\[\].]+)(?:\[(?:(?P<place>\d{1,6}|first)|(?P<key>[^\[\].=]+)=(?P<value>[^\[\].]*))?\])?")


def split_path(path: str) -> list[str]:
    """The steps of a path."""
    return [step for step in path.split(".") if step]


def json_path(path: str) -> str:
    """The path as PostgreSQL's jsonpath reads it."""
    made = "$"
    for step in split_path(path):
        found = STEP.fullmatch(step)
        if found is None:
            return '$.""'
        made += f".{json.dumps(found['name'])}"
        if found["place"] is not None:
            made += f"[{0 if found['place'] == 'first' else int(found['place'])}]"
        elif found["key"] is not None:
            name, said = f"@.{json.dumps(found['key'])}", found["value"]
            is_plain = said in ("true", "false") or re.fullmatch(r"-?(?:0|[1-9]\d*)(?:\.\d+)?", said)
            same = [f"{name} == {json.dumps(said)}", *([f"{name} == {said}"] if is_plain else [])]
            made += f"[*] ? ({' || '.join(same)})"
        elif step.endswith("[]"):
            made += "[*]"
    return made
