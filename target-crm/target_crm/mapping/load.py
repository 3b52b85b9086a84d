"""Reads a mapping from YAML; every error names the file and the line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from importlib import resources
from pathlib import Path
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import yaml

from target_crm.config.plain_files import UnfitFileError, read_plain_file
from target_crm.config.settings import POLICIES
from target_crm.errors import MappingError
from target_crm.mapping.model import RESURRECT, SERVICE_COLUMNS, SET_COLUMNS, Column, ItemSet, Mapping, Table
from target_crm.mapping.sources import source_problems, stream_problem
from target_crm.normalise import TRANSFORMS

# Kinds of names, and how many properties make their reference: a status is named within its pipeline.
LOOKUPS = {"pipeline": 1, "status": 2, "loss_reason": 1, "task_type": 1, "task_type_code": 1}
_LINES = "__lines__"
_Read = TypeVar("_Read")
_MOST_BYTES = 4_000_000
_MOST_PROBLEMS = 40
_ROOT_KEYS = {"version", "default_region", "naive_timezone", "streams", "ignore"}
_TABLE_KEYS = {
    "table", "columns", "sets", "key", "service", "defaults", "match", "resurrect", "match_only", "properties",
}  # fmt: skip
_COLUMN_KEYS = {
    "from", "field", "part", "transform", "link", "lookup", "when_entity", "policy", "respect_clears", "values",
    "first",
}  # fmt: skip
_SET_KEYS = {"table", "parent", "field", "item", "columns", "defaults", "service"}
_SET_SERVICE = ("id", "raw_fields", "created_at", "updated_at")


class _Lines(NamedTuple):
    """Where a YAML mapping begins, and where each of its keys stands."""

    start: int
    keys: dict[Any, int]


class _LineLoader(yaml.SafeLoader):
    """Keeps the lines, so that an error can say where to look; refuses a name that stands twice."""

    last_line = 1

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        self.last_line = node.start_mark.line + 1
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in lines and key != "<<":
                problem = f"{key} stands here for the second time (first in line {lines[key]}); keep one of them"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines[repr(key) if isinstance(key, (list, dict)) else key] = key_node.start_mark.line + 1
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        mapping[_LINES] = _Lines(node.start_mark.line + 1, lines)
        return mapping


class _Reader:
    """Reads a parsed mapping; what is wrong is collected, so that all of it is said at once."""

    def __init__(self, source_name: str) -> None:
        self.source_name = source_name
        self.problems: list[str] = []

    def attempt(self, read: Callable[[], Any], instead: Any) -> Any:
        """What a part of the mapping says; if it is wrong, that is noted, and something else taken to go on with."""
        try:
            return read()
        except MappingError as error:
            self.problems.append(str(error))
            return instead

    def note(self, line: int | None, what: str) -> None:
        """Something that is wrong, after which the reading can go on."""
        self.problems.append(str(self.fail(line, what)))

    def fail(self, line: int | None, what: str) -> MappingError:
        place = f"{self.source_name}, line {line}" if line else self.source_name
        return MappingError(f"{place}: {what}")

    def section(self, value: Any, what: str, line: int | None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(line, f"{what} must be a mapping of names to values.")
        for name in _plain(value):
            if not isinstance(name, str):
                said = str(name).lower() if isinstance(name, bool) else name
                raise self.fail(
                    _line(value, name),
                    f"{what}: YAML reads the name {said} as a {type(name).__name__}; write it in quotes.",
                )
        return value

    def part(self, spec: dict[str, Any], key: str, what: str) -> dict[str, Any]:
        """A section that may be missing."""
        return self.section({} if spec.get(key) is None else spec[key], what, _line(spec, key))

    def known(self, given: dict[str, Any], allowed: Collection[str], what: str) -> None:
        for name in _plain(given):
            if name in allowed:
                continue
            near = difflib.get_close_matches(name, allowed, 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            # What is no name may be a line of quite another file, which is nobody's business.
            is_name = re.fullmatch(r"[\w.-]{1,63}", str(name)) is not None
            shown = name if is_name else "what is written there"
            self.note(
                _line(given, name), f"{what} does not know {shown}{meant}; it takes {', '.join(sorted(allowed))}."
            )
            if not is_name:
                return

    def choice(self, spec: dict[str, Any], key: str, allowed: Collection[str], what: str) -> str | None:
        given = spec.get(key)
        if given is None:
            return None
        if given not in allowed:
            raise self.fail(_line(spec, key), f"{what} {given!r} is none of {', '.join(allowed)}.")
        return str(given)

    def text(self, spec: dict[str, Any], key: str, what: str) -> str | None:
        given = spec.get(key)
        if given is not None and (not isinstance(given, str) or not given):
            raise self.fail(_line(spec, key), f"{what} must be a text, it is {given!r}.")
        return given

    def flag(self, spec: dict[str, Any], key: str, what: str) -> bool:
        given = spec.get(key, False)
        if not isinstance(given, bool):
            raise self.fail(_line(spec, key), f"{what} must be true or false, it is {given!r}.")
        return given

    def several(self, spec: dict[str, Any], key: str, kinds: tuple[type, ...], what: str) -> tuple[Any, ...]:
        """One value or a list of values."""
        given = spec.get(key)
        values = () if given is None else tuple(given) if isinstance(given, list) else (given,)
        for value in values:
            if not isinstance(value, kinds) or isinstance(value, bool) or value == "":
                wanted = "texts or numbers" if int in kinds else "texts"
                raise self.fail(_line(spec, key), f"{what} takes {wanted}, not {value!r}.")
        return values

    def names(self, spec: dict[str, Any], key: str, allowed: Collection[str], what: str) -> dict[str, str | None]:
        """A section of roles and the columns that play them; null where there is none."""
        section = self.part(spec, key, what)
        self.known(section, allowed, what)
        for role, name in _plain(section).items():
            if name is not None and (not isinstance(name, str) or not name):
                raise self.fail(_line(section, role), f"{what}: {role} names a column, or null; it is {name!r}.")
        return _plain(section)

    def mapping(self, document: Any, builtin: bool) -> Mapping:
        root = self.section(document, "The mapping", 1)
        self.known(root, _ROOT_KEYS, "The mapping")
        if root.get("version", 1) != 1:
            self.note(_line(root, "version"), f"version {root['version']!r} is unknown; this program reads 1.")
        region = root.get("default_region")
        if region is not None and not re.fullmatch(r"[A-Z]{2}", str(region)):
            self.note(
                _line(root, "default_region"), f"default_region {region!r} is no country code such as RU (in quotes)."
            )
        zone = self.attempt(lambda: self.text(root, "naive_timezone", "naive_timezone"), None)
        if zone is not None and not is_zone(zone):
            self.note(
                _line(root, "naive_timezone"), f"naive_timezone {zone!r} is not a time zone such as Europe/Moscow."
            )
        ignored = self.attempt(lambda: self.several(root, "ignore", (str,), "ignore"), ())
        streams = self.attempt(lambda: self.section(root.get("streams"), "streams", _line(root, "streams")), {})
        tables: dict[str, Table] = {}
        for name, spec in _plain(streams).items():
            table = self.attempt(lambda n=name, s=spec: self.stream(n, s, _line(streams, n)), None)  # type: ignore[misc]
            if table is not None:
                tables[name] = table
        self.links(tables, _plain(streams))
        self.tables_once(tables)
        if self.problems:
            more = len(self.problems) - _MOST_PROBLEMS
            raise MappingError("\n".join(self.problems[:_MOST_PROBLEMS] + ([f"{more} more."] if more > 0 else [])))
        return Mapping(
            source_name=self.source_name,
            tables=tables,
            ignored=frozenset(ignored),
            builtin=builtin,
            default_region=region,
            naive_timezone=zone,
        )

    def stream(self, name: str, spec: Any, line: int | None) -> Table:
        problem = stream_problem(name)
        if problem:
            self.note(line, problem)
        return self.table(name, self.section(spec, f"Stream {name}", line), line)

    def links(self, tables: dict[str, Table], streams: Collection[str]) -> None:
        for table in tables.values():
            for column in table.columns:
                if column.link and column.link not in streams:
                    near = difflib.get_close_matches(column.link, streams, 1)
                    meant = f" (did you mean {near[0]}?)" if near else ""
                    self.note(
                        column.line or table.line,
                        f"column {table.table}.{column.name} links to stream {column.link}, "
                        f"which is not mapped{meant}; map it or take the link out.",
                    )

    def tables_once(self, tables: dict[str, Table]) -> None:
        """Rows are known by table and amoCRM id, and ids are unique within a stream only."""
        seen: dict[str, str] = {}
        for stream, table in tables.items():
            for name, line, who in (
                (table.table, table.line, f"stream {stream}"),
                *((s.table, s.line, f"set {s.name} of {stream}") for s in table.sets),
            ):
                if name in seen:
                    self.note(line, f"table {name} takes {seen[name]} already; {who} needs a table of its own.")
                seen[name] = who

    def table(self, stream: str, spec: dict[str, Any], line: int | None) -> Table:
        self.known(spec, _TABLE_KEYS, f"Stream {stream}")
        name = self.text(spec, "table", f"table of {stream}")
        if name is None:
            raise self.fail(line, f"stream {stream} names no table; add table: NAME.")
        key = self.attempt(lambda: self.names(spec, "key", ("id", "account", "amo_id"), f"key of {stream}"), {})
        service = dict(SERVICE_COLUMNS) | self.attempt(
            lambda: self.names(spec, "service", SERVICE_COLUMNS, f"service of {stream}"), {}
        )
        for role, given in (*key.items(), ("raw_fields", service["raw_fields"])):
            if given is None:
                where = "key" if role in key else "service"
                self.note(_line(spec, where), f"{where}.{role} of {stream} can't be null: it is needed.")
        more = frozenset(self.attempt(lambda: self.several(spec, "properties", (str,), f"properties of {stream}"), ()))
        columns = self.attempt(
            lambda: self.section(spec.get("columns"), f"columns of {stream}", _line(spec, "columns") or line), {}
        )
        parsed = self.each(columns, lambda n, v, at: self.column(stream, n, v, at, more))
        match = self.attempt(lambda: self.several(spec, "match", (str,), f"match of {stream}"), ())
        for column in match:
            if column not in columns:
                self.note(_line(spec, "match"), f"stream {stream} matches by {column}, which is not among its columns.")
        if isinstance(spec.get("resurrect"), bool):
            spec["resurrect"] = "changed" if spec["resurrect"] else "never"
        sets = self.attempt(lambda: self.part(spec, "sets", f"sets of {stream}"), {})
        defaults = self.attempt(lambda: self.part(spec, "defaults", f"defaults of {stream}"), {})
        return Table(
            stream=stream,
            table=name,
            columns=tuple(parsed),
            sets=tuple(self.each(sets, lambda n, v, at: self.item_set(stream, n, v, at))),
            id=key.get("id") or "id",
            account=key.get("account") or "amo_account_id",
            amo_id=key.get("amo_id") or "amo_id",
            service=service,
            defaults=_bare(defaults),
            match=match,
            resurrect=self.attempt(lambda: self.choice(spec, "resurrect", RESURRECT, f"resurrect of {stream}"), None)
            or "never",
            match_only=self.attempt(lambda: self.flag(spec, "match_only", f"match_only of {stream}"), False),
            properties=more,
            line=line,
            default_lines=_key_lines(defaults),
        )

    def each(self, section: dict[str, Any], read: Callable[[str, Any, int | None], _Read]) -> list[_Read]:
        """What the entries of a section say, those left out that are wrong."""
        found: list[_Read] = []
        for name, spec in _plain(section).items():
            try:
                found.append(read(name, spec, _line(section, name)))
            except MappingError as error:
                self.problems.append(str(error))
        return found

    def column(self, stream: str, name: str, spec: Any, line: int | None, more: Collection[str]) -> Column:
        what = f"column {name} of {stream}"
        if isinstance(spec, str):
            spec = {"from": spec}
        spec = self.section(spec, f"Column {name} of {stream}", line)
        self.known(spec, _COLUMN_KEYS, f"Column {name} of {stream}")
        if ("from" in spec) == ("field" in spec):
            raise self.fail(line, f"{what} needs either from or field.")
        values = self.part(spec, "values", f"values of {name}") if spec.get("values") is not None else None
        if spec.get("transform") == "task_type":
            # Version 0.1 had the names in its code; they come from the account now.
            spec = {**spec, "transform": None, "lookup": "task_type"}
        column = Column(
            name=name,
            path=self.several(spec, "from", (str,), f"from of {name}"),
            fields=self.several(spec, "field", (str, int), f"field of {name}"),
            part=self.text(spec, "part", f"part of {name}"),
            transform=self.choice(spec, "transform", sorted(TRANSFORMS), f"transform of {name}"),
            link=self.text(spec, "link", f"link of {name}"),
            lookup=self.choice(spec, "lookup", LOOKUPS, f"lookup of {name}"),
            when_entity=self.text(spec, "when_entity", f"when_entity of {name}"),
            values=None if values is None else {_as_said(k): _bare(v) for k, v in _plain(values).items()},
            policy=self.choice(spec, "policy", POLICIES, f"policy of {name}"),
            respect_clears=self.flag(spec, "respect_clears", f"respect_clears of {name}"),
            first=self.flag(spec, "first", f"first of {name}"),
            line=line,
        )
        problem = _contradiction(column)
        if problem:
            raise self.fail(line, f"{what} {problem}")
        for problem in source_problems(stream, column, more):
            self.note(line, f"{what} {problem}")
        return column

    def item_set(self, stream: str, name: str, spec: Any, line: int | None) -> ItemSet:
        spec = self.section(spec, f"Set {name} of {stream}", line)
        self.known(spec, _SET_KEYS, f"Set {name} of {stream}")
        for needed in ("table", "parent", "field", "item"):
            if spec.get(needed) is None:
                raise self.fail(line, f"set {name} of {stream} needs {needed}.")
        service = {r: r for r in _SET_SERVICE} | self.names(spec, "service", _SET_SERVICE, f"service of set {name}")
        columns = {r: r for r in SET_COLUMNS} | self.names(spec, "columns", SET_COLUMNS, f"columns of set {name}")
        for role, given, where in (
            ("id", service["id"], "service"),
            ("raw_fields", service["raw_fields"], "service"),
            ("value", columns["value"], "columns"),
        ):
            if given is None:
                raise self.fail(_line(spec, where), f"set {name} of {stream} needs a column for {role}.")
        defaults = self.part(spec, "defaults", f"defaults of set {name}")
        return ItemSet(
            name=name,
            table=self.text(spec, "table", f"table of set {name}") or "",
            parent=self.text(spec, "parent", f"parent of set {name}") or "",
            fields=self.several(spec, "field", (str, int), f"field of set {name}"),
            item=self.choice(spec, "item", ("phone", "email"), f"item of {name}") or "",
            id=service["id"] or "id",
            columns={k: v for k, v in columns.items() if v is not None},
            defaults=_bare(defaults),
            raw_fields=service["raw_fields"] or "raw_fields",
            updated_at=service["updated_at"],
            created_at=service["created_at"],
            line=line,
            default_lines=_key_lines(defaults),
        )


def is_zone(name: str) -> bool:
    """Whether the time zone is known."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True


