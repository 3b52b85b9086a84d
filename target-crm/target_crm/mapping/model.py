"""What a mapping says, as checked values; how it is written is `load`'s business, what the database says `check`'s."""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

RESURRECT = ("never", "changed", "always")
SERVICE_COLUMNS = {
    "raw_fields": "raw_fields",
    "created_at": "created_at",
    "updated_at": "updated_at",
    "amo_created_at": "amo_created_at",
    "amo_updated_at": "amo_updated_at",
    "amo_deleted_at": "amo_deleted_at",
}
ON_AMBIGUOUS = ("propose", "insert")
ADOPT_BASES = ("distrust", "trust")
SET_COLUMNS = ("value", "comment", "type", "position", "source")


@dataclass(frozen=True)
class Expression:
    """A default that the database works out for each row: SQL, as the mapping gives it."""

    text: str


@dataclass(frozen=True)
class Column:
    """One mapped column.

    `path` is the property's path in the record (`_embedded.tags[].name`), `fields` the custom fields to look for, in
    order, by id, code or name; `part` the key inside an object value (`vat_id`). `first` takes the first of several
    values or properties that is not empty. `link` names the stream whose row the
    value points to, `lookup` the kind of name it stands for. `policy` None means the run's default policy.

    Of several values `kinds`, `nth` (from 1) and `rest` choose, `join` separates them. With `template` path and
    fields are what is in its braces, or, with fields alone, the parts of a field's value do. `factor` multiplies.
    `label` is what pages call it.
    `numbers_text`: the link's ids may be any text.

    `links` are the streams that a polymorphic link may point to, each with what `type_column` says then. `via` is a
    link column of the same table and the column of its row that the value is taken from. `required`: what becomes of a
    record without the value, `skip` or `wait`.
    """

    name: str
    path: tuple[str, ...] = ()
    fields: tuple[str | int, ...] = ()
    part: str | None = None
    transform: str | None = None
    link: str | None = None
    lookup: str | None = None
    when_entity: str | None = None
    values: dict[str, Any] | None = None
    policy: str | None = None
    respect_clears: bool = False
    first: bool = False
    kinds: tuple[str, ...] = ()
    nth: int | None = None
    rest: bool = False
    join: str | None = None
    template: str | None = None
    factor: Decimal | None = None
    label: str | None = field(default=None, repr=False)
    numbers_text: bool = False
    links: tuple[tuple[str, Any], ...] = ()
    type_column: str | None = None
    via: tuple[str, str] | None = None
    required: str | None = None
    line: int | None = field(default=None, repr=False)

    @property
    def source(self) -> str | None:
        """What the value refers to: a linked stream, a kind of lookup, or None for a plain value."""
        return (
            self.link or self.lookup or (self.via and self.via[0]) or next((stream for stream, _ in self.links), None)
        )

    def links_to(self, stream: str) -> bool:
        """Whether the column may point to a row of that stream."""
        return self.link == stream or any(one == stream for one, _ in self.links)


@dataclass(frozen=True)
class ItemSet:
    """A related table that holds a set of phones or e-mails of each row. `blank`: roles whose columns are NOT NULL and
    hold '' for nothing. `kinds` are the only ones taken; with `rest` the first number or address is not. `path` are
    properties that hold the items, instead of custom fields."""

    name: str
    table: str
    parent: str
    fields: tuple[str | int, ...]
    item: str
    id: str = "id"
    columns: dict[str, str] = field(default_factory=dict)
    defaults: dict[str, Any] = field(default_factory=dict)
    raw_fields: str = "raw_fields"
    updated_at: str | None = "updated_at"
    created_at: str | None = "created_at"
    line: int | None = field(default=None, repr=False)
    default_lines: dict[str, int] = field(default_factory=dict, repr=False)
    blank: frozenset[str] = frozenset()
    kinds: tuple[str, ...] = ()
    rest: bool = False
    path: tuple[str, ...] = ()
    relation: str = field(default="", repr=False)


