"""Streams that bring names for numbers: pipelines with their statuses, reasons of loss, types of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import msgspec

from target_crm.errors import RecordError
from target_crm.normalise.custom_fields import is_empty, readable
from target_crm.normalise.numbers import as_integer
from target_crm.records.envelope import whole_number

LOOKUP_STREAMS = frozenset({"pipelines", "statuses", "loss_reasons", "task_types"})
# Where a record itself names what its id stands for: the list lacks reasons that were deleted.
EMBEDDED_NAMES = {"loss_reason": "_embedded.loss_reason"}
_OF_TASK_TYPE = (("task_type", "name"), ("task_type_code", "code"))


class NamedLine(NamedTuple):
    """A staged name; `key` tells names of one account apart."""

    account_id: int
    key: str
    line: bytes


def lookup_lines(stream: str, record: dict[str, Any], seq: int) -> list[NamedLine]:
    """The names that a record brings; a pipeline without a name still brings those of its statuses.

    Raises:
        RecordError: it has no key, or nothing has a name.
    """
    account, identity = (whole_number(record.get(key), key) for key in ("account_id", "id"))
    named: list[tuple[str, str, Any]] = []
    if stream == "statuses":
        named.append(("status", f"{_number(record.get('pipeline_id'))}:{identity}", record.get("name")))
    elif stream == "pipelines":
        named.append(("pipeline", str(identity), record.get("name")))
        named += [("status", f"{identity}:{number}", name) for number, name in embedded_names(record, "statuses")]
    elif stream == "task_types":
        named += [
            ("task_type", str(identity), record.get("name")),
            ("task_type_code", str(identity), record.get("code")),
        ]
    else:
        named.append(("loss_reason", str(identity), record.get("name")))
    lines = [
        _line(account, source, ref, name, seq) for source, ref, given in named if (name := readable(given)) is not None
    ]
    if not lines:
        raise RecordError("E_PROPERTY_MISSING", property="name")
    return lines


def field_lines(record: Mapping[str, Any], seq: int) -> list[NamedLine]:
    """What an account calls a custom field, by the field's number and by its code; empty for what has no name."""
    account, number, entity = (record.get(key) for key in ("account_id", "id", "entity_type"))
    name = readable(record.get("name"))
    if name is None or not isinstance(entity, str) or not isinstance(account, int) or _number(number) is None:
        return []
    code = record.get("code")
    refs = [("field", f"{entity}:{_number(number)}")]
    refs += [("field_code", f"{entity}:{code}")] if isinstance(code, str) and code else []
    return [_line(account, source, ref, name, seq) for source, ref in refs]


def embedded_names(record: Mapping[str, Any], name: str) -> list[tuple[int, str]]:
    """Ids and names of what a record embeds: one object, a list, or a list written as an object with numeric keys."""
    embedded = record.get("_embedded")
    return named_items(embedded.get(name) if isinstance(embedded, Mapping) else None)


def named_items(given: Any) -> list[tuple[int, str]]:
    """Ids and names of one object or of several."""
    items: Iterable[Any] = ()
    if isinstance(given, list):
        items = given
    elif isinstance(given, Mapping):
        items = [given] if "id" in given else given.values()
    found = []
    for item in items:
        number = _number(item.get("id")) if isinstance(item, Mapping) else None
        name = readable(item.get("name")) if number is not None else None
        if number is not None and name is not None:
            found.append((number, name))
    return found


def _number(value: Any) -> int | None:
    try:
        return None if is_empty(value) else as_integer(value)
    except ValueError:
        return None


def _line(account: int, source: str, ref: str, name: str, seq: int) -> NamedLine:
    line = {"seq": seq, "account_id": account, "source": source, "ref": ref, "name": name}
    return NamedLine(account, f"{source}:{ref}", msgspec.json.encode(line))
