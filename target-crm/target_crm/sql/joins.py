"""How staged rows meet the CRM's: by their whole key, and references of partial merges by what they stand for."""

from __future__ import annotations

import json

from psycopg import sql

from target_crm.normalise.text import same_key
from target_crm.sql.spec import I, MergeSpec, S, Slot, of_stream, trusted
from target_crm.sql.text import text_rules

# A batch is some thousand rows and finds each of its partners by a unique index. The planner thinks otherwise when its
# statistics were taken before the rows came (a first load, a stream that begins): it then reads all keys of a stream
# once for each record, which is quadratic. These ways are closed to it while a batch meets the tables.
_WAYS = ("enable_hashjoin", "enable_mergejoin", "enable_material")
# From PostgreSQL 14 on: keeps what it has looked up by a key that includes whole documents, and each comes once.
_WAYS_14 = ("enable_memoize",)


def _set_ways(server_version: int, value: sql.Composable) -> sql.Composed:
    ways = _WAYS + _WAYS_14 if server_version >= 140000 else _WAYS
    return S("; ").join(S("SET LOCAL {} TO {}").format(I(way), value) for way in ways)


def by_key(server_version: int) -> sql.Composed:
    """Closes the ways that are not by a key, up to the end of the transaction; `server_version` as libpq gives it."""
    return _set_ways(server_version, S("off"))


def as_planned(server_version: int) -> sql.Composed:
    """Opens them again."""
    return _set_ways(server_version, S("DEFAULT"))


def under_name(source: sql.Composable, name: sql.Literal) -> sql.Composed:
    """Rows beside their table's name, for joins with sync_keys.

    Were the name a constant in the join, the planner would estimate the keys of that name from statistics, one row
    where they are old, and read them all first.
    """
    return S("(SELECT named.*, {}::text AS table_name FROM {} AS named OFFSET 0)").format(name, source)


def _link(spec: MergeSpec, slot: Slot, alias: sql.Identifier, ref: sql.Composable) -> sql.Composed:
    parent = spec.parents[slot.column.link or ""]
    keys = parent.mapping
    if not keys.match_only:
        return S(
            "LEFT JOIN {} AS {alias} ON {alias}.{account} = staged.account_id AND {alias}.{amo_id} = {ref}{of_stream}"
        ).format(
            parent.identifier,
            alias=alias,
            account=I(keys.account or ""),
            amo_id=I(keys.amo_id or ""),
            ref=ref,
            of_stream=of_stream(parent, _alias_of(slot)),
        )
    matched = I(f"known_{slot.index}")
    return S(
        """
        LEFT JOIN {keys} AS {matched}
            ON {matched}.account_id = staged.account_id AND {matched}.table_name = {name} AND {matched}.amo_id = {ref}
        LEFT JOIN {parent} AS {alias} ON {alias}.{id} = {matched}.row_id::{type}
        """
    ).format(
        keys=spec.control("sync_keys"),
        matched=matched,
        name=sql.Literal(keys.table),
        ref=ref,
        parent=parent.identifier,
        alias=alias,
        id=I(keys.id),
        type=trusted(parent.columns[keys.id].type_sql),
    )


def _name(spec: MergeSpec, slot: Slot, alias: sql.Identifier, ref: sql.Composable) -> sql.Composed:
    return S(
        """
        LEFT JOIN {} AS {alias}
            ON {alias}.account_id = staged.account_id AND {alias}.source = {} AND {alias}.ref = {}
        """
    ).format(spec.control("sync_lookups"), sql.Literal(slot.column.lookup), ref, alias=alias)


def _alias_of(slot: Slot) -> str:
    """What a reference of a partial merge is joined as."""
    return f"referred_{slot.index}"


def source_joins(spec: MergeSpec) -> sql.Composed:
    """The joins that the rows `staged` of a partial merge need; those of a full one hold values already."""
    joins = []
    for slot in spec.slots:
        if slot.refers:
            alias, ref = I(_alias_of(slot)), S("staged.{}").format(slot.staged)
            joins.append((_link if slot.column.link else _name)(spec, slot, alias, ref))
    return S(" ").join(joins)


def theirs(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """The value that comes, as the column takes it."""
    alias = I(_alias_of(slot))
    if not slot.refers:
        return S("staged.{}").format(slot.staged)
    if slot.column.link:
        key = S("{}.{}").format(alias, I(spec.parents[slot.column.link].mapping.id))
        return S("{}::{}").format(key, trusted(slot.live.type_sql))
    name = S("{}.name").format(alias)
    if slot.column.values is None:
        return name
    meant = sql.Literal(json.dumps({same_key(said): value for said, value in slot.column.values.items()}))
    key = text_rules(slot.live.encoding).key(name)
    return S(
        """
        (SELECT CASE WHEN meant.listed ? meant.said THEN meant.listed->>meant.said ELSE meant.listed->>'*' END
        FROM (SELECT {}::jsonb AS listed, {} AS said) AS meant
        WHERE meant.said <> '')::{}
        """
    ).format(meant, key, trusted(slot.live.type_sql))
