"""Reads what a mapping file says of a flag of deleted rows: a column that says whether a row is deleted, not when."""

from __future__ import annotations

from typing import Any

from target_crm.mapping.model import DeletedFlag
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.vocabulary import names
from target_crm.mapping.yaml_lines import line_of

_ROLE = "amo_deleted_at"
_PLAIN = (bool, int, str)


def read_flag(reader: SectionReader, stream: str, spec: dict[str, Any]) -> tuple[dict[str, Any], DeletedFlag | None]:
    """The stream's section with the flag's column instead of its words, and the flag; None where there is none.

    Raises:
        MappingError: it can't be read.
    """
    service = spec.get("service")
    given = service.get(_ROLE) if isinstance(service, dict) else None
    if not isinstance(service, dict) or not isinstance(given, dict):
        return spec, None
    what, line = f"service.{_ROLE} of {stream}", line_of(service, _ROLE)
    reader.known(given, names("flag"), what)
    column = reader.text(given, "column", f"column of {what}")
    if column is None:
        raise reader.fail(line, f"{what} needs column: the one that says whether a row is deleted.")
    values = {"deleted": given.get("deleted", True), "live": given.get("live")}
    if "live" not in given:
        if not isinstance(values["deleted"], bool):
            raise reader.fail(line, f"{what} needs live: what the column holds in rows that are not deleted.")
        values["live"] = not values["deleted"]
    for name, value in values.items():
        if not isinstance(value, _PLAIN):
            raise reader.fail(line_of(given, name) or line, f"{name} of {what} takes one plain value, not {value!r}.")
    if values["deleted"] == values["live"]:
        raise reader.fail(line, f"{what}: deleted and live are the same value; name two.")
    return {**spec, "service": {**service, _ROLE: column}}, DeletedFlag(**values)
