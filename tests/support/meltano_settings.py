"""Writes the settings of both plugins in meltano.yml as `--about` describes them: `make settings`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).resolve().parents[2] / "meltano.yml"
PLUGINS = ("tap-amocrm", "target-crm")
# Meltano's names of kinds by type and format. Numbers that may have a fraction come as text (docs/decisions.md).
_KINDS = {"boolean": "boolean", "integer": "integer", "number": "string", "array": "array", "object": "object"}
_WIDTH = 120


class _Indented(yaml.SafeDumper):
    """Lists are indented, as in the rest of meltano.yml."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        return super().increase_indent(flow, indentless=False)


def about(command: str) -> dict[str, Any]:
    """A command's settings as JSON Schema, by name."""
    program = Path(sys.executable).parent / command
    done = subprocess.run([program, "--about", "--format=json"], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)["settings"]["properties"]
    return found


def setting(name: str, schema: dict[str, Any]) -> dict[str, Any]:
    """One setting as meltano.yml writes it."""
    types = (
        [kind for kind in schema["type"] if kind != "null"] if isinstance(schema["type"], list) else [schema["type"]]
    )
    kind = "date_iso8601" if schema.get("format") == "date-time" else _KINDS.get(types[0], "string")
    found = {
        "name": name,
        "label": schema["title"],
        "kind": kind,
        "description": " ".join(schema["description"].split()),
    }
    if "enum" in schema:
        found |= {"kind": "options", "options": [{"label": choice, "value": choice} for choice in schema["enum"]]}
    if "default" in schema:
        found["value"] = schema["default"]
    if schema.get("secret"):
        found["sensitive"] = True
    return found


def written(text: str, command: str, settings: dict[str, Any]) -> str:
    """The text of meltano.yml with the settings of one plugin replaced."""
    entries = [setting(name, schema) for name, schema in settings.items()]
    block = yaml.dump(entries, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=_WIDTH - 4)
    shown = "".join(f"    {line}\n" if line else "\n" for line in block.splitlines())
    pattern = re.compile(rf"(  - name: {command}\n(?:    .*\n)*?    settings:\n)(?:    [- ].*\n)*")
    found, number = pattern.subn(lambda match: match[1] + shown, text)
    assert number == 1, f"meltano.yml has no settings of {command}"
    return found


def meltano_yml() -> str:
    """meltano.yml with the settings of both plugins as they are now."""
    text = FILE.read_text("utf-8")
    for command in PLUGINS:
        text = written(text, command, about(command))
    return text


if __name__ == "__main__":
    FILE.write_text(meltano_yml(), "utf-8")
