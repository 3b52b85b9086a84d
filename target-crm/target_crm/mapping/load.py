"""Reads a mapping from YAML; every error names the file and the line."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

import yaml

from target_crm.config import POLICIES
from target_crm.errors import MappingError
from target_crm.mapping.model import RESURRECT, SERVICE_COLUMNS, Column, ItemSet, Mapping, Table
from target_crm.normalise import TRANSFORMS

LOOKUPS = ("pipeline", "status", "loss_reason", "task_type")
_LINE = "__line__"
_TABLE_KEYS = {
    "table", "columns", "sets", "key", "service", "defaults", "match", "resurrect", "match_only",
}  # fmt: skip
_COLUMN_KEYS = {
    "from", "field", "part", "transform", "link", "lookup", "when_entity", "policy", "respect_clears", "values",
}  # fmt: skip
_SET_KEYS = {"table", "parent", "field", "item", "columns", "defaults", "service"}


class _LineLoader(yaml.SafeLoader):
    """Keeps each mapping's line, so that an error can say where to look."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        mapping[_LINE] = node.start_mark.line + 1
        return mapping


class _Reader:
    def __init__(self, source_name: str) -> None:
        self.source_name = source_name

    def fail(self, line: int | None, what: str) -> MappingError:
        place = f"{self.source_name}, line {line}" if line else self.source_name
        return MappingError(f"{place}: {what}")

    def section(self, value: Any, what: str, line: int | None) -> dict[str, Any]:
        if not isinstance(value, dict):
            raise self.fail(line, f"{what} must be a mapping of names to values.")
        return value

    def known(self, given: dict[str, Any], allowed: set[str], what: str) -> None:
        unknown = sorted(str(k) for k in given if k not in allowed and k != _LINE)
        if unknown:
            raise self.fail(
                given.get(_LINE),
                f"{what} does not know {', '.join(unknown)}; it takes {', '.join(sorted(allowed))}.",
            )

    def choice(self, given: Any, allowed: tuple[str, ...], what: str, line: int | None) -> str:
        if given not in allowed:
            raise self.fail(line, f"{what} {given!r} is none of {', '.join(allowed)}.")
        return str(given)

    def choices(self, given: Any, what: str, line: int | None) -> dict[str, Any] | None:
        if given is None:
            return None
        return {_as_said(k): v for k, v in _plain(self.section(given, what, line)).items()}

    def mapping(self, document: Any, builtin: bool) -> Mapping:
        root = self.section(document, "The mapping", 1)
        self.known(root, {"version", "default_region", "streams", "ignore"}, "The mapping")
        streams = self.section(root.get("streams"), "streams", root.get(_LINE))
        tables = {
            name: self.table(name, self.section(spec, f"Stream {name}", streams.get(_LINE)))
            for name, spec in streams.items()
            if name != _LINE
        }
        for table in tables.values():
            for column in table.columns:
                if column.link and column.link not in tables:
                    raise self.fail(
                        column.line or table.line,
                        f"column {table.table}.{column.name} links to stream {column.link}, "
                        "which is not mapped; map it or take the link out.",
                    )
        return Mapping(
            source_name=self.source_name,
            tables=tables,
            ignored=frozenset(root.get("ignore") or ()),
            builtin=builtin,
            default_region=root.get("default_region"),
        )

    def table(self, stream: str, spec: dict[str, Any]) -> Table:
        line = spec.get(_LINE)
        self.known(spec, _TABLE_KEYS, f"Stream {stream}")
        if not isinstance(spec.get("table"), str):
            raise self.fail(line, f"stream {stream} names no table.")
        key = self.section(spec.get("key") or {}, f"key of {stream}", line)
        self.known(key, {"id", "account", "amo_id"}, f"key of {stream}")
        service: dict[str, str | None] = dict(SERVICE_COLUMNS)
        given = self.section(spec.get("service") or {}, f"service of {stream}", line)
        self.known(given, set(SERVICE_COLUMNS), f"service of {stream}")
        service.update({k: v for k, v in given.items() if k != _LINE})
        resurrect = spec.get("resurrect", "never")
        resurrect = {True: "changed", False: "never"}.get(resurrect, resurrect)
        columns = self.section(spec.get("columns"), f"columns of {stream}", line)
        parsed = tuple(
            self.column(stream, name, value, columns.get(_LINE)) for name, value in columns.items() if name != _LINE
        )
        match = tuple(spec.get("match") or ())
        names = {c.name for c in parsed}
        for column in match:
            if column not in names:
                raise self.fail(line, f"stream {stream} matches by {column}, which is not among its columns.")
        sets = self.section(spec.get("sets") or {}, f"sets of {stream}", line)
        return Table(
            stream=stream,
            table=spec["table"],
            columns=parsed,
            sets=tuple(
                self.item_set(stream, name, value, sets.get(_LINE)) for name, value in sets.items() if name != _LINE
            ),
            id=key.get("id", "id"),
            account=key.get("account", "amo_account_id"),
            amo_id=key.get("amo_id", "amo_id"),
            service=service,
            defaults=_plain(spec.get("defaults") or {}),
            match=match,
            resurrect=self.choice(resurrect, RESURRECT, "resurrect", line),
            match_only=bool(spec.get("match_only", False)),
            line=line,
        )

    def column(self, stream: str, name: str, spec: Any, line: int | None) -> Column:
        if isinstance(spec, str):
            spec = {"from": spec, _LINE: line}
        spec = self.section(spec, f"Column {name} of {stream}", line)
        line = spec.get(_LINE, line)
        self.known(spec, _COLUMN_KEYS, f"Column {name} of {stream}")
        if ("from" in spec) == ("field" in spec):
            raise self.fail(line, f"column {name} of {stream} needs either from or field.")
        if spec.get("policy") is not None:
            self.choice(spec["policy"], POLICIES, f"policy of {name}", line)
        if spec.get("transform") is not None:
            self.choice(spec["transform"], tuple(sorted(TRANSFORMS)), f"transform of {name}", line)
        if spec.get("lookup") is not None:
            self.choice(spec["lookup"], LOOKUPS, f"lookup of {name}", line)
        return Column(
            name=name,
            path=_as_tuple(spec.get("from")),
            fields=_as_tuple(spec.get("field")),
            part=spec.get("part"),
            transform=spec.get("transform"),
            link=spec.get("link"),
            lookup=spec.get("lookup"),
            when_entity=spec.get("when_entity"),
            values=self.choices(spec.get("values"), f"values of {name}", line),
            policy=spec.get("policy"),
            respect_clears=bool(spec.get("respect_clears", False)),
            line=line,
        )

    def item_set(self, stream: str, name: str, spec: Any, line: int | None) -> ItemSet:
        spec = self.section(spec, f"Set {name} of {stream}", line)
        line = spec.get(_LINE, line)
        self.known(spec, _SET_KEYS, f"Set {name} of {stream}")
        for needed in ("table", "parent", "field", "item"):
            if needed not in spec:
                raise self.fail(line, f"set {name} of {stream} needs {needed}.")
        service: dict[str, Any] = {
            "id": "id",
            "raw_fields": "raw_fields",
            "updated_at": "updated_at",
            "created_at": "created_at",
        }
        given = self.section(spec.get("service") or {}, f"service of set {name}", line)
        self.known(given, set(service), f"service of set {name}")
        service.update(_plain(given))
        columns = {k: k for k in ("value", "comment", "type", "position", "source")}
        columns.update(_plain(spec.get("columns") or {}))
        return ItemSet(
            name=name,
            table=spec["table"],
            parent=spec["parent"],
            fields=_as_tuple(spec["field"]),
            id=service["id"],
            item=self.choice(spec["item"], ("phone", "email"), f"item of {name}", line),
            columns={k: v for k, v in columns.items() if v is not None},
            defaults=_plain(spec.get("defaults") or {}),
            raw_fields=service["raw_fields"],
            updated_at=service["updated_at"],
            created_at=service["created_at"],
            line=line,
        )


def _as_said(value: Any) -> str:
    """A YAML key as amoCRM says it: `true` and numbers are keys in YAML, too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _plain(section: dict[str, Any]) -> dict[str, Any]:
    return {k: v for k, v in section.items() if k != _LINE}


def _as_tuple(value: Any) -> tuple[Any, ...]:
    if value is None:
        return ()
    return tuple(value) if isinstance(value, list) else (value,)


def read_mapping(text: str, source_name: str, *, builtin: bool = False) -> Mapping:
    """Parse a mapping's YAML text.

    Raises:
        MappingError: with the file, the line and what to do.
    """
    try:
        document = yaml.load(text, Loader=_LineLoader)  # noqa: S506 - a SafeLoader that keeps lines
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else None
        msg = f"{source_name}, line {line}: not YAML: {error.problem}"
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
        text = path.read_text("utf-8")
    except OSError as error:
        msg = f"Setting mapping_file: {path} can't be read: {error.strerror}."
        raise MappingError(msg) from None
    return read_mapping(text, str(path))
