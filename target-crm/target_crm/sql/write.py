"""Writes the plan of a three-way merge into the rows, and remembers with their keys what was merged."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.document_keys import assignments
from target_crm.sql.expressions import TAKE
from target_crm.sql.joins import under_name
from target_crm.sql.marks import written_mark
from target_crm.sql.merge import bit
from target_crm.sql.rules import lasting_tombstone
from target_crm.sql.spec import I, MergeSpec, S, Slot, comma
from target_crm.sql.staging import limit_of, limited

# So many rows found unchanged the long way are worth remembering: a restored database, not a few edits.
_LEAST_TO_REMEMBER = 1000


def unwritten(spec: MergeSpec) -> sql.Composed:
    """The keys of rows that were to be written and are as they were."""
    return S(
        """
        SELECT plan.row_id::text FROM {plan} AS plan JOIN {table} AS crm ON crm.{id} = plan.row_id
        WHERE plan.changed AND {version} = plan.version
        """
    ).format(plan=spec.plan, table=spec.live.identifier, id=I(spec.live.mapping.id), version=spec.version)


def vacate(spec: MergeSpec, slot: Slot) -> sql.Composed:
    """Empties a column in the rows in which it is going to be written; the plan continues with the rows as they are
    then.

    Values that are unique and change places meet nothing when they are written after that.
    """
    table = spec.live.mapping
    return S(
        """
        WITH emptied AS (
            UPDATE {table} AS crm SET {column} = NULL FROM {plan} AS plan
            WHERE plan.changed AND {take} AND crm.{id} = plan.row_id AND crm.{account} = plan.account_id
                AND crm.{column} IS NOT NULL AND {same}
            RETURNING crm.{id} AS row_id, {version} AS version
        )
        UPDATE {plan} AS plan SET version = emptied.version, {ours} = NULL
        FROM emptied WHERE emptied.row_id = plan.row_id
        """
    ).format(
        table=spec.live.identifier,
        column=I(slot.column.name),
        plan=spec.plan,
        take=bit(slot, TAKE),
        id=I(table.id),
        account=I(table.account or ""),
        same=S("{} = plan.version").format(spec.version) if spec.live.has_versions else S("true"),
        version=spec.version,
        ours=slot.ours,
    )


def index_columns(live: LiveTable, name: str) -> sql.Composed:
    """The columns that an index of the table is made of, and those that its generated columns are worked out from."""
    return S(
        """
        SELECT attribute.attname
        FROM pg_catalog.pg_index AS found
        JOIN pg_catalog.pg_class AS named ON named.oid = found.indexrelid
        JOIN pg_catalog.pg_attribute AS attribute ON attribute.attrelid = found.indrelid AND (
            attribute.attnum = ANY(found.indkey) OR EXISTS (
                SELECT FROM pg_catalog.pg_depend AS needed
                WHERE needed.refobjid = found.indrelid AND needed.refobjsubid = attribute.attnum AND (
                    needed.objid = named.oid
                    OR (needed.objid = found.indrelid AND needed.objsubid = ANY(found.indkey))
                    OR needed.objid IN (
                        SELECT filled.oid FROM pg_catalog.pg_attrdef AS filled
                        WHERE filled.adrelid = found.indrelid AND filled.adnum = ANY(found.indkey)
                    )
                )
            )
        )
        WHERE found.indrelid = {}::regclass AND named.relname = {} AND attribute.attnum > 0
        """
    ).format(sql.Literal(live.identifier.as_string()), sql.Literal(name))


def update_rows(spec: MergeSpec, rows: int) -> sql.Composed:
    """Writes the changed rows, and only those that still are what the plan saw: people edit meanwhile."""
    table = spec.live.mapping
    writes: list[sql.Composable] = [
        S("{column} = CASE WHEN {} THEN plan.{} ELSE crm.{column} END").format(
            bit(slot, TAKE), slot.theirs, column=I(slot.column.name)
        )
        for slot in spec.slots
        if slot.live.host is None
    ]
    keys = [slot for slot in spec.slots if slot.live.host is not None]
    writes += assignments(
        spec.live,
        "crm",
        ((slot.column.name, S("CASE WHEN {} THEN plan.{} END").format(bit(slot, TAKE), slot.theirs)) for slot in keys),
    )
    writes.append(S("{} = plan.document").format(I(table.raw_fields)))
    stamp = spec.service("updated_at")
    if stamp:
        writes.append(S("{column} = CASE WHEN plan.writes THEN plan.moment ELSE crm.{column} END").format(column=stamp))
    if spec.only is None:
        for role, value in (("amo_created_at", "plan.created_at"), ("amo_updated_at", "plan.updated_at")):
            name = spec.service(role)
            if name:
                writes.append(S("{column} = coalesce({}, crm.{column})").format(S(value), column=name))
        mark = spec.service("amo_deleted_at")
        if mark:
            old, new = S("plan.old_mark"), S("plan.new_mark")
            writes.append(S("{} = {}").format(mark, written_mark(spec.live, spec.schema, "crm", old, new)))
    if spec.live.has_versions:
        unchanged: sql.Composable = S(" AND {} = plan.version").format(spec.version)
    else:
        unchanged = S("").join(
            S(" AND {} IS NOT DISTINCT FROM plan.{}").format(spec.live.cell("crm", slot.column.name), slot.ours)
            for slot in spec.slots
        )
    return S(
        """
        UPDATE {table} AS crm SET {writes} FROM {plan} AS plan
        WHERE plan.changed AND crm.{account} = plan.account_id AND crm.{id} = plan.row_id{unchanged}
        RETURNING crm.{account} AS account_id, {name}::text AS table_name, crm.{amo_id} AS amo_id,
            crm.{id} AS row_id, {version} AS version, plan.record_hash, plan.updated_at, plan.edited, plan.has_key,
            plan.version AS old_version
        """
    ).format(
        table=spec.live.identifier,
        writes=comma(writes),
        # The time comes with the plan: Citus takes no now() in an UPDATE's CASE.
        plan=S("(SELECT *, now() AS moment FROM {} LIMIT {})").format(spec.plan, sql.Literal(limit_of(rows))),
        id=I(table.id),
        unchanged=unchanged,
        account=I(table.account or ""),
        amo_id=I(table.amo_id or ""),
        name=spec.table_name,
        version=spec.version,
    )


_KEEP_VERSION = """
    kept AS (
        UPDATE {keys} AS known SET row_version = written.version
        FROM written
        WHERE known.account_id = written.account_id AND known.table_name = written.table_name
            AND known.amo_id = written.amo_id AND known.row_version = written.old_version
    )
