"""Settings from where `meltano run` takes them: the environment, `.env`, meltano.yml."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from target_crm.config.setting_names import PREFIX, unknown_variables
from target_crm.config.settings import CONFIG_JSONSCHEMA, SETTING_NAMES, refuse
from target_crm.errors import ConfigError

_NAME = "target-crm"
TRUTHS = ("true", "1", "yes", "on")
_FALSEHOODS = ("false", "0", "no", "off")
_PATHS = ("data_dir", "mapping_file", "plan_file")


def from_variables(variables: Mapping[str, str | None]) -> dict[str, Any]:
    """The settings that TARGET_CRM_... variables give; numbers and booleans as such where the text is one."""
    found: dict[str, Any] = {}
    for name in SETTING_NAMES:
        value = variables.get(PREFIX + name.upper())
        if value:
            found[name] = _typed(CONFIG_JSONSCHEMA["properties"][name].get("type", ()), value)
    return found


def _typed(kinds: str | list[str], text: str) -> Any:
    """The text as the type that the schema declares; as it is where it can't be read, so that validation names it."""
    if "boolean" in kinds:
        word = text.strip().lower()
        return True if word in TRUTHS else False if word in _FALSEHOODS else text
    if "integer" in kinds and re.fullmatch(r"\s*[+-]?\d{1,18}\s*", text):
        return int(text)
    return text


def from_project() -> dict[str, Any]:
    """What `.env` and meltano.yml give: those of the Meltano project, else `.env` of the current folder.

    Paths in them are the project's. The environment is not looked at, but for MELTANO_PROJECT_ROOT, MELTANO_ENVIRONMENT
    and variables that meltano.yml names.

    Raises:
        ConfigError: a file can't be read, or a variable in `.env` is misspelt.
    """
    root = project_root()
    variables = _read_env_file((root or Path.cwd()) / ".env")
    found: dict[str, Any] = {}
    if root is not None:
        found |= _from_meltano(root, {**variables, **os.environ})
    found |= from_variables(variables)
    if root is not None:
        found.setdefault("data_dir", ".crm")
        found |= {name: str(root / Path(found[name]).expanduser()) for name in _PATHS if found.get(name)}
    return found


def project_root() -> Path | None:
    """The folder of the Meltano project that the command was started in, if any."""
    named = os.environ.get("MELTANO_PROJECT_ROOT")
    if named:
        return Path(named)
    try:
        here = Path.cwd()
    except OSError:
        return None
    return next((folder for folder in (here, *here.parents) if (folder / "meltano.yml").is_file()), None)


def refuse_unknown_variables() -> None:
    """Look for misspelt TARGET_CRM_... variables.

    Raises:
        ConfigError: there is one; names the nearest setting.
    """
    refuse(unknown_variables(os.environ, SETTING_NAMES))


def _read_env_file(file: Path) -> dict[str, str]:
    if not file.is_file():
        return {}
    from dotenv import dotenv_values

    try:
        variables = {name: value for name, value in dotenv_values(file).items() if value is not None}
    except (OSError, UnicodeDecodeError) as error:
        msg = f"{file} can't be read: {error}."
        raise ConfigError(msg) from None
    problems = unknown_variables(variables, SETTING_NAMES)
    refuse([f"{file}: {problem}" for problem in problems])
    return variables


def _from_meltano(root: Path, variables: Mapping[str, str]) -> dict[str, Any]:
    """The loader's config of meltano.yml, that of the environment over it. Variables in values are filled in."""
    documents = list(_documents(root))
    named = next((d["default_environment"] for d in documents if d.get("default_environment")), None)
    environment = variables.get("MELTANO_ENVIRONMENT") or named
    found: dict[str, Any] = {}
    for document in documents:
        found |= _loader_config(document.get("plugins"))
    for document in documents:
        for one in document.get("environments") or ():
            if isinstance(one, dict) and one.get("name") == environment:
                config = one.get("config")
                found |= _loader_config(config.get("plugins") if isinstance(config, dict) else None)
    return {name: _filled(value, variables) for name, value in found.items() if not name.startswith("_")}


def _documents(root: Path) -> Iterator[dict[str, Any]]:
    main = _read_yaml(root / "meltano.yml")
    yield main
    for pattern in main.get("include_paths") or ():
        for file in sorted(root.glob(str(pattern))):
            if file.suffix in (".yml", ".yaml") and file != root / "meltano.yml":
                yield _read_yaml(file)


def _read_yaml(file: Path) -> dict[str, Any]:
    import yaml

    try:
        document = yaml.safe_load(file.read_text("utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        msg = f"{file} can't be read: {what}."
        raise ConfigError(msg) from None
    return document if isinstance(document, dict) else {}


def _loader_config(plugins: Any) -> dict[str, Any]:
    loaders = plugins.get("loaders") if isinstance(plugins, dict) else None
    for loader in loaders or ():
        if isinstance(loader, dict) and loader.get("name") == _NAME and isinstance(loader.get("config"), dict):
            return dict(loader["config"])
    return {}


def _filled(value: Any, variables: Mapping[str, str]) -> Any:
    if not isinstance(value, str):
        return value
    return re.sub(r"\$\{(\w+)\}|\$([A-Z_]\w*)", lambda m: variables.get(m[1] or m[2], ""), value)
