"""Reads what a mapping file says of one stream: its table, columns and sets."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from target_crm.mapping.column_reader import read_column, type_column_of
from target_crm.mapping.flag_reader import read_flag
from target_crm.mapping.match_reader import read_adoption, read_rules
from target_crm.mapping.model import (
    ON_AMBIGUOUS,
    RESURRECT,
    SERVICE_COLUMNS,
    SET_COLUMNS,
    Adoption,
    Column,
    Condition,
    DeletedFlag,
    Expression,
    ItemSet,
    RecordKey,
    Table,
)
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.sources import source_problems, stream_problem
from target_crm.mapping.through_reader import read_throughs
from target_crm.mapping.vocabulary import names
from target_crm.mapping.yaml_lines import as_said, bare, key_lines, line_of, plain

KEY_ROLES = ("id", "account", "amo_id")
SET_SERVICE = ("id", "raw_fields", "created_at", "updated_at")


class StreamReader(SectionReader):
    """Reads streams; their problems are collected."""

    def stream(self, name: str, spec: Any, line: int | None) -> Table:
        """One stream's table.

        Raises:
            MappingError: it can't be read at all; other problems are collected.
        """
        spec = self.section(spec, f"Stream {name}", line)
        reads = self.attempt(lambda: self.text(spec, "stream", f"stream of {name}"), None) or name
        key = spec.get("key")
        is_foreign = isinstance(key, dict) and key.get("source") is not None
        problem = None if is_foreign else stream_problem(reads)
        if problem:
            self.note(line_of(spec, "stream"), problem)
        return self._table(name, reads, spec, line)

    def _table(self, stream: str, reads: str, spec: dict[str, Any], line: int | None) -> Table:
        self.known(spec, names("stream"), f"Stream {stream}")
        name = self.text(spec, "table", f"table of {stream}")
        if name is None:
            raise self.fail(line, f"stream {stream} has no table; add table: NAME.")
        record = self.attempt(lambda: self._record_key(stream, spec), RecordKey())
        # What amoCRM's records have is known; of another source nothing is.
        known_as = "" if record.is_foreign else reads
        if isinstance(spec.get("key"), dict):
            spec = {**spec, "key": {name: value for name, value in spec["key"].items() if name != "source"}}
        key = self.attempt(lambda: self.names(spec, "key", KEY_ROLES, f"key of {stream}"), {})
        service, flag = self._service(stream, spec)
        for role, given in (*key.items(), ("raw_fields", service["raw_fields"])):
            if given is None:
                where = "key" if role in key else "service"
                self.note(line_of(spec, where), f"{where}.{role} of {stream} can't be null: it is needed.")
        more = frozenset(self.attempt(lambda: self.several(spec, "properties", (str,), f"properties of {stream}"), ()))
        columns = self.attempt(
            lambda: self.section(spec.get("columns"), f"columns of {stream}", line_of(spec, "columns") or line), {}
        )
        parsed = self.each(columns, lambda n, v, at: read_column(self, stream, known_as, n, v, at, more))
        parsed += [kind for column in parsed if (kind := type_column_of(column)) is not None]
        self._vias(stream, parsed)
        if isinstance(spec.get("resurrect"), bool):
            spec["resurrect"] = "changed" if spec["resurrect"] else "never"
        sets = self.attempt(lambda: self.part(spec, "sets", f"sets of {stream}"), {})
        match = self.attempt(lambda: read_rules(self, stream, spec, columns, sets), ())
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
            flag=flag,
            defaults=self._with_expressions(bare(defaults), stream, {column.name for column in parsed}),
            match=match,
            on_ambiguous=self.attempt(
                lambda: self.choice(spec, "on_ambiguous", ON_AMBIGUOUS, f"on_ambiguous of {stream}"), None
            )
            or "propose",
            adopt=self.attempt(lambda: read_adoption(self, stream, spec), Adoption()),
            resurrect=self.attempt(lambda: self.choice(spec, "resurrect", RESURRECT, f"resurrect of {stream}"), None)
            or "never",
            match_only=self.attempt(lambda: self.flag(spec, "match_only", f"match_only of {stream}"), False),
            through=read_throughs(self, stream, known_as, spec, more),
            properties=more,
            reads=reads,
            record=record,
            where=tuple(self._conditions(stream, known_as, spec, more)),
            label=self.attempt(lambda: self.text(spec, "label", f"label of {stream}"), None),
            url=self.attempt(lambda: self.text(spec, "url", f"url of {stream}"), None),
            line=line,
            default_lines=key_lines(defaults),
        )

    def _service(self, stream: str, spec: dict[str, Any]) -> tuple[dict[str, str | None], DeletedFlag | None]:
        """The system columns by role, and whether the mark of deletion is a flag."""
        no_service = {word: value for word, value in spec.items() if word != "service"}
        plain_spec, flag = self.attempt(lambda: read_flag(self, stream, spec), (no_service, None))
        named = self.attempt(lambda: self.names(plain_spec, "service", SERVICE_COLUMNS, f"service of {stream}"), {})
        return dict(SERVICE_COLUMNS) | named, flag

    def _with_expressions(self, defaults: dict[str, Any], stream: str, mapped: set[str]) -> dict[str, Any]:
        """The defaults, those of the form {sql: ...} as expressions."""
        found = dict(defaults)
        for name, value in defaults.items():
            if isinstance(value, dict) and set(value) == {"sql"} and isinstance(value["sql"], str):
                found[name] = Expression(value["sql"])
                if name in mapped:
                    self.note(
                        None,
                        f"defaults of {stream}: {name} is a mapped column, which takes a fixed value; remove sql.",
                    )
        return found

    def _vias(self, stream: str, columns: list[Column]) -> None:
        """Values through another row need a link to that row."""
        links = [column.name for column in columns if column.link]
        for column in columns:
            if column.via and (column.via[0] not in links or column.via[0] == column.name):
                self.note(
                    column.line,
                    f"column {column.name} of {stream} goes via {column.via[0]}, which is not one of its link columns "
                    f"({', '.join(links) or 'there are none'}); name one of them.",
                )

    def _record_key(self, stream: str, spec: dict[str, Any]) -> RecordKey:
        """What says which record it is; of a source that is not amoCRM the mapping names it."""
        key = self.part(spec, "key", f"key of {stream}")
        if key.get("source") is None:
            return RecordKey()
        what = f"key.source of {stream}"
        source = self.part(key, "source", what)
        self.known(source, names("source"), what)
        wanted = names("source") - {"account"}
        given = {name: value for name, value in plain(source).items() if name in wanted and value is not None}
        for name in given:
            self.text(source, name, f"{what}: {name}")
        account = source.get("account")
        if isinstance(account, dict):
            self.known(account, {"value"}, f"{what}: account")
            account = account.get("value")
        if isinstance(account, int) and not isinstance(account, bool) and account >= 0:
            return RecordKey(**{"deleted": "_sdc_deleted_at", **given}, value=account, is_foreign=True)
        if not isinstance(account, str) or not account:
            raise self.fail(
                line_of(source, "account"),
                f"{what} needs an account: a property that holds a number, or a number of your choice "
                "(account: {value: 1}).",
            )
        return RecordKey(**{"deleted": "_sdc_deleted_at", **given}, account=account, is_foreign=True)

    def _conditions(self, stream: str, reads: str, spec: dict[str, Any], more: Collection[str]) -> Iterator[Condition]:
        """What records must hold to be taken."""
        section = self.attempt(lambda: self.part(spec, "where", f"where of {stream}"), {})
        for path, wanted in plain(section).items():
            line, what = line_of(section, path), f"where of {stream}"
            is_not = isinstance(wanted, dict)
            if is_not:
                self.known(wanted, {"not"}, f"{what}: {path}")
                wanted = wanted.get("not")
            values = wanted if isinstance(wanted, list) else [wanted]
            if not values or any(isinstance(value, (dict, list)) for value in values):
                self.note(line, f"{what}: {path} takes a value, a list of values, or not with these.")
                continue
            for problem in source_problems(reads, Column(path, path=(path,), first=True), more):
                self.note(line, f"{what} {problem}")
            said = tuple(sorted("" if value is None else as_said(value) for value in values))
            yield Condition(path, said, is_not=is_not)

    def _item_set(self, stream: str, name: str, spec: Any, line: int | None) -> ItemSet:
        spec = self.section(spec, f"Set {name} of {stream}", line)
        self.known(spec, names("set"), f"Set {name} of {stream}")
        for needed in ("table", "parent", "item"):
            if spec.get(needed) is None:
                raise self.fail(line, f"set {name} of {stream} needs {needed}.")
        if (spec.get("field") is None) == (spec.get("from") is None):
            raise self.fail(line, f"set {name} of {stream} needs either field or from.")
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
            path=self.several(spec, "from", (str,), f"from of set {name}"),
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
