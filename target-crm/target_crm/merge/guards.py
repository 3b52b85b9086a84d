"""Guards that stop a batch which would change or delete too much of a table."""

from __future__ import annotations

from target_crm.errors import GuardError
from target_crm.mapping.check import LiveTable
from target_crm.merge.session import MergeSession
from target_crm.sql import deletes, staging
from target_crm.sql.merge import PlanSummary
from target_crm.sql.spec import MergeSpec

# Below this many rows of a batch a share says nothing.
_LEAST_ROWS_FOR_SHARE = 20
# One deletion is never a mass deletion, however small the table.
_LEAST_DELETES = 2


def guard_deletes(session: MergeSession, live: LiveTable, marked: int) -> None:
    """Stop before rows are marked deleted if they are too many together with those of the run so far.

    Raises:
        GuardError: more of the table than `max_deletes_percent`.
    """
    name = live.mapping.table
    total = session.deleted_so_far.get(name, 0) + marked
    row = session.run(deletes.count_live(live)).fetchone()
    assert row is not None
    rows = row[0] + session.deleted_so_far.get(name, 0)
    most = session.settings.max_deletes_percent
    if total >= _LEAST_DELETES and total * 100 > rows * most and not session.settings.allow_mass_delete:
        found = {"number": total, "rows": rows, "table": name, "percent": f"{most:g}"}
        raise GuardError.of("E_MASS_DELETE", **found)
    session.deleted_so_far[name] = total


def guard_changes(session: MergeSession, spec: MergeSpec, plan: PlanSummary) -> None:
    """Stop before a column is overwritten in too many rows of a batch.

    Raises:
        GuardError: in more of them than `max_changes_percent`.
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
            raise GuardError.of("E_MASS_CHANGE", number=changed, rows=rows, percent=f"{most:g}", **cell)
