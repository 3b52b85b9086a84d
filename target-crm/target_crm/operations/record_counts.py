"""How many records of a sync have a value: for a mapping that is only proposed, before anything is loaded."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import IO, Any

import msgspec

from target_crm.mapping.left_out import RecordCounts
from target_crm.mapping.paths import split_path
from target_crm.singer_io.messages import decode_message, read_lines


def count_records(lines: IO[Any], wanted: Iterable[tuple[str, str]]) -> RecordCounts:
    """Count the records of each stream in a file of Singer messages, and those with a value at each wanted path.

    Args:
        lines: The file.
        wanted: Streams and paths, as a mapping writes them.

    Raises:
        MessageError: a line is not a Singer message; names its number.
    """
    paths: dict[str, set[str]] = {}
    for stream, path in wanted:
        paths.setdefault(stream, set()).add(path)
    records, filled = Counter[str](), Counter[tuple[str, str]]()
    for number, line in enumerate(read_lines(lines), 1):
        message = decode_message(line, number)
        if message.type != "RECORD" or message.stream is None:
            continue
        records[message.stream] += 1
        if message.stream in paths:
            record = msgspec.json.decode(message.record)
            filled.update((message.stream, path) for path in paths[message.stream] if _is_filled(record, path))
    return RecordCounts(records, filled)


def _is_filled(record: Any, path: str) -> bool:
    """Whether a record has a value there; of a list, whatever the path takes of it, whether it has any item."""
    value = record
    for step in split_path(path):
        if isinstance(value, list):
            value = value[0] if value else None
        value = value.get(step.partition("[")[0]) if isinstance(value, dict) else None
    return value not in (None, "", 0, [], {})
