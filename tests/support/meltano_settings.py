"""Writes the settings of both plugins as `--about` describes them into meltano.yml and docs/settings.md, and their
definitions into `plugins/`: `make settings`."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from functools import cache
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


@cache
def described(command: str) -> dict[str, Any]:
    """What a command says of itself."""
    program = Path(sys.executable).parent / command
    done = subprocess.run([program, "--about", "--format=json"], capture_output=True, text=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def about(command: str) -> dict[str, Any]:
    """A command's settings as JSON Schema, by name."""
    found: dict[str, Any] = described(command)["settings"]["properties"]
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


# What a definition says beside what the plugin itself and meltano.yml do; the rest of it is as on Meltano Hub.
_DEFINITIONS: dict[str, dict[str, Any]] = {
    "tap-amocrm": {
        "pip_url": "tap-amocrm",
        "domain_url": "https://developers.kommo.com/",
        "keywords": ["meltano_sdk", "api", "crm"],
        "settings_group_validation": [
            ["subdomain", "access_token"],
            ["api_url", "access_token"],
            ["subdomain", "client_id"],
        ],
    },
    "target-crm": {
        "pip_url": "target-crm[all]",
        "domain_url": "https://www.postgresql.org/",
        "keywords": ["meltano_sdk", "database", "crm"],
        "settings_group_validation": [[]],
    },
}
_HEAD = "# Made by `make settings`. meltano add {command} --from-ref FILE takes this file or its address.\n"


def definition_file(command: str) -> Path:
    """Where the definition of a plugin is."""
    return FILE.parent / "plugins" / f"{command}.yml"


def definition(command: str) -> str:
    """A plugin's definition for `meltano add --from-ref` and Meltano Hub."""
    plugins = yaml.safe_load(FILE.read_text("utf-8"))["plugins"]
    (entry,) = (plugin for kind in plugins.values() for plugin in kind if plugin["name"] == command)
    own, spoken = _DEFINITIONS[command], described(command)
    found = {
        "name": command,
        "namespace": entry["namespace"],
        "variant": "amocrm-to-crm",
        "label": entry["label"],
        "description": spoken["description"],
        "domain_url": own["domain_url"],
        "docs": f"https://pypi.org/project/{command}/",
        "repo": f"https://pypi.org/project/{command}/",
        "pip_url": own["pip_url"],
        "executable": command,
        "maintenance_status": "active",
        "keywords": own["keywords"],
        "capabilities": sorted(spoken["capabilities"]),
        "commands": entry["commands"],
        **({"select": entry["select"]} if "select" in entry else {}),
        "settings_group_validation": own["settings_group_validation"],
        "settings": [setting(name, schema) for name, schema in about(command).items()],
    }
    body = yaml.dump(found, Dumper=_Indented, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return _HEAD.format(command=command) + body


PAGE = FILE.parent / "docs" / "settings.md"
_PAGE_HEAD = """# Settings

All settings of both plugins, as `tap-amocrm --about` and `target-crm --about` describe them. This page is generated by
`make settings`.

| given in | form |
| --- | --- |
| environment, or `.env` with Meltano | `TAP_AMOCRM_SUBDOMAIN`, `TARGET_CRM_DATABASE_URL`, ...; lists are JSON |
| `meltano.yml` | under `config` of the plugin, or `meltano config set tap-amocrm SETTING VALUE` |
| a config file without Meltano | JSON: `--config FILE`; `--config ENV` reads the environment |

An unknown setting is an error. Settings marked as secret never appear in logs or messages.
"""


def settings_page() -> str:
    """The page with a table of each plugin's settings."""
    parts = [_PAGE_HEAD]
    for command in PLUGINS:
        rows = [f"\n## {command}\n", "| setting | default | description |", "| --- | --- | --- |"]
        for name, schema in about(command).items():
            default = f"`{json.dumps(schema['default'], ensure_ascii=False)}`" if "default" in schema else ""
            choices = f" One of {', '.join(f'`{choice}`' for choice in schema['enum'])}." if "enum" in schema else ""
            secret = " Secret." if schema.get("secret") else ""
            text = " ".join(schema["description"].split()).replace("|", "\\|")
            rows.append(f"| `{name}` | {default} | {text}{choices}{secret} |")
        parts.append("\n".join(rows) + "\n")
    return "".join(parts)


if __name__ == "__main__":
    FILE.write_text(meltano_yml(), "utf-8")
    PAGE.write_text(settings_page(), "utf-8")
    for command in PLUGINS:
        definition_file(command).write_text(definition(command), "utf-8")
