"""Reads what a mapping file says of one stream: its table, columns and sets."""

from __future__ import annotations

from typing import Any

from target_crm.mapping.column_reader import read_column
from target_crm.mapping.model import RESURRECT, SERVICE_COLUMNS, SET_COLUMNS, ItemSet, Table
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.sources import stream_problem
from target_crm.mapping.vocabulary import names
from target_crm.mapping.yaml_lines import bare, key_lines, line_of

KEY_ROLES = ("id", "account", "amo_id")
SET_SERVICE = ("id", "raw_fields", "created_at", "updated_at")


class StreamReader(SectionReader):
    """Reads streams; their problems are collected."""

    def stream(self, name: str, spec: Any, line: int | None) -> Table:
        """One stream's table.

        Raises:
            MappingError: it can't be read at all; other problems are collected.
        """
        problem = stream_problem(name)
        if problem:
            self.note(line, problem)
        return self._table(name, self.section(spec, f"Stream {name}", line), line)

    def _table(self, stream: str, spec: dict[str, Any], line: int | None) -> Table:
        self.known(spec, names("stream"), f"Stream {stream}")
        name = self.text(spec, "table", f"table of {stream}")
        if name is None:
            raise self.fail(line, f"stream {stream} names no table; add table: NAME.")
        key = self.attempt(lambda: self.names(spec, "key", KEY_ROLES, f"key of {stream}"), {})
        service = dict(SERVICE_COLUMNS) | self.attempt(
            lambda: self.names(spec, "service", SERVICE_COLUMNS, f"service of {stream}"), {}
        )
        for role, given in (*key.items(), ("raw_fields", service["raw_fields"])):
            if given is None:
                where = "key" if role in key else "service"
                self.note(line_of(spec, where), f"{where}.{role} of {stream} can't be null: it is needed.")
        more = frozenset(self.attempt(lambda: self.several(spec, "properties", (str,), f"properties of {stream}"), ()))
        columns = self.attempt(
            lambda: self.section(spec.get("columns"), f"columns of {stream}", line_of(spec, "columns") or line), {}
        )
        parsed = self.each(columns, lambda n, v, at: read_column(self, stream, n, v, at, more))
        match = self.attempt(lambda: self.several(spec, "match", (str,), f"match of {stream}"), ())
        for column in match:
            if column not in columns:
                self.note(
                    line_of(spec, "match"), f"stream {stream} matches by {column}, which is not among its columns."
                )
        if isinstance(spec.get("resurrect"), bool):
            spec["resurrect"] = "changed" if spec["resurrect"] else "never"
        sets = self.attempt(lambda: self.part(spec, "sets", f"sets of {stream}"), {})
        defaults = self.attempt(lambda: self.part(spec, "defaults", f"defaults of {stream}"), {})
        return Table(
            stream=stream,
            table=name,
            columns=tuple(parsed),
            sets=tuple(self.each(sets, lambda n, v, at: self._item_set(stream, n, v, at))),
            id=key.get("id") or "id",
            account=key.get("account") or "amo_account_id",
            amo_id=key.get("amo_id") or "amo_id",
            service=service,
            defaults=bare(defaults),
            match=match,
            resurrect=self.attempt(lambda: self.choice(spec, "resurrect", RESURRECT, f"resurrect of {stream}"), None)
            or "never",
            match_only=self.attempt(lambda: self.flag(spec, "match_only", f"match_only of {stream}"), False),
            properties=more,
            label=self.attempt(lambda: self.text(spec, "label", f"label of {stream}"), None),
            url=self.attempt(lambda: self.text(spec, "url", f"url of {stream}"), None),
            line=line,
            default_lines=key_lines(defaults),
        )

    def _item_set(self, stream: str, name: str, spec: Any, line: int | None) -> ItemSet:
        spec = self.section(spec, f"Set {name} of {stream}", line)
        self.known(spec, names("set"), f"Set {name} of {stream}")
        for needed in ("table", "parent", "field", "item"):
            if spec.get(needed) is None:
                raise self.fail(line, f"set {name} of {stream} needs {needed}.")
        service = {r: r for r in SET_SERVICE} | self.names(spec, "service", SET_SERVICE, f"service of set {name}")
        columns = {r: r for r in SET_COLUMNS} | self.names(spec, "columns", SET_COLUMNS, f"columns of set {name}")
        for role, given, where in (
            ("id", service["id"], "service"),
            ("raw_fields", service["raw_fields"], "service"),
            ("value", columns["value"], "columns"),
        ):
            if given is None:
                raise self.fail(line_of(spec, where), f"set {name} of {stream} needs a column for {role}.")
        defaults = self.part(spec, "defaults", f"defaults of set {name}")
        return ItemSet(
            name=name,
            table=self.text(spec, "table", f"table of set {name}") or "",
            parent=self.text(spec, "parent", f"parent of set {name}") or "",
            fields=self.several(spec, "field", (str, int), f"field of set {name}"),
            item=self.choice(spec, "item", ("phone", "email"), f"item of {name}") or "",
            id=service["id"] or "id",
            columns={k: v for k, v in columns.items() if v is not None},
            defaults=bare(defaults),
            raw_fields=service["raw_fields"] or "raw_fields",
            updated_at=service["updated_at"],
            created_at=service["created_at"],
            line=line,
            default_lines=key_lines(defaults),
            kinds=self.several(spec, "kind", (str,), f"kind of set {name}"),
            rest=self.flag(spec, "rest", f"rest of set {name}"),
        )
