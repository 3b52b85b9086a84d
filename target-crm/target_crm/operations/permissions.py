"""What a person allows one load to do although a guard stopped the last one: given, used by a run, or revoked."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Any

from psycopg import sql

from target_crm.operations.history import find_run
from target_crm.operations.session import NotPossibleError, Row, Session
from target_crm.sql.queries import query

# Guards that a person may let a load through.
ALLOWABLE = ("E_MASS_DELETE", "E_MASS_CHANGE", "E_TOO_MANY_REJECTS")
# Until the next load amoCRM may have changed a little more.
_MARGIN = 1.1
_LISTED = 100


def stopped_by(run: Mapping[str, Any]) -> dict[str, Any] | None:
    """Code and arguments of the guard that stopped a run, None where none did."""
    if run["status"] != "failed":
        return None
    return next((notice for notice in run["notices"] if notice["code"] in ALLOWABLE), None)


def is_offered(session: Session, run: Mapping[str, Any]) -> bool:
    """Whether a run may be allowed once: a guard stopped it, and no load has gone through since."""
    if stopped_by(run) is None:
        return False
    later = sql.SQL("SELECT FROM {} WHERE kind = 'load' AND status = 'succeeded' AND id > %s LIMIT 1")
    return not session.rows(later.format(session.control("sync_runs")), run["id"])


def allow_once(session: Session, run_id: int) -> int:
    """Let the next load do what a guard stopped this run from; the permission's number.

    Rows that may be marked deleted: a tenth more than the run would have marked. A column that may be overwritten: in
    any number of rows. Records that may be rejected: any number, since the run stopped at the first one too many.

    Raises:
        UnknownError: there is no such run.
        NotPossibleError: no guard stopped it, or a load has gone through since.
    """
    run = find_run(session, run_id)
    guard = stopped_by(run)
    if guard is None or not is_offered(session, run):
        raise NotPossibleError.of("E_NOTHING_TO_ALLOW", run=run_id)
    args = guard["args"]
    most = ceil(args["number"] * _MARGIN) if guard["code"] == "E_MASS_DELETE" else None
    values = (guard["code"], args.get("table", ""), args.get("column"), most, run_id, session.made_by)
    (given,) = session.rows(query("permissions.sql", "give", session.settings.crm_schema), *values)
    session.connection.commit()
    return int(given["id"])


def revoke(session: Session, number: int) -> bool:
    """Take a permission back that no run has used; whether there was one."""
    statement = query("permissions.sql", "revoke", session.settings.crm_schema)
    done = session.execute(statement, session.made_by, number)
    session.connection.commit()
    return bool(done)


def find_permissions(session: Session) -> list[Row]:
    """The last permissions, the newest first, with who gave them and which run used them."""
    return session.rows(query("permissions.sql", "list", session.settings.crm_schema), _LISTED)


def open_permissions(session: Session) -> list[Row]:
    """Those that the next load may use."""
    return session.rows(query("permissions.sql", "open", session.settings.crm_schema))


def permissions_of(session: Session, run_id: int) -> list[Row]:
    """Those that a run used, and those that were given because it failed."""
    return session.rows(query("permissions.sql", "of_run", session.settings.crm_schema), run_id, run_id)
