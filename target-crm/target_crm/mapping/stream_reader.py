"""Reads what a mapping file says of one stream: its table, columns and sets."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from target_crm.config.settings import POLICIES
from target_crm.mapping.model import RESURRECT, SERVICE_COLUMNS, SET_COLUMNS, Column, ItemSet, Table
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.sources import source_problems, stream_problem
from target_crm.mapping.yaml_lines import as_said, bare, key_lines, line_of, plain
from target_crm.normalise import TRANSFORMS

# Kinds of names, and how many properties make their reference: a status is named within its pipeline.
LOOKUPS = {"pipeline": 1, "status": 2, "loss_reason": 1, "task_type": 1, "task_type_code": 1}
_TABLE_KEYS = {
    "table", "columns", "sets", "key", "service", "defaults", "match", "resurrect", "match_only", "properties",
}  # fmt: skip
_COLUMN_KEYS = {
    "from", "field", "part", "transform", "link", "lookup", "when_entity", "policy", "respect_clears", "values",
    "first",
}  # fmt: skip
_SET_KEYS = {"table", "parent", "field", "item", "columns", "defaults", "service"}
_SET_SERVICE = ("id", "raw_fields", "created_at", "updated_at")


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
                self.note(line_of(spec, where), f"{where}.{role} of {stream} can't be null: it is needed.")
        more = frozenset(self.attempt(lambda: self.several(spec, "properties", (str,), f"properties of {stream}"), ()))
        columns = self.attempt(
            lambda: self.section(spec.get("columns"), f"columns of {stream}", line_of(spec, "columns") or line), {}
        )
        parsed = self.each(columns, lambda n, v, at: self._column(stream, n, v, at, more))
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
            line=line,
            default_lines=key_lines(defaults),
        )

    def _column(self, stream: str, name: str, spec: Any, line: int | None, more: Collection[str]) -> Column:
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
            values=None if values is None else {as_said(k): bare(v) for k, v in plain(values).items()},
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

    def _item_set(self, stream: str, name: str, spec: Any, line: int | None) -> ItemSet:
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
        )


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