def _contradiction(column: Column) -> str | None:
    """What is wrong between the words of one column."""
    if column.link and column.lookup:
        return "has both link and lookup; a value is either a row or a name."
    if column.source and column.fields:
        return "takes a custom field, but link and lookup need an id: use from."
    if column.source and (column.transform or column.values or column.part):
        return "has a link or lookup, which leaves nothing to transform, values or part; take those out."
    if column.link and len(column.path) != 1:
        return "links by more than one property; name one."
    wanted = LOOKUPS.get(column.lookup or "")
    if wanted and len(column.path) != wanted:
        example = "[pipeline_id, status_id]" if wanted == 2 else "one property"
        return f"looks up a {column.lookup}, which takes {example}."
    if column.when_entity and not column.link:
        return "has when_entity, which only means something beside link."
    several = len(column.path) > 1 and column.lookup is None and column.transform not in ("first_name", "note_text")
    if several and not column.first:
        return "takes several properties; say first: true for the first that is not empty, or name one."
    if column.part and not column.fields:
        return "has part, which only means something beside field; a property's part is named in its path."
    return None


def _line(section: dict[str, Any], key: Any) -> int | None:
    """The line of a key; of the section where the key is missing."""
    lines = section.get(_LINES)
    return lines.keys.get(key, lines.start) if isinstance(lines, _Lines) else None


