"""PostgreSQL's text format of COPY, column by column: a whole column is escaped at once, at the speed of C."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Protocol


class Column(Protocol):
    """A dumped column: a list, or an object that dumps slices on demand."""

    def __len__(self) -> int: ...

    def __getitem__(self, part: slice, /) -> Sequence[bytes]: ...


_NULL = b"\\N"
_CHUNK_ROWS = 500


def dump_column(values: Sequence[Any]) -> list[bytes]:
    """The column's values in the format of COPY: text, numbers, booleans, lists (as arrays), objects (as JSON),
    None."""
    kinds = set(map(type, values))
    if kinds == {int}:
        return [b"%d" % value for value in values]
    nulls = type(None) in kinds
    if nulls and len(kinds) == 1:
        return [_NULL] * len(values)
    if kinds <= {str, type(None)}:
        texts = ["" if value is None else value for value in values] if nulls else values
    else:
        texts = ["" if value is None else as_copied(value) for value in values]
    escaped = _escape_all(texts)
    if nulls:
        return [_NULL if value is None else text for value, text in zip(values, escaped, strict=True)]
    return escaped


def _escape_all(texts: Sequence[str]) -> list[bytes]:
    if not texts:
        return []
    # PostgreSQL's text can't contain NUL, so NUL can separate the values.
    parts = escape("\0".join(texts).encode()).split(b"\0")
    if len(parts) != len(texts):
        parts = [escape(text.replace("\0", "").encode()) for text in texts]
    return parts


def dump_documents(documents: Sequence[bytes]) -> list[bytes]:
    """JSON documents in the format of COPY."""
    return escape(b"\0".join(documents)).split(b"\0") if documents else []


def escape(text: bytes) -> bytes:
    """Escapes characters with a meaning in COPY."""
    text = text.replace(b"\\", b"\\\\")
    for plain, escaped in ((b"\t", b"\\t"), (b"\n", b"\\n"), (b"\r", b"\\r")):
        if plain in text:
            text = text.replace(plain, escaped)
    return text


def as_copied(value: Any) -> str:
    """A value in the notation of PostgreSQL's types."""
    if value.__class__ is str:
        return str(value)
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, (list, tuple)):
        return _array(tuple(value))
    if isinstance(value, dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)


@lru_cache(maxsize=4096)
def _array(items: tuple[Any, ...]) -> str:
    """An array of text in PostgreSQL's notation."""
    quoted = []
    for item in items:
        text = str(item).replace("\\", "\\\\").replace('"', '\\"')
        quoted.append("NULL" if item is None else f'"{text}"')
    return "{" + ",".join(quoted) + "}"


def rows_of(columns: Sequence[Column]) -> Iterator[bytes]:
    """The dumped columns as rows, several hundred at a time."""
    for start in range(0, len(columns[0]), _CHUNK_ROWS):
        rows: Iterable[tuple[bytes, ...]] = zip(
            *(column[start : start + _CHUNK_ROWS] for column in columns), strict=True
        )
        yield b"\n".join(map(b"\t".join, rows)) + b"\n"
