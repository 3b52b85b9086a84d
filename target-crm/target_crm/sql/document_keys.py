"""SQL of columns that are keys inside a jsonb column (`extra.level`): read, and written, among the keys beside them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.sql.spec import I, S, trusted


def hosts_of(live: LiveTable) -> dict[str, list[str]]:
    """The jsonb columns of which the mapping fills keys, with these keys."""
    found: dict[str, list[str]] = {}
    for column in live.mapping.columns:
        one = live.columns[column.name]
        if one.host is not None:
            found.setdefault(one.host, []).append(one.key or "")
    return found


def _object(document: sql.Composable) -> sql.Composed:
    """A document that keys can be put into: one that is not an object holds none."""
    return S("CASE WHEN jsonb_typeof({d}) = 'object' THEN {d} ELSE '{{}}' END").format(d=document)


def assignment(live: LiveTable, row: str, name: str, value: sql.Composable) -> sql.Composed:
    """`COLUMN = ...` of an UPDATE of row `row` that gives one column that value; a key without a value goes."""
    column = live.columns[name]
    if column.host is None:
        return S("{} = {}").format(I(name), value)
    document, key = S("{}.{}").format(I(row), I(column.host)), sql.Literal(column.key)
    return S(
        "{host} = CASE WHEN {value} IS NULL THEN ({object}) - {key}::text "
        "ELSE ({object}) || jsonb_build_object({key}::text, {value}) END"
    ).format(host=I(column.host), value=value, object=_object(document), key=key)


def _pairs(pairs: Sequence[tuple[str, sql.Composable]]) -> sql.Composed:
    """An object of keys and values, those left out that are NULL; NULL for nothing."""
    rows = S(", ").join(S("({}::text, {}::jsonb)").format(sql.Literal(key), value) for key, value in pairs)
    return S(
        "(SELECT jsonb_object_agg(cell.name, cell.form) FROM (VALUES {}) AS cell(name, form) "
        "WHERE cell.form IS NOT NULL)"
    ).format(rows)


def assignments(live: LiveTable, row: str, written: Iterable[tuple[str, sql.Composable]]) -> list[sql.Composed]:
    """`COLUMN = ...` for each document of which keys are written: names of columns with their values, NULL for those
    that stay as they are."""
    by_host: dict[str, list[tuple[str, sql.Composable]]] = {}
    for name, value in written:
        column = live.columns[name]
        by_host.setdefault(column.host or "", []).append((column.key or "", value))
    return [
        S("{host} = coalesce(({object}) || {pairs}, {document})").format(
            host=I(host),
            object=_object(S("{}.{}").format(I(row), I(host))),
            pairs=_pairs(pairs),
            document=S("{}.{}").format(I(row), I(host)),
        )
        for host, pairs in by_host.items()
    ]


def _made(live: LiveTable, host: str) -> sql.Composed:
    """What a new row's document holds beside the mapping's keys."""
    column = live.columns[host]
    if live.mapping.defaults.get(host) is not None:
        return S("{}::jsonb").format(sql.Literal(live.mapping.defaults[host]))
    if column.default is not None:
        return S("({})::jsonb").format(trusted(column.default))
    return S("{}::jsonb").format(sql.Literal("{}" if column.not_null else None))


def new_documents(
    live: LiveTable, values: Iterable[tuple[str, sql.Composable]]
) -> list[tuple[sql.Composable, sql.Composable]]:
    """Of a new row the documents with their keys: columns and values."""
    by_host: dict[str, list[tuple[str, sql.Composable]]] = {}
    for name, value in values:
        column = live.columns[name]
        by_host.setdefault(column.host or "", []).append((column.key or "", value))
    return [
        (I(host), S("coalesce(({}) || {pairs}, {made})").format(_object(_made(live, host)), pairs=_pairs(pairs),
                                                               made=_made(live, host)))
        for host, pairs in by_host.items()
    ]  # fmt: skip


def made_documents(live: LiveTable) -> sql.Composed:
    """One row: for each of `hosts_of`, in their order, what new documents hold beside the mapping's keys, as text."""
    return S("SELECT {}").format(S(", ").join(S("({})::text").format(_made(live, host)) for host in hosts_of(live)))


def other_keys(live: LiveTable, host: str, document: sql.Composable) -> sql.Composed:
    """Of a document what the mapping does not fill; an empty object for nothing."""
    return S("(({}) - {}::text[])").format(_object(document), sql.Literal(hosts_of(live)[host]))
