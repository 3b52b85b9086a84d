"""The rows of one stream's table that belong to no record: their keys in a temporary table, made once for a load."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import NamedTuple, Protocol, TypeVar

from psycopg import sql

from target_crm.database.session import PinnedConnection
from target_crm.mapping.check import LiveTable
from target_crm.mapping.match_rules import Part, Rule
from target_crm.matching.decide import Pair
from target_crm.matching.record_keys import RecordKeys, rule_keys
from target_crm.merge.copy_format import dump_column
from target_crm.merge.copying import copy_in
from target_crm.normalise import Context
from target_crm.normalise.match_keys import match_keys
from target_crm.records.envelope import SeenRecord
from target_crm.sql import match_claims as claims
from target_crm.sql import matching as statements

_ROWS_AT_ONCE = 5000


class HasKey(Protocol):
    """What stands for a record."""

    @property
    def key(self) -> tuple[int, int]:
        """Its account and id."""


Keyed = TypeVar("Keyed", bound=HasKey)


class Compared(NamedTuple):
    """A record that is compared with rows: a number of the caller's, and the rows that it is known not to be."""

    number: int
    record: SeenRecord
    refused: Sequence[str] = ()


class StreamRows:
    """Compares records with the rows of one stream's table. All methods need a transaction of the caller.

    Args:
        live: The table.
        schema: That of the loader's own tables.
        number: What tells the stream's temporary table from others'.
        rules: By which is compared; the mapping's come first.
        session: Gives the session that the load writes with.
    """

    def __init__(
        self,
        live: LiveTable,
        schema: str,
        number: int,
        rules: Sequence[Rule],
        session: Callable[[], PinnedConnection],
    ) -> None:
        self.live, self.rules = live, rules
        self._schema, self._number, self._session = schema, number, session
        self._is_empty: bool | None = None
        # The session that holds the keys: another one knows no temporary tables of it.
        self._built_on: PinnedConnection | None = None
        self._readers: dict[tuple[str, tzinfo], RecordKeys] = {}
        self._region = ""

    @property
    def matched(self) -> int:
        """How many of the rules are the mapping's."""
        return sum(not rule.implied for rule in self.rules)

    def is_empty(self, *, again: bool = False) -> bool:
        """Whether the table has no row that a record could be; asked once unless `again`."""
        if self._is_empty is None or again:
            self._is_empty = self._session().execute(statements.some_free(self.live)).fetchone() is None
        return self._is_empty

    def are_as_proposed(self, number: int, keys: Sequence[str]) -> bool:
        """Whether all these rows are in the table, and nobody wrote to them since the proposal with that number was
        made. False on tables without row versions, where this is unknown."""
        if not self.live.has_versions:
            return False
        query = statements.count_rows(self.live, self._schema, number, keys)
        found = self._session().execute(query).fetchone()
        return found is not None and found[0] == len(keys)

    def new(self, records: Sequence[Keyed]) -> list[Keyed]:
        """Those of the records that have no row and never had one."""
        query = statements.new_keys(self.live, self._schema, [r.key for r in records])
        return [records[place - 1] for (place,) in self._session().execute(query)]

    def inserted_in(self, run_id: int, records: Sequence[Keyed]) -> list[Keyed]:
        """Those of the records that a run has given new rows."""
        query = statements.inserted_in(self.live, self._schema, run_id, [r.key for r in records])
        return [records[place - 1] for (place,) in self._session().execute(query)]

    def hits(self, records: Sequence[Compared], context: Context) -> dict[int, list[tuple[Rule, str]]]:
        """The rules by which records share a key with a row, the strongest first, each with one such row."""
        self._begin(context)
        self.stage(records, context)
        self._run(statements.INDEX_RECORDS)
        found: dict[int, list[tuple[Rule, str]]] = {}
        for number, rule, row in self._session().execute(statements.hits(self._number)):
            found.setdefault(number, []).append((self.rules[rule], row))
        return found

    def _begin(self, context: Context) -> None:
        connection = self._session()
        if self._built_on is not connection:
            self._region = context.region
            self._build(connection, context.region)
            self._built_on = connection
        self._run(statements.CREATE_RECORDS)

    def start(self, context: Context) -> None:
        """Begin a comparison of many records: `stage` takes them in parts, `pairs` ends it."""
        self._begin(context)

    def stage(self, records: Sequence[Compared], context: Context) -> None:
        """Put the keys of records into the temporary table."""
        lines: list[tuple[int, int, int, str, str]] = []
        keys_of = self._reader(context).read([one.record for one in records])
        for one, keys in zip(records, keys_of, strict=True):
            lines += [(one.number, one.record.account_id, rule, key, _array(one.refused)) for rule, key in keys]
        if lines:
            copy = statements.COPY_RECORDS.as_bytes(self._session())
            copy_in(self._session(), copy, [dump_column(list(values)) for values in zip(*lines, strict=True)])

    def pairs(self, accounts: Mapping[int, int]) -> list[Pair]:
        """The records that were staged beside the rows that agree with them by a rule of the mapping.

        `accounts` are those of the records, by their numbers.
        """
        connection = self._session()
        self._run(statements.INDEX_RECORDS)
        self._run(statements.find_pairs(self.live, self._schema, self._number, self.matched))
        found = connection.execute(statements.read_pairs(self.live, self._number)).fetchall()
        wanted: dict[tuple[int, int], dict[str, set[int]]] = {}
        for record, rule, _, keys, _, _, _ in found:
            for key in keys:
                wanted.setdefault((accounts[record], rule), {}).setdefault(key, set()).add(record)
        claimed = self._claimed(wanted)
        return [
            Pair(record, rule, row, against, crowded or all((record, rule, key) in claimed for key in keys), marked)
            for record, rule, row, keys, crowded, marked, against in found
        ]

    def _claimed(self, wanted: Mapping[tuple[int, int], Mapping[str, set[int]]]) -> set[tuple[int, int, str]]:
        """Of the keys that records share with rows those that rows of other records hold, too."""
        found: set[tuple[int, int, str]] = set()
        for (account, rule), by_key in wanted.items():
            for key in self._held_by_records(self.rules[rule], account, list(by_key)):
                found.update((record, rule, key) for record in by_key.get(key, ()))
        return found

    def _held_by_records(self, rule: Rule, account: int, keys: Sequence[str]) -> Iterator[str]:
        """Keys of a rule that rows of an account's records hold, these among them. Of a table whose rows are only
        matched any row may match."""
        if self.live.mapping.match_only:
            return
        query = claims.claimed_keys(self.live, rule, account, keys)
        if query is not None:
            yield from (key for (key,) in self._session().execute(query))
        with self._session().cursor(name="crm_match_odd") as cursor:
            cursor.execute(claims.odd_rows(self.live, rule, account))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                yield from (key for _, key, _ in _keys_of_rows(rows, rule.parts, [rule], self._region))

    def _run(self, parts: Iterable[sql.Composed]) -> None:
        for statement in parts:
            self._session().execute(statement)

    def _reader(self, context: Context) -> RecordKeys:
        place = context.region, context.zone
        found = self._readers.get(place)
        if found is None:
            found = self._readers[place] = RecordKeys(self.live, self.rules, context)
        return found

    def _build(self, connection: PinnedConnection, region: str) -> None:
        parts = list(dict.fromkeys(part for rule in self.rules for part in rule.parts))
        self._run(statements.create_rows(self._number))
        copy = statements.copy_rows(self._number).as_bytes(connection)
        with connection.cursor(name=f"crm_match_{self._number}") as cursor:
            cursor.execute(statements.read_rows(self.live, parts, statements.is_free(self.live, self._schema)))
            while rows := cursor.fetchmany(_ROWS_AT_ONCE):
                keys = list(_keys_of_rows(rows, parts, self.rules, region))
                if keys:
                    copy_in(connection, copy, [dump_column(list(values)) for values in zip(*keys, strict=True)])
        self._run(statements.index_rows(self._number))


def _keys_of_rows(
    rows: Sequence[tuple[str | None, ...]], parts: Sequence[Part], rules: Sequence[Rule], region: str
) -> Iterator[tuple[int, str, str]]:
    for row_id, *values in rows:
        found = {part: match_keys(part.kind, value, region) for part, value in zip(parts, values, strict=True)}
        for rule in rules:
            for key in dict.fromkeys(rule_keys([found[part] for part in rule.parts])):
                yield rule.number, key, str(row_id)


def _array(values: Sequence[str]) -> str:
    """Texts as PostgreSQL writes an array."""
    return "{" + ",".join('"' + v.replace("\\", "\\\\").replace('"', '\\"') + '"' for v in values) + "}"
