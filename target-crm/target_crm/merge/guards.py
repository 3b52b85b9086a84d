"""Guards that stop a batch that would change or delete too much of a table, unless a person allowed it once."""

from __future__ import annotations

from psycopg import sql

from target_crm.errors import GuardError
from target_crm.mapping.check import LiveTable
from target_crm.merge.session import MergeSession
from target_crm.sql import deletes, merge, staging
from target_crm.sql.merge import PlanSummary
from target_crm.sql.queries import query
from target_crm.sql.spec import MergeSpec

# In batches with fewer rows, a share is not meaningful.
_LEAST_ROWS_FOR_SHARE = 20
# A single deletion is never a mass deletion, however small the table.
_LEAST_DELETES = 2
# Number of keys of affected rows that the error carries.
_MOST_KEYS = 50


def guard_deletes(session: MergeSession, live: LiveTable, marked: int) -> None:
    """Stop before rows are marked deleted if there are too many of them, including earlier ones of the run.

    Raises:
        GuardError: more of the table than `max_deletes_percent`, and nobody allowed it.
    """
    name = live.mapping.table
    total = session.deleted_so_far.get(name, 0) + marked
    row = session.run(deletes.count_live(live)).fetchone()
    assert row is not None
    rows = row[0] + session.deleted_so_far.get(name, 0)
    most = session.settings.max_deletes_percent
    if total >= _LEAST_DELETES and total * 100 > rows * most and not session.settings.allow_mass_delete:
        found = {"number": total, "rows": rows, "table": name, "percent": f"{most:g}"}
        if not _is_allowed(session, "E_MASS_DELETE", name, "", total):
            raise GuardError.of("E_MASS_DELETE", **found, keys=_keys(session, deletes.marked_keys(_MOST_KEYS)))
    session.deleted_so_far[name] = total


def guard_changes(session: MergeSession, spec: MergeSpec, plan: PlanSummary) -> None:
    """Stop before a column is overwritten in too many rows of a batch.

    Raises:
        GuardError: in more of them than `max_changes_percent`, and nobody allowed it.
    """
    most = session.settings.max_changes_percent
    if most >= 100 or not plan.writing:
        return
    row = session.run(staging.count_seen(spec)).fetchone()
    rows = row[0] if row else 0
    if rows < _LEAST_ROWS_FOR_SHARE:
        return
    for slot, changed in zip(spec.slots, plan.overwrites, strict=True):
        if changed * 100 > rows * most:
            cell = {"table": spec.live.mapping.table, "column": slot.column.name}
            if _is_allowed(session, "E_MASS_CHANGE", cell["table"], cell["column"], changed):
                continue
            keys = _keys(session, merge.overwritten_keys(spec, slot, _MOST_KEYS))
            raise GuardError.of("E_MASS_CHANGE", number=changed, rows=rows, percent=f"{most:g}", **cell, keys=keys)


def _is_allowed(session: MergeSession, code: str, table: str, column: str, number: int) -> bool:
    """Whether a person allowed it for one run; this run uses the permission."""
    given = {"run": session.run_id, "code": code, "table": table, "column": column, "number": number}
    literals = {name: sql.Literal(value) for name, value in given.items()}
    return session.run(query("permissions.sql", "use", session.schema, **literals)).fetchone() is not None


def _keys(session: MergeSession, statement: sql.Composable) -> list[str]:
    return [row[0] for row in session.run(statement).fetchall()]
