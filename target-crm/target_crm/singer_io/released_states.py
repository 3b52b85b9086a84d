"""The states that were released, by account and tap.

`sync_state` keeps the last one, `sync_released_states` the digest of each, by which a later run's starting state is
recognised.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from target_crm.singer_io.run_input import Source, state_digest
from target_crm.sql.queries import query

Connection = psycopg.Connection[Any]
# A bookmark that is older than that has been written again many times.
_DAYS_KEPT = 400
# Runners may keep a state a little later than it was released.
_LAST_KEPT = 100


def keep_state(
    connection: Connection, schema: str, run_id: int, accounts: Collection[int], tap: str, state: Mapping[str, Any]
) -> None:
    """Keep a STATE that leaves when this transaction is committed. The caller commits."""
    digest = state_digest(state)
    for account in sorted(accounts):
        connection.execute(query("runs.sql", "keep_state", schema), (account, tap, Jsonb(state), digest))
        connection.execute(query("runs.sql", "keep_digest", schema), (account, tap, digest, run_id))


def is_known(connection: Connection, schema: str, source: Source) -> bool:
    """Whether this database let the state go that a run starts from; a run from the beginning needs none.

    Loads of version 0.1 kept no states: an account that such a load filled is believed once.
    """
    if source.start_state is None:
        return True
    row = connection.execute(
        query("runs.sql", "find_state", schema),
        {"tap": source.tap, "digest": source.start_state, "account": source.account_id},
    ).fetchone()
    assert row is not None
    known, any_known, loaded_before = row
    return bool(known or (not any_known and loaded_before))


def thin_states(connection: Connection, schema: str, run_id: int) -> None:
    """Forget all but the last digests of a run that let a state go every few seconds. The caller commits."""
    connection.execute(query("runs.sql", "thin_digests", schema), {"run": run_id, "kept": _LAST_KEPT})


def forget_old_states(connection: Connection, schema: str) -> None:
    """Forget digests of long ago. The caller commits."""
    connection.execute(query("runs.sql", "forget_old_digests", schema), (_DAYS_KEPT,))
