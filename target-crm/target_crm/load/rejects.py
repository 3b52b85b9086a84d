"""The rows of sync_rejects that a load writes and closes."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from target_crm.load.batch import Batch, Reject
from target_crm.load.held_rows import RECORD
from target_crm.normalise.letters import Letters
from target_crm.sql.queries import query

logger = logging.getLogger("target-crm")
Connection = psycopg.Connection[Any]


def write_rejects(connection: Connection, schema: str, run_id: int, rejects: Sequence[Reject]) -> None:
    """Store rejected records; an open reject is updated. The caller commits."""
    if not rejects:
        return
    last = {reject.identity: reject for reject in rejects}
    for with_key in (True, False):
        some = [r for r in last.values() if (len(r.identity) == 3) == with_key]
        if some:
            _write_some_rejects(connection, schema, run_id, some, with_key=with_key)


def log_rejects(rejects: Sequence[Reject]) -> None:
    """Log the first rejected records, and the number of further ones."""
    for reject in rejects[:5]:
        what = f"Stream {reject.stream}: a record" if reject.stream else "A line of the input"
        logger.warning("%s was rejected and is in sync_rejects: %s", what, reject.problem.text())
    if len(rejects) > 5:
        logger.warning("... and %d more; see sync_rejects.", len(rejects) - 5)


def _write_some_rejects(
    connection: Connection, schema: str, run_id: int, rejects: Sequence[Reject], *, with_key: bool
) -> None:
    target = sql.SQL(
        "(account_id, stream, amo_id) WHERE resolved_at IS NULL AND amo_id IS NOT NULL AND account_id IS NOT NULL"
        if with_key
        else "(md5(record), coalesce(stream, '')) WHERE resolved_at IS NULL AND (amo_id IS NULL OR account_id IS NULL)"
    )
    letters = Letters(connection.info.parameter_status("server_encoding"))
    connection.execute(
        query("rejects.sql", "write", schema, conflict=target),
        (
            run_id,
            [r.stream for r in rejects],
            [letters.clean(r.record) for r in rejects],
            [letters.clean(r.problem.text()) for r in rejects],
            [r.account_id for r in rejects],
            [r.amo_id for r in rejects],
            [r.problem.code for r in rejects],
            [letters.clean(r.problem.args_json) for r in rejects],
        ),
    )


def open_rejects(connection: Connection, schema: str) -> dict[str, set[tuple[int, int]]]:
    """The keys of rejected records without a valid later version, by stream."""
    found: dict[str, set[tuple[int, int]]] = {}
    for stream, account, identity in connection.execute(query("rejects.sql", "find_open", schema)).fetchall():
        found.setdefault(stream, set()).add((account, identity))
    return found


def close_rejects(
    connection: Connection,
    schema: str,
    run_id: int,
    stream: str,
    keys: Collection[tuple[int, int]],
    what: str = "loaded",
) -> None:
    """Close the rejects of records that were loaded after all, or of which `what` is true. The caller commits."""
    accounts, amo_ids = [account for account, _ in keys], [amo_id for _, amo_id in keys]
    values = f"{what} in run {run_id}", accounts, amo_ids, stream
    connection.execute(query("rejects.sql", "close", schema), values)


class OpenRejects:
    """The keys of rejected records without a valid later version.

    Args:
        connection: Where those of earlier runs are read from.
        schema: The schema of the loader's own tables.
    """

    def __init__(self, connection: Connection, schema: str) -> None:
        self._schema = schema
        self._keys = open_rejects(connection, schema)

    def close(self, connection: Connection, run_id: int, batch: Batch, tables: Mapping[str, str]) -> None:
        """Close the rejects of records of which a version was loaded. The caller commits.

        `tables` are the tables by stream.
        """
        late = [*batch.late_rejects.values(), *(reject for _, reject in batch.postponed.values())]
        still = {reject.identity for reject in (*batch.rejects, *late)}
        for stream, buffer in batch.buffers.items():
            waiting = self._keys.get(stream)
            if waiting:
                good = [
                    key
                    for key in waiting & buffer.records.keys()
                    if (stream, *key) not in still and (key[0], tables[stream], key[1], RECORD) not in batch.held
                ]
                close_rejects(connection, self._schema, run_id, stream, good)
                waiting.difference_update(good)
        for identity in still:
            if len(identity) == 3:
                self._keys.setdefault(identity[0], set()).add(identity[1:])
