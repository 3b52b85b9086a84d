"""Resolves references of records: IDs of linked records into keys of the CRM's rows, and numbers into names."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import psycopg
from psycopg import sql

from target_crm.errors import CellError
from target_crm.mapping.check import LiveTable
from target_crm.mapping.model import Column
from target_crm.merge.copy_format import dump_column
from target_crm.merge.copying import copy_in
from target_crm.merge.session import MergeSession
from target_crm.records.bad_cells import BadCell
from target_crm.records.column_readers import translator
from target_crm.records.extractor import Extracted
from target_crm.sql import references
from target_crm.sql.statements import Statements

Connection = psycopg.Connection[Any]


class Waiting(NamedTuple):
    """A link whose target has not arrived."""

    account_id: int
    column: str
    amo_id: int
    stream: str
    ref: int


def resolve_references(session: MergeSession, statements: Statements, found: Extracted, *, lock: bool) -> list[Waiting]:
    """Resolve the references of records; stores and returns the links that must wait."""
    live = statements.spec.live
    waiting = resolve(session.connection, session.schema, live, session.live, found, lock=lock)
    if not waiting or live.mapping.match_only:
        return waiting
    columns = [dump_column(values) for values in zip(*waiting, strict=True)]
    copy_in(session.connection, statements.copy_waiting_links, columns)
    session.run(statements.keep_waiting_links)
    session.run(statements.forget_waiting_links)
    return waiting


def resolve(
    connection: Connection,
    schema: str,
    live: LiveTable,
    parents: Mapping[str, LiveTable],
    found: Extracted,
    *,
    lock: bool = False,
) -> list[Waiting]:
    """Replace IDs and references with keys and names, in the columns and in the bases.

    Needs a few queries per account, independent of the number of records. With `lock` the linked rows can't be deleted
    before the transaction ends.

    Returns:
        The links whose target does not exist yet; their values are None.
    """
    waiting: list[Waiting] = []
    accounts = {record.account_id for record in found.records}
    names = {a: _names(connection, schema, a) for a in accounts} if any(c.lookup for c in live.mapping.columns) else {}
    keys: dict[tuple[str, int], dict[int, Any]] = {}
    for account in accounts:
        for stream, wanted in _wanted(live, found, account).items():
            query = references.find_rows(parents[stream], schema, account, sorted(wanted), lock=lock)
            keys[stream, account] = dict(connection.execute(query).fetchall())
    for column, values in zip(live.mapping.columns, found.columns, strict=True):
        if not column.source:
            continue
        translate = translator(column)
        for place, (record, value) in enumerate(zip(found.records, values, strict=True)):
            if value is None:
                continue
            if column.link or column.links:
                stream, ref = value if column.links else (str(column.link), value)
                resolved = keys[stream, record.account_id].get(ref)
                if resolved is None:
                    waiting.append(Waiting(record.account_id, column.name, record.amo_id, stream, ref))
            else:
                kind = str(column.lookup)
                resolved = names[record.account_id].get((kind, value))
                if resolved is None:
                    resolved = found.names.get((record.account_id, kind, value))
                if translate and resolved is not None:
                    resolved = _translated(translate, found, place, live, column, resolved)
            values[place] = resolved
            if resolved is not None and resolved != "":
                found.bases[place][column.name] = resolved
    for number, column in enumerate(live.mapping.columns):
        if column.via:
            _take_through(connection, live, parents, found, number)
    return waiting


def _take_through(
    connection: Connection, live: LiveTable, parents: Mapping[str, LiveTable], found: Extracted, number: int
) -> None:
    """Fill empty values of a column from the rows that another column of the same records references."""
    column = live.mapping.columns[number]
    first, second = column.via or ("", "")
    place_of = next(place for place, other in enumerate(live.mapping.columns) if other.name == first)
    parent = parents[str(live.mapping.columns[place_of].link)]
    values, keys = found.columns[number], found.columns[place_of]
    wanted = {key for key, value in zip(keys, values, strict=True) if value is None and key is not None}
    if not wanted:
        return
    given = dict(connection.execute(references.find_values(parent, second, wanted)).fetchall())
    for place, key in enumerate(keys):
        value = given.get(str(key)) if values[place] is None and key is not None else None
        if value is not None:
            values[place] = value
            found.bases[place][column.name] = value


def _translated(
    translate: Callable[[Sequence[Any]], list[Any]],
    found: Extracted,
    place: int,
    live: LiveTable,
    column: Column,
    name: str,
) -> Any:
    """Translate a name by the mapping's `values`; None and a warning if it is not listed."""
    try:
        return next(iter(translate([name])), None)
    except CellError as error:
        record = found.records[place]
        found.tell(
            BadCell(
                live.mapping.stream,
                record.account_id,
                record.amo_id,
                live.mapping.table,
                column.name,
                error.problem,
            )
        )
        found.mark_bad({(record.account_id, record.amo_id)})
        return None


def _wanted(live: LiveTable, found: Extracted, account: int) -> dict[str, set[int]]:
    wanted: dict[str, set[int]] = {}
    for column, values in zip(live.mapping.columns, found.columns, strict=True):
        if column.link or column.links:
            for record, value in zip(found.records, values, strict=True):
                if value is not None and record.account_id == account:
                    stream, ref = value if column.links else (str(column.link), value)
                    wanted.setdefault(stream, set()).add(ref)
    return {stream: ids for stream, ids in wanted.items() if ids}


def _names(connection: Connection, schema: str, account: int) -> dict[tuple[str, str], str]:
    rows: Sequence[tuple[str, str, str]] = connection.execute(
        sql.SQL("SELECT source, ref, name FROM {} WHERE account_id = {}").format(
            sql.Identifier(schema, "sync_lookups"), sql.Literal(account)
        )
    ).fetchall()
    return {(source, ref): name for source, ref, name in rows}
