"""Reads a mapping from YAML; every error names the file and the line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from target_crm.config.plain_files import UnfitFileError, read_plain_file
from target_crm.errors import MappingError
from target_crm.mapping.model import Mapping, Table
from target_crm.mapping.shared_tables import share_tables
from target_crm.mapping.stream_reader import StreamReader
from target_crm.mapping.vocabulary import names
from target_crm.mapping.yaml_lines import line_of, plain, read_yaml

_MOST_BYTES = 4_000_000
_MOST_PROBLEMS = 40


def _mapping(reader: StreamReader, document: Any, builtin: bool) -> Mapping:
    root = reader.section(document, "The mapping", 1)
    reader.known(root, names("root"), "The mapping")
    if root.get("version", 1) != 1:
        reader.note(line_of(root, "version"), f"version {root['version']!r} is unknown; this program reads 1.")
    region = root.get("default_region")
    if region is not None and not re.fullmatch(r"[A-Z]{2}", str(region)):
        reader.note(
            line_of(root, "default_region"), f"default_region {region!r} is not a country code such as RU (in quotes)."
        )
    zone = reader.attempt(lambda: reader.text(root, "naive_timezone", "naive_timezone"), None)
    if zone is not None and not is_zone(zone):
        reader.note(
            line_of(root, "naive_timezone"), f"naive_timezone {zone!r} is not a time zone such as Europe/Moscow."
        )
    ignored = reader.attempt(lambda: reader.several(root, "ignore", (str,), "ignore"), ())
    streams = reader.attempt(lambda: reader.section(root.get("streams"), "streams", line_of(root, "streams")), {})
    tables: dict[str, Table] = {}
    for name, spec in plain(streams).items():
        table = reader.attempt(lambda n=name, s=spec: reader.stream(n, s, line_of(streams, n)), None)  # type: ignore[misc]
        if table is not None:
            tables[name] = table
    _links(reader, tables, plain(streams))
    tables, shared = share_tables(_number_texts(tables))
    for line, text in shared:
        reader.note(line, text)
    if reader.problems:
        more = len(reader.problems) - _MOST_PROBLEMS
        raise MappingError("\n".join(reader.problems[:_MOST_PROBLEMS] + ([f"{more} more."] if more > 0 else [])))
    return Mapping(
        source_name=reader.source_name,
        tables=tables,
        ignored=frozenset(ignored),
        builtin=builtin,
        default_region=region,
        naive_timezone=zone,
    )


def _number_texts(tables: dict[str, Table]) -> dict[str, Table]:
    """The tables, whose links to records of other sources take ids that are any text."""
    foreign = {stream for stream, table in tables.items() if table.record.is_foreign}
    return {
        stream: replace(
            table,
            columns=tuple(replace(c, numbers_text=True) if c.link in foreign else c for c in table.columns),
            through=tuple(replace(t, numbers_text=True) if t.link in foreign else t for t in table.through),
        )
        for stream, table in tables.items()
    }


def _links(reader: StreamReader, tables: dict[str, Table], streams: Collection[str]) -> None:
    for table in tables.values():
        wanted = [
            (link, c.line, f"column {table.table}.{c.name}")
            for c in table.columns
            for link in (c.link, *(stream for stream, _ in c.links))
            if link
        ]
        wanted += [(t.link, t.line, f"through {t.name} of {table.stream}") for t in table.through]
        for link, line, what in wanted:
            if link not in streams:
                near = difflib.get_close_matches(link, streams, 1)
                meant = f" (did you mean {near[0]}?)" if near else ""
                reader.note(
                    line or table.line,
                    f"{what} links to stream {link}, which is not mapped{meant}; map it or remove the link.",
                )


def is_zone(name: str) -> bool:
    """Whether the time zone is known."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def read_mapping(text: str, source_name: str, *, builtin: bool = False) -> Mapping:
    """Parse a mapping's YAML text.

    Raises:
        MappingError: with the file, the line and what to do.
    """
    return _mapping(StreamReader(source_name), read_yaml(text, source_name), builtin)


def load_mapping(path: Path | None) -> Mapping:
    """The mapping of a file, or the built-in one for None.

    Raises:
        MappingError: the file is missing or wrong.
    """
    if path is None:
        text = resources.files("target_crm.mapping").joinpath("builtin.yaml").read_text("utf-8")
        return read_mapping(text, "built-in mapping", builtin=True)
    try:
        text = read_plain_file(path, _MOST_BYTES).decode("utf-8")
    except UnfitFileError as error:
        msg = f"Setting mapping_file: {path} can't be used: {error}."
        raise MappingError(msg) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        msg = f"{path}, line {line}: the text is not UTF-8; save the file in that encoding."
        raise MappingError(msg) from None
    return read_mapping(text, str(path))