def _key_lines(section: dict[str, Any]) -> dict[str, int]:
    lines = section.get(_LINES)
    return dict(lines.keys) if isinstance(lines, _Lines) else {}


def _as_said(value: Any) -> str:
    """A YAML key as amoCRM says it: `true` and numbers are keys in YAML, too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(section: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in section.items() if k != _LINES}


def _bare(value: Any) -> Any:
    """A value without lines, however deep."""
    if isinstance(value, dict):
        return {k: _bare(v) for k, v in _plain(value).items()}
    return [_bare(v) for v in value] if isinstance(value, list) else value


def read_mapping(text: str, source_name: str, *, builtin: bool = False) -> Mapping:
    """Parse a mapping's YAML text.

    Raises:
        MappingError: with the file, the line and what to do.
    """
    loader: _LineLoader | None = None
    try:
        loader = _LineLoader(text)
        document = loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        msg = f"{source_name}, line {line}: {error.problem or error.context}; correct the YAML there."
        raise MappingError(msg) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = error.character if isinstance(error.character, int) else ord(error.character[0])
        msg = f"{source_name}, line {line}: the character U+{character:04X} may not stand in YAML; take it out."
        raise MappingError(msg) from None
    except RecursionError:
        line = loader.line + 1 if loader is not None else 1
        msg = f"{source_name}, line {line}: lists and mappings are nested too deeply; correct the YAML there."
        raise MappingError(msg) from None
    except ValueError as error:
        # A number or a date that YAML reads as one, and that is none.
        place = f"{source_name}, line {loader.last_line if loader is not None else 1}"
        msg = f"{place}: a value can't be read: {error}; correct it, or write it in quotes."
        raise MappingError(msg) from None
    return _Reader(source_name).mapping(document, builtin)


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
        msg = f"Setting mapping_file: {path} can't be taken: {error}."
        raise MappingError(msg) from None
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        msg = f"{path}, line {line}: the text is not UTF-8; save the file in that encoding."
        raise MappingError(msg) from None
    return read_mapping(text, str(path))