"""
_KEEP_ALL = """
    kept AS (
        UPDATE {keys} AS known SET row_id = written.row_id::text, record_hash = written.record_hash,
            row_version = written.version, is_edited = {edited}, amo_updated_at = written.updated_at,
            amo_deleted_at = {tombstone}
        FROM written
        WHERE written.has_key AND known.account_id = written.account_id
            AND known.table_name = written.table_name AND known.amo_id = written.amo_id
    ),
    added AS (
        INSERT INTO {keys} AS known (account_id, table_name, amo_id, row_id, record_hash, row_version, is_edited,
            amo_updated_at)
        SELECT written.account_id, written.table_name, written.amo_id, written.row_id::text, written.record_hash,
            written.version, written.edited, written.updated_at
        FROM written WHERE NOT written.has_key
    )
"""


def write_and_remember(spec: MergeSpec, rows: int) -> sql.Composed:
    """Writes the rows and keeps with their keys what was merged; one row: how many were written."""
    return S("WITH written AS ({update}), {keys} SELECT count(*) FROM written").format(
        update=update_rows(spec, rows),
        keys=S(_KEEP_VERSION if spec.only else _KEEP_ALL).format(
            keys=spec.control("sync_keys"),
            edited=S("(written.edited OR known.is_edited)" if spec.group else "written.edited"),
            tombstone=lasting_tombstone(S("written.updated_at"), S("known.amo_deleted_at")),
        ),
    )


def remember_unchanged(spec: MergeSpec, rows: int) -> sql.Composed:
    """Keeps with their keys what was found unchanged the long way.

    Always where the hash was another (a changed mapping, an adopted row). Where only the version was another, a person
    touched the row or the database was restored: that is remembered when many rows of the batch need it, a few are not
    worth a write.
    """
    return S(
        """
        UPDATE {keys} AS known SET row_id = plan.row_id::text, record_hash = plan.record_hash,
            row_version = plan.version, is_edited = {edited}, amo_updated_at = plan.updated_at
        FROM {rows} AS plan
        WHERE NOT plan.changed AND known.account_id = plan.account_id AND known.table_name = plan.table_name
            AND known.amo_id = plan.amo_id AND (
                plan.known_hash IS DISTINCT FROM plan.record_hash
                OR (SELECT count(*) FROM {plan} AS unchanged WHERE NOT unchanged.changed) >= {least}
            )
        """
    ).format(
        edited=S("(plan.edited OR known.is_edited)" if spec.group else "plan.edited"),
        keys=spec.control("sync_keys"),
        rows=under_name(limited(spec.plan, rows), spec.table_name),
        plan=spec.plan,
        least=sql.Literal(_LEAST_TO_REMEMBER),
    )
