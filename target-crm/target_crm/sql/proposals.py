"""SQL of the records that wait for a decision (sync_proposals)."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.spec import I, S

IGNORED = "ignored"


def open_keys(schema: str) -> sql.Composed:
    """Stream, account and id of every record that waits, and of those that a person chose to ignore."""
    return S("SELECT stream, account_id, amo_id FROM {} WHERE resolved_at IS NULL OR resolution = {}").format(
        I(schema, "sync_proposals"), sql.Literal(IGNORED)
    )


def write(schema: str) -> sql.Composed:
    """Lets records wait: run, stream, zone, then arrays of accounts, ids, records, times. A newer version of one that
    waits takes its place."""
    return S(
        "INSERT INTO {} AS p (run_id, stream, zone, account_id, amo_id, record, amo_updated_at) "
        "SELECT %s, %s, %s, x.* FROM unnest(%s::bigint[], %s::bigint[], %s::text[]::json[], %s::timestamptz[]) AS x "
        "ON CONFLICT (account_id, stream, amo_id) WHERE resolved_at IS NULL OR resolution = 'ignored' DO UPDATE SET "
        "record = excluded.record, zone = excluded.zone, amo_updated_at = excluded.amo_updated_at, "
        "record_at = excluded.record_at, updated_at = excluded.updated_at "
        "WHERE (excluded.amo_updated_at < p.amo_updated_at) IS NOT TRUE AND p.record::text <> excluded.record::text"
    ).format(I(schema, "sync_proposals"))


def close_by_tombstones(schema: str) -> sql.Composed:
    """Closes those with an account, an id and a stream whose version is not newer than a deletion: arrays of these."""
    return S(
        "UPDATE {} AS p SET resolved_at = now(), resolution = 'deleted', updated_at = now() "
        "FROM unnest(%s::text[], %s::bigint[], %s::bigint[], %s::timestamptz[]) AS x(stream, a, i, at) "
        "WHERE p.stream = x.stream AND p.account_id = x.a AND p.amo_id = x.i AND p.resolved_at IS NULL "
        "AND (p.amo_updated_at > x.at) IS NOT TRUE"
    ).format(I(schema, "sync_proposals"))


def close_deleted(schema: str, live: LiveTable) -> sql.Composed:
    """Closes those of a stream whose record was deleted in amoCRM since."""
    return S(
        "UPDATE {} AS p SET resolved_at = now(), resolution = 'deleted', updated_at = now() FROM {} AS k "
        "WHERE p.stream = {} AND p.resolved_at IS NULL AND k.account_id = p.account_id AND k.table_name = {} "
        "AND k.amo_id = p.amo_id AND k.row_id IS NULL AND k.amo_deleted_at IS NOT NULL "
        "AND (p.amo_updated_at >= k.amo_deleted_at) IS NOT TRUE"
    ).format(
        I(schema, "sync_proposals"),
        I(schema, "sync_keys"),
        sql.Literal(live.mapping.stream),
        sql.Literal(live.mapping.table),
    )


def waiting(schema: str, stream: str, accounts: Sequence[int]) -> sql.Composed:
    """Number, account, id, run, rule, candidates, zone and refused rows of each record of a stream that waits, and
    whether it is newer than what was decided of it."""
    return S(
        "SELECT id, account_id, amo_id, run_id, rule, candidates, zone, refused, record_at >= updated_at FROM {} "
        "WHERE resolved_at IS NULL AND stream = {} AND account_id = ANY({}::bigint[]) ORDER BY id"
    ).format(I(schema, "sync_proposals"), sql.Literal(stream), sql.Literal(list(accounts)))


def records(schema: str, ids: Sequence[int]) -> sql.Composed:
    """Number and text of waiting records."""
    return S("SELECT id, record::text FROM {} WHERE id = ANY({}::bigint[]) ORDER BY id").format(
        I(schema, "sync_proposals"), sql.Literal(list(ids))
    )


def propose(schema: str) -> sql.Composed:
    """Puts records before a person: arrays of numbers, rules and candidates (JSON lists)."""
    return S(
        "UPDATE {} AS p SET rule = x.rule, candidates = ARRAY(SELECT jsonb_array_elements_text(x.candidates)), "
        "updated_at = now() FROM unnest(%s::bigint[], %s::text[], %s::text[]::jsonb[]) AS x(id, rule, candidates) "
        "WHERE p.id = x.id"
    ).format(I(schema, "sync_proposals"))


def propose_refused(schema: str) -> sql.Composed:
    """Puts a record that a constraint refused before a person. Takes stream,
    account, id, rule and rows. One row: whether it was not there before."""
    return S(
        "WITH old AS (SELECT id, rule FROM {p} WHERE resolved_at IS NULL AND stream = %s AND account_id = %s "
        "AND amo_id = %s FOR UPDATE) UPDATE {p} AS p SET rule = %s, candidates = %s::text[], updated_at = now() "
        "FROM old WHERE p.id = old.id RETURNING old.rule IS NULL"
    ).format(p=I(schema, "sync_proposals"))


def done(schema: str, run_id: int, ids: Sequence[int], resolution: str) -> list[sql.Composed]:
    """Takes decided records off: what only waited within this run leaves no trace, the others are closed."""
    table, numbers = I(schema, "sync_proposals"), sql.Literal(list(ids))
    return [
        S("DELETE FROM {} WHERE id = ANY({}::bigint[]) AND run_id = {} AND rule IS NULL").format(
            table, numbers, sql.Literal(run_id)
        ),
        S(
            "UPDATE {} SET resolved_at = now(), updated_at = now(), resolution = {} WHERE id = ANY({}::bigint[]) "
            "AND resolved_at IS NULL"
        ).format(table, sql.Literal(resolution), numbers),
    ]
