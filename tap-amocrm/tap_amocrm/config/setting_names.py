"""Names of settings: what was mistyped, and what has no effect in tap-amocrm, is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

PREFIX = "TAP_AMOCRM_"
# Settings that the Singer SDK gives to every tap, and why they would do nothing here.
_FLAT = "no schema has nested properties that could be flattened"
_WITHOUT_EFFECT = {
    "batch_config": "tap-amocrm writes RECORD messages",
    "emit_activate_version_messages": "deletions come in the stream deleted_records",
    "flattening_enabled": _FLAT,
    "flattening_max_depth": _FLAT,
    "flattening_max_key_length": _FLAT,
    "flattening_separator": _FLAT,
}
# Not settings: the SDK's level of logging, and the plugin extras that Meltano passes as TAP_AMOCRM__NAME.
_NOT_SETTINGS = re.compile(r"LOGLEVEL|_.*")
# Settings that hold objects; Meltano passes their parts in their own variables.
_OBJECTS = ("stream_maps_", "stream_map_config_", "faker_config_")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely stands for."""
    from difflib import get_close_matches  # for mistakes alone

    by_letters = {re.sub(r"[^a-z0-9]", "", k.lower()): k for k in known}
    found = get_close_matches(re.sub(r"[^a-z0-9]", "", name.lower()), by_letters, n=1, cutoff=0.6)
    return by_letters[found[0]] if found else None


def unknown_settings(names: Iterable[str], known: Sequence[str]) -> dict[str, str]:
    """Each key of a config that is not a setting, with a sentence. Meltano's extras begin with an underscore."""
    return {name: _problem(name, name, known) for name in names if name not in known and not name.startswith("_")}


def unknown_variables(environment: Mapping[str, str], known: Sequence[str]) -> dict[str, str]:
    """Each variable TAP_AMOCRM_... that names no setting, with a sentence.

    Under Meltano the variables of plugins that inherit from this one are there, too (`TAP_AMOCRM_NORTH_SUBDOMAIN` of
    `tap-amocrm-north`): what ends with the name of a setting is not looked at.
    """
    inherited = tuple(f"_{name}" for name in known) if environment.get("MELTANO_PROJECT_ROOT") else ()
    problems = {}
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or _NOT_SETTINGS.fullmatch(name):
            continue
        setting = name.lower()
        if setting not in known and not setting.startswith(_OBJECTS) and not setting.endswith(inherited):
            problems[variable] = _problem(variable, setting, known)
    return problems


def _problem(shown: str, name: str, known: Sequence[str]) -> str:
    if name in _WITHOUT_EFFECT:
        return f"Setting {shown} of the Singer SDK has no effect in tap-amocrm: {_WITHOUT_EFFECT[name]}. Remove it."
    kind = "Environment variable" if shown != name else "Setting"
    found = nearest(name, known)
    if found is None:
        return f"{kind} {shown} is unknown. The settings are {', '.join(known)}."
    return f"{kind} {shown} is unknown. Did you mean {PREFIX + found.upper() if shown != name else found}?"
