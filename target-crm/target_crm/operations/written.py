"""Which rows a run wrote: what an application recomputes after a load."""

from __future__ import annotations

from target_crm.operations.history import unknown_run
from target_crm.operations.session import NotPossibleError, Session
from target_crm.sql.spec import S

KINDS = ("inserted", "updated", "removed")


def written(session: Session, run: int, table: str | None = None) -> dict[str, dict[str, list[str]]]:
    """The keys of the rows that a run wrote, by table and by what became of the row: `KINDS`.

    A row that the run inserted and then changed counts as inserted. Sets and join tables are their own tables.

    Raises:
        UnknownError: there is no such run.
        NotPossibleError: its journal has been removed (`journal_retention_days`).
    """
    found = session.rows(S("SELECT counts FROM {} WHERE id = %s").format(session.control("sync_runs")), run)
    if not found:
        raise unknown_run(session, run)
    rows = session.rows(
        session.query("history.sql", "find_written"),
        run,
        table,
        table,
    )
    wrote = (
        counts.get(what, 0) for counts in found[0]["counts"].values() for what in ("inserted", "updated", "deleted")
    )
    if not rows and table is None and any(wrote):
        raise NotPossibleError.of("E_RUN_JOURNAL_REMOVED", run=run)
    keys: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        kinds = keys.setdefault(row["table_name"], {kind: [] for kind in KINDS})
        kinds[row["kind"]].append(row["row_id"])
    return keys
