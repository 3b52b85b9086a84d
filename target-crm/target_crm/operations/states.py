"""The last STATE that was released, by account and tap: where the next run of a tap continues (table sync_state)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from target_crm.operations.session import Row, Session, UnknownError
from target_crm.singer_io.released_states import keep_state
from target_crm.sql.spec import S


def find_states(session: Session, account: int | None = None, tap: str | None = None) -> list[Row]:
    """States as target-crm let them go: account_id, tap, state, updated_at."""
    return session.rows(
        S(
            "SELECT account_id, tap, state, updated_at FROM {} WHERE (%s::bigint IS NULL OR account_id = %s) "
            "AND (%s::text IS NULL OR tap = %s) ORDER BY account_id, tap"
        ).format(session.control("sync_state")),
        account,
        account,
        tap,
        tap,
    )


def last_state(session: Session, account: int | None = None, tap: str | None = None) -> dict[str, Any] | None:
    """The state from which the next run continues; None where none was released.

    Raises:
        UnknownError: there are several: the account or the tap has to be named.
    """
    found = find_states(session, account, tap)
    if len(found) > 1:
        known = [f"{row['account_id']} {row['tap']}" for row in found]
        raise UnknownError.of("E_STATES_SEVERAL", known=known)
    return dict(found[0]["state"]) if found else None


def put_state(session: Session, account: int, tap: str, state: Mapping[str, Any]) -> None:
    """Keep a state as one that was released here, such as one that was a file until now. Commits."""
    (last,) = session.rows(S("SELECT coalesce(max(id), 0) AS run FROM {}").format(session.control("sync_runs")))
    keep_state(session.connection, session.settings.crm_schema, last["run"], {account}, tap, state)
    session.connection.commit()
