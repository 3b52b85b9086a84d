"""Somebody at the review page of a small company's CRM: the data, the page, a browser in it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import review_data
from review_server import Browser, Served, serving


@dataclass
class Desk:
    """A CRM with data, its page, and a browser that has come in."""

    crm: Any
    served: Served
    browser: Browser

    def position(self, amo_id: int) -> Any:
        return self.crm.row("contacts", amo_id)["position"]

    def journal(self, run: int) -> list[dict[str, Any]]:
        return self.crm.execute("SELECT * FROM sync_changes WHERE run_id = %s ORDER BY id", run)

    def open(self) -> list[int]:
        return [
            c["id"] for c in self.crm.execute("SELECT id FROM sync_conflicts WHERE resolved_at IS NULL ORDER BY id")
        ]

    def conflict(self, amo_id: int) -> int:
        return self.crm.execute(
            "SELECT max(c.id) AS id FROM sync_conflicts AS c JOIN contacts AS t ON t.id::text = c.row_id "
            "WHERE amo_id = %s",
            amo_id,
        )[0]["id"]

    def last_run(self) -> int:
        """The number of the last run."""
        return self.crm.execute("SELECT max(id) AS id FROM sync_runs")[0]["id"]


@contextmanager
def at_desk(crm: Any) -> Iterator[Desk]:
    """Fill the CRM, and serve its page."""
    review_data.fill(crm)
    with serving(crm.config) as served:
        yield Desk(crm, served, served.enter())
