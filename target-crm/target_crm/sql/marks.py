"""SQL of a row's mark of deletion: a time, or a flag of the mapping's (a boolean, an enum, a status).

Of a flag the time is that of `sync_keys`. One that a person set has none; it counts as older than everything.
"""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.model import DeletedFlag
from target_crm.sql.spec import I, S, trusted

ROLE = "amo_deleted_at"


def _value(live: LiveTable, value: object) -> sql.Composed:
    """A value of the flag's column."""
    name = live.mapping.service[ROLE] or ""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    return S("{}::{}").format(sql.Literal(text), trusted(live.columns[name].type_sql))


def _column(live: LiveTable, row: str) -> sql.Composed:
    return S("{}.{}").format(I(row), I(live.mapping.service[ROLE] or ""))


def _is_flagged(live: LiveTable, flag: DeletedFlag, row: str) -> sql.Composed:
    return S("({} IS NOT DISTINCT FROM {})").format(_column(live, row), _value(live, flag.deleted))


def is_marked(live: LiveTable, row: str) -> sql.Composed:
    """Whether a row is marked deleted."""
    flag = live.mapping.flag
    return S("({} IS NOT NULL)").format(_column(live, row)) if flag is None else _is_flagged(live, flag, row)


def mark_of(live: LiveTable, row: str, known: str) -> sql.Composed:
    """A row's mark as a time, NULL for none; `known` is the alias of its line of sync_keys."""
    flag = live.mapping.flag
    if flag is None:
        return _column(live, row)
    return S("(CASE WHEN {} THEN coalesce({}.amo_deleted_at, '-infinity') END)").format(
        _is_flagged(live, flag, row), I(known)
    )


def own_mark(live: LiveTable) -> sql.Composable:
    """Whether row `crm` has a mark of deletion that is not amoCRM's, or lacks amoCRM's: a person set it or took it off.

    `known` is the row's entry in sync_keys, which holds amoCRM's mark; without one nothing is known of a time.
    """
    name, flag = live.mapping.service[ROLE], live.mapping.flag
    if name is None:
        return S("false")
    if flag is not None:
        return S("({} <> (known.amo_deleted_at IS NOT NULL))").format(_is_flagged(live, flag, "crm"))
    return S("(known.account_id IS NOT NULL AND crm.{} IS DISTINCT FROM known.amo_deleted_at::{})").format(
        I(name), trusted(live.columns[name].type_sql)
    )


def written_mark(live: LiveTable, schema: str, row: str, old: sql.Composable, new: sql.Composable) -> sql.Composable:
    """What the column of row `row` holds when its mark goes from the time `old` to `new`.

    A flag that is taken back becomes what it was before the loader set it, as far as the journal knows.
    """
    flag, table = live.mapping.flag, live.mapping
    if flag is None:
        return new
    name = table.service[ROLE] or ""
    before = S(
        """
        (SELECT (entry.old_value #>> '{{}}')::{type} FROM {changes} AS entry
        WHERE entry.table_name = {table} AND entry.row_id = {row}.{id}::text AND entry.column_name = {name}
            AND entry.new_value = to_jsonb({deleted}) AND entry.old_value IS DISTINCT FROM entry.new_value
        ORDER BY entry.id DESC LIMIT 1)
        """
    ).format(
        type=trusted(live.columns[name].type_sql),
        changes=I(schema, "sync_changes"),
        table=sql.Literal(table.table),
        row=I(row),
        id=I(table.id),
        name=sql.Literal(name),
        deleted=_value(live, flag.deleted),
    )
    return S(
        "CASE WHEN {new} IS NULL AND {old} IS NOT NULL THEN coalesce({before}, {live}) "
        "WHEN {new} IS NOT NULL AND {old} IS NULL THEN {deleted} ELSE {now} END"
    ).format(
        new=new,
        old=old,
        before=before,
        live=_value(live, flag.live),
        deleted=_value(live, flag.deleted),
        now=_column(live, row),
    )


def mark_of_new(live: LiveTable, mark: sql.Composable) -> sql.Composable:
    """What the column of a new row holds whose mark is this time."""
    flag = live.mapping.flag
    if flag is None:
        return mark
    return S("CASE WHEN {} IS NULL THEN {} ELSE {} END").format(
        mark, _value(live, flag.live), _value(live, flag.deleted)
    )


def is_as_loaded(live: LiveTable, row: str) -> sql.Composed:
    """Whether a flag holds one of the two values that the loader writes; true for a time."""
    flag = live.mapping.flag
    if flag is None:
        return S("true").format()
    values = [_value(live, value) for value in (flag.deleted, flag.live)]
    return S("({} IN ({}))").format(_column(live, row), S(", ").join(values))


def flagged(live: LiveTable) -> sql.Composed:
    """The value of a flag in deleted rows."""
    flag = live.mapping.flag or DeletedFlag()
    return _value(live, flag.deleted)


def returning_mark(live: LiveTable, row: str) -> sql.Composed:
    """The mark as a time of a row of which nothing else is known: of a flag that is set, now."""
    if live.mapping.service.get(ROLE) is None:
        return S("NULL::timestamptz").format()
    if live.mapping.flag is None:
        return _column(live, row)
    return S("CASE WHEN {} THEN now() END").format(is_marked(live, row))
