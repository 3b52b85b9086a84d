"""Names of settings: what was mistyped, and what has no effect in target-crm, is refused."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from difflib import get_close_matches
from typing import Any

PREFIX = "TARGET_CRM_"
# Settings that the Singer SDK gives to every target, and why they would do nothing here.
_WITHOUT_EFFECT = {
    "add_record_metadata": "rows carry amo_* columns and raw_fields instead",
    "activate_version": "deletions come from the stream deleted_records",
    "batch_config": "target-crm reads RECORD messages",
    "default_target_schema": "the setting is crm_schema",
    "faker_config": "target-crm has no stream maps; use those of the tap or a mapper",
    "flattening_enabled": "the mapping reads nested properties",
    "flattening_max_depth": "the mapping reads nested properties",
    "flattening_max_key_length": "the mapping reads nested properties",
    "flattening_separator": "the mapping reads nested properties",
    "hard_delete": "a deleted record's row gets amo_deleted_at",
    "load_method": "every load is a three-way merge; policies are set in the mapping",
    "process_activate_version_messages": "deletions come from the stream deleted_records",
    "stream_map_config": "target-crm has no stream maps; use those of the tap or a mapper",
    "stream_maps": "target-crm has no stream maps; use those of the tap or a mapper",
    "validate_records": "each value is checked by its column",
}
# Not settings: the SDK's level of logging, and the plugin extras that Meltano passes as TARGET_CRM__NAME.
_NOT_SETTINGS = re.compile(r"LOGLEVEL|_.*")


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a mistyped one most likely stands for."""
    by_letters = {re.sub(r"[^a-z0-9]", "", k.lower()): k for k in known}
    found = get_close_matches(re.sub(r"[^a-z0-9]", "", name.lower()), by_letters, n=1, cutoff=0.6)
    return by_letters[found[0]] if found else None


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """` Did you mean ...?`, or nothing where no name is near."""
    found = nearest(name, known)
    return f" Did you mean {found}?" if found else ""


def unknown_settings(config: Mapping[str, Any], known: Sequence[str]) -> list[str]:
    """One sentence for each key of a config that is not a setting."""
    return [_problem(name, name, known) for name in config if name not in known]


def unknown_variables(environment: Mapping[str, str], known: Sequence[str]) -> list[str]:
    """One sentence for each variable TARGET_CRM_... that names no setting."""
    problems = []
    for variable in sorted(environment):
        name = variable.removeprefix(PREFIX)
        if name == variable or _NOT_SETTINGS.fullmatch(name) or name.lower() in known:
            continue
        problems.append(_problem(variable, name.lower(), known))
    return problems


def _problem(shown: str, name: str, known: Sequence[str]) -> str:
    if name in _WITHOUT_EFFECT:
        return f"Setting {shown} of the Singer SDK has no effect in target-crm: {_WITHOUT_EFFECT[name]}. Remove it."
    kind = "Environment variable" if shown != name else "Setting"
    found = nearest(name, known)
    if found is None:
        return f"{kind} {shown} is unknown. The settings are {', '.join(known)}."
    return f"{kind} {shown} is unknown. Did you mean {PREFIX + found.upper() if shown != name else found}?"
