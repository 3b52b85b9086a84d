"""SQL of the records that wait for a decision (sync_proposals)."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.queries import query
from target_crm.sql.rules import lasting_tombstone

IGNORED = "ignored"
_FILE = "proposals.sql"


def open_keys(schema: str) -> sql.Composed:
    """Stream, account and id of every record that waits, and of those that a person chose to ignore."""
    return query(_FILE, "open_keys", schema)


def write(schema: str) -> sql.Composed:
    """Lets records wait: run, stream, zone, then arrays of accounts, ids, records, times. A newer version of one that
    waits takes its place."""
    return query(_FILE, "write", schema)


def close_by_tombstones(schema: str) -> sql.Composed:
    """Closes those with an account, an id and a stream whose version is not newer than a deletion: arrays of these."""
    return query(_FILE, "close_by_tombstones", schema)


def close_deleted(schema: str, live: LiveTable) -> sql.Composed:
    """Closes those of a stream whose record was deleted in amoCRM since."""
    stream, table = sql.Literal(live.mapping.stream), sql.Literal(live.mapping.table)
    tombstone = lasting_tombstone(sql.SQL("proposal.amo_updated_at"), sql.SQL("known.amo_deleted_at"))
    return query(_FILE, "close_deleted", schema, stream=stream, table=table, tombstone=tombstone)


def waiting(schema: str, stream: str, accounts: Sequence[int]) -> sql.Composed:
    """Number, account, id, run, rule, candidates, zone and refused rows of each record of a stream that waits, and
    whether it is newer than what was decided of it."""
    return query(_FILE, "waiting", schema, stream=sql.Literal(stream), accounts=sql.Literal(list(accounts)))


def records(schema: str, ids: Sequence[int]) -> sql.Composed:
    """Number and text of waiting records."""
    return query(_FILE, "records", schema, ids=sql.Literal(list(ids)))


def propose(schema: str) -> sql.Composed:
    """Puts records before a person: arrays of numbers, rules and candidates (JSON lists)."""
    return query(_FILE, "propose", schema)


def propose_refused(schema: str) -> sql.Composed:
    """Puts a record that a constraint refused before a person. Takes stream,
    account, id, rule and rows. One row: whether it was not there before."""
    return query(_FILE, "propose_refused", schema)


def done(schema: str, run_id: int, ids: Sequence[int], resolution: str) -> list[sql.Composed]:
    """Takes decided records off: what only waited within this run leaves no trace, the others are closed."""
    numbers = sql.Literal(list(ids))
    return [
        query(_FILE, "forget", schema, ids=numbers, run=sql.Literal(run_id)),
        query(_FILE, "close", schema, ids=numbers, resolution=sql.Literal(resolution)),
    ]
