"""Streams that bring names for numbers: pipelines with their statuses, reasons of loss."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

from target_crm.errors import RecordError
from target_crm.seen import whole_number

LOOKUP_STREAMS = frozenset({"pipelines", "loss_reasons"})


class NamedLine(NamedTuple):
    """A staged name; `key` tells names of one account apart."""

    account_id: int
    key: str
    line: bytes


def lookup_lines(stream: str, record: dict[str, Any], seq: int) -> list[NamedLine]:
    """The names that a record brings.

    Raises:
        RecordError: it has no key or no name.
    """
    account, identity = (whole_number(record.get(key), key) for key in ("account_id", "id"))
    name = record.get("name")
    if not isinstance(name, str):
        raise RecordError("E_PROPERTY_MISSING", property="name")
    if stream == "loss_reasons":
        return [_line(account, "loss_reason", str(identity), name, seq)]
    lines = [_line(account, "pipeline", str(identity), name, seq)]
    embedded = record.get("_embedded")
    statuses = embedded.get("statuses") if isinstance(embedded, dict) else None
    for status in statuses if isinstance(statuses, list) else ():
        if isinstance(status, dict) and isinstance(status.get("name"), str) and status.get("id") is not None:
            lines.append(_line(account, "status", f"{identity}:{status['id']}", status["name"], seq))
    return lines


def _line(account: int, source: str, ref: str, name: str, seq: int) -> NamedLine:
    line = {"q": seq, "a": account, "s": source, "f": ref, "v": name}
    return NamedLine(account, f"{source}:{ref}", msgspec.json.encode(line))
