"""Names and labels for the entries of a plan, read before its transaction ends."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from target_crm.operations.accounts import read_accounts
from target_crm.operations.labels import hidden_columns
from target_crm.operations.rejects import record_name
from target_crm.operations.session import Row, Session
from target_crm.operations.shown import Shown
from target_crm.plan.journal import Plan
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.common import COMMON


class NamedPlan:
    """English words for a plan's entries. All that the database knows is read when it is made."""

    def __init__(self, session: Session, plan: Plan) -> None:
        accounts = read_accounts(session)
        self._show = Shown(session, Texts("en", COMMON, accounts.zone), accounts)
        new = {e["row_id"]: e["new_value"] for e in plan.changes if e["column_name"] == "*" and e["new_value"]}
        self._show.coming = lambda key: record_name(new.get(key) or {})
        self._hidden = hidden_columns(session)
        entries = [*plan.changes, *plan.kept, *plan.conflicts]
        self._names = self._show.names(e for e in [*entries, *plan.adopted] if e["row_id"] is not None)
        sides = ("old_value", "new_value", "base_value", "crm_value", "amo_value")
        self._show.learn([{**dict.fromkeys(sides), **e} for e in [*entries, *_cells(plan.changes)]], *sides)
        # Labels may come from the account's fields, which are read once.
        for entry in [*entries, *_cells(plan.changes)]:
            self._show.column(entry["table_name"], entry["column_name"])

    def table(self, name: str) -> str:
        """The records of a table."""
        return self._show.table(name, many=True)

    def field(self, table: str, column: str) -> str:
        """A column with its table."""
        return self._show.cell(table, column)

    def record(self, table: str, row_id: str) -> str:
        """The name of a row."""
        return self._show.name(self._names, table, row_id)

    def value(self, table: str, column: str, value: Any) -> str:
        """A value of a column."""
        return self._show.value(table, column, value)

    def whole(self, table: str, row: Row) -> str:
        """A whole row on one line."""
        return self._show.whole(table, row, self._hidden)

    def problem(self, entry: Row) -> str:
        """What is wrong with a rejected record."""
        return self._show.problem(entry)


def _cells(changes: Iterable[Row]) -> list[Row]:
    """The cells of whole rows, as entries of their own."""
    return [
        {**e, "column_name": name, "old_value": None, "new_value": value}
        for e in changes
        if e["column_name"] == "*"
        for name, value in ((e["new_value"] or e["old_value"]) or {}).items()
    ]