@dataclass(frozen=True)
class Through:
    """A join table that links each row to rows of another stream (`link`): `parent` points to the row, `target` to
    the other. `key` is its primary key where that is one column. With `when_entity` only records of that `entity_type`
    link anywhere."""

    name: str
    table: str
    parent: str
    target: str
    path: tuple[str, ...]
    link: str
    when_entity: str | None = None
    defaults: dict[str, Any] = field(default_factory=dict)
    numbers_text: bool = False
    key: str | None = field(default=None, repr=False)
    relation: str = field(default="", repr=False)
    line: int | None = field(default=None, repr=False)
    default_lines: dict[str, int] = field(default_factory=dict, repr=False)


@dataclass(frozen=True)
class RecordKey:
    """Which properties say what a record is, when it changed and whether it is deleted.

    `value` is the account of a source that has none. With `is_foreign` the source is not amoCRM: its ids may be any
    text, which is numbered.
    """

    id: str = "id"
    account: str = "account_id"
    value: int | None = None
    created_at: str = "created_at"
    updated_at: str = "updated_at"
    deleted: str = "is_deleted"
    is_foreign: bool = False


@dataclass(frozen=True)
class Condition:
    """What a record must hold to be taken: one of the values (as amoCRM says them) at the path, or with `is_not`
    none of them."""

    path: str
    values: tuple[str, ...]
    is_not: bool = False


@dataclass(frozen=True)
class DeletedFlag:
    """What a column that says whether a row is deleted holds in deleted rows, and in the others."""

    deleted: Any = True
    live: Any = False


@dataclass(frozen=True)
class Adoption:
    """How a row that was there before is merged for the first time. `base`: whether what an importer of before left as
    base is believed; `policy`: instead of the run's default policy."""

    base: str = "distrust"
    policy: str | None = None


@dataclass(frozen=True)
class Table:
    """One stream's table. With `match_only` its rows are only matched, never written; it then needs no key but `id`.
    `properties` are those that amoCRM does not send by itself: a stream map adds them. `label` and `url` are templates
    of the row's columns, for pages.
    `match` are rules by which records are recognised in existing rows, the strongest first: names of
    columns or sets that must all agree.

    `table` is the name in the loader's own tables, `relation` the table in the database: they differ where several
    streams go into one table, which `marks` tells apart (a column and the value that it has in this stream's rows).
    `reads` is the Singer stream whose records come, those of them that `where` lets through: path to values.

    Lines are where the mapping says so; they are not part of what the mapping means.
    """

    stream: str
    table: str
    columns: tuple[Column, ...]
    sets: tuple[ItemSet, ...] = ()
    through: tuple[Through, ...] = ()
    id: str = "id"
    account: str | None = "amo_account_id"
    amo_id: str | None = "amo_id"
    service: dict[str, str | None] = field(default_factory=lambda: dict(SERVICE_COLUMNS))
    defaults: dict[str, Any] = field(default_factory=dict)
    match: tuple[tuple[str, ...], ...] = ()
    on_ambiguous: str = "propose"
    adopt: Adoption = Adoption()
    # The column of `service.amo_deleted_at` is a flag.
    flag: DeletedFlag | None = None
    resurrect: str = "never"
    match_only: bool = False
    properties: frozenset[str] = field(default=frozenset(), repr=False)
    relation: str = field(default="", repr=False)
    marks: dict[str, Any] = field(default_factory=dict)
    reads: str = ""
    where: tuple[Condition, ...] = ()
    record: RecordKey = RecordKey()
    label: str | None = field(default=None, repr=False)
    url: str | None = field(default=None, repr=False)
    line: int | None = field(default=None, repr=False)
    default_lines: dict[str, int] = field(default_factory=dict, repr=False)

    @property
    def raw_fields(self) -> str:
        """The jsonb column that holds the record as received and the base."""
        return self.service["raw_fields"] or "raw_fields"


@dataclass(frozen=True)
class Mapping:
    """A whole mapping; `source_name` is the file as the user named it, for error messages.

    `naive_timezone` is that of columns without a time zone, None for the database's own.
    """

    source_name: str
    tables: dict[str, Table]
    ignored: frozenset[str]
    builtin: bool = False
    default_region: str | None = None
    naive_timezone: str | None = None
