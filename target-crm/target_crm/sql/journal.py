"""Compiles the journal and the conflicts of a merge from its plan."""

from __future__ import annotations

from psycopg import sql

from target_crm.sql.merge import I, MergeSpec, S, plan_name


def journal_updates(spec: MergeSpec) -> sql.Composed:
    """One row for each written column of each updated row, and one for the record and base that it had.

    The last is named like the table's jsonb column: an undo puts the base back with it.
    """
    table = spec.live.mapping
    entries: list[sql.Composable] = [
        S("({}, p.{}, to_jsonb(p.{}), to_jsonb(p.{}))").format(
            sql.Literal(column.name), plan_name("w", k), plan_name("o", k), plan_name("t", k)
        )
        for k, column in enumerate(spec.columns)
    ]
    entries.append(S("({}, true, p.raw, NULL::jsonb)").format(sql.Literal(table.raw_fields)))
    if table.service["amo_deleted_at"]:
        entries.append(
            S("({}, p.new_deleted_at IS DISTINCT FROM p.deleted_at, to_jsonb(p.deleted_at), to_jsonb(p.new_deleted_at))").format(
                sql.Literal(table.service["amo_deleted_at"])
            )
        )
    return S(
        "INSERT INTO {journal} (run_id, table_name, row_id, column_name, old_value, new_value) "
        "SELECT %(run)s, {name}, p.row_id::text, v.column_name, v.old_value, v.new_value FROM crm_plan AS p "
        "CROSS JOIN LATERAL (VALUES {entries}) AS v(column_name, written, old_value, new_value) "
        "WHERE p.changed AND NOT p.is_new AND v.written"
    ).format(
        journal=spec.control("sync_changes"),
        name=sql.Literal(table.table),
        entries=S(", ").join(entries),
    )


def journal_inserts(spec: MergeSpec) -> sql.Composed:
    """One row for each inserted row: column `*` with all that was written."""
    table = spec.live.mapping
    written: list[sql.Composable] = [
        S("p.base_moved - {}::text[]").format(sql.Literal([s.name for s in table.sets]))
    ] if table.sets else [S("p.base_moved")]
    return S(
        "INSERT INTO {journal} (run_id, table_name, row_id, column_name, new_value) "
        "SELECT %(run)s, {name}, k.row_id, '*', {written} FROM crm_plan AS p JOIN {keys} AS k "
        "ON k.account_id = p.a AND k.table_name = {name} AND k.amo_id = p.i WHERE p.is_new"
    ).format(
        journal=spec.control("sync_changes"),
        name=sql.Literal(table.table),
        written=written[0],
        keys=spec.control("sync_keys"),
    )


def record_conflicts(spec: MergeSpec) -> sql.Composed | None:
    """A row for each conflict; the base moves with it, so the same pair of values is recorded once.

    An older open conflict of the same cell is closed as superseded. None when no column can be in conflict.
    """
    entries = [
        S("({}, p.{}, to_jsonb(p.{}), to_jsonb(p.{}), to_jsonb(p.{}))").format(
            sql.Literal(column.name),
            plan_name("x", k),
            plan_name("b", k),
            plan_name("o", k),
            plan_name("t", k),
        )
        for k, column in enumerate(spec.columns)
        if spec.policy(column) == "soft"
    ]
    if not entries:
        return None
    return S(
        "WITH x AS (SELECT p.row_id::text AS row_id, v.* FROM crm_plan AS p "
        "CROSS JOIN LATERAL (VALUES {entries}) AS v(column_name, conflict, base_value, crm_value, amo_value) "
        "WHERE p.changed AND NOT p.is_new AND v.conflict), "
        "old AS (UPDATE {conflicts} AS c SET resolved_at = now(), resolution = 'superseded' FROM x "
        "WHERE c.table_name = {name} AND c.row_id = x.row_id AND c.column_name = x.column_name AND c.resolved_at IS NULL) "
        "INSERT INTO {conflicts} (run_id, table_name, row_id, column_name, base_value, crm_value, amo_value) "
        "SELECT %(run)s, {name}, x.row_id, x.column_name, x.base_value, x.crm_value, x.amo_value FROM x"
    ).format(
        entries=S(", ").join(entries),
        conflicts=spec.control("sync_conflicts"),
        name=sql.Literal(spec.live.mapping.table),
    )
