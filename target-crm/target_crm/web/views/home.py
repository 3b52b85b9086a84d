"""The first page: is everything all right?"""

from __future__ import annotations

from math import sqrt
from typing import Any

from starlette.responses import Response

from target_crm.operations.health import Health, read_health
from target_crm.operations.overview import freshness, last_loads, told_of, waiting_since
from target_crm.operations.permissions import open_permissions
from target_crm.operations.session import Row
from target_crm.presentation.texts import Texts
from target_crm.web.page import SECTIONS, Page

_HIGHEST = 76


def show(page: Page) -> Response:
    """The last complete sync, what waits, what the last load did, the trend, how fresh each stream is."""
    session, health = page.session, read_health(page.session)
    loads = last_loads(session)
    finished = [run for run in loads if run["status"] != "running"]
    last = finished[0] if finished else None
    return page.render(
        "home.html.j2",
        health=health,
        permissions=open_permissions(session),
        troubles=_has_troubles(health),
        waits=[(kind, n) for kind, n in page.waiting.items() if n and kind in SECTIONS],
        since=waiting_since(session),
        last=last,
        told=told_of(page.texts, last["done"]) if last is not None else [],
        trend=_trend(page.texts, list(reversed(loads))),
        fresh=freshness(session, loads),
    )


def _has_troubles(health: Health) -> bool:
    """Whether something is wrong with the syncs themselves."""
    is_late = not health.accounts or any(account.is_stale for account in health.accounts)
    return is_late or bool(health.gaps) or health.last_status in ("failed", "incomplete", "interrupted")


def _trend(texts: Texts, loads: list[Row]) -> list[dict[str, Any]]:
    """A bar for each load: its height grows with the root of what was written, so that small nights are seen, too."""
    most = max((run["done"].written for run in loads), default=0)
    return [
        {
            "id": run["id"],
            "status": run["status"],
            "written": run["done"].written,
            "height": round(_HIGHEST * sqrt(run["done"].written / most), 1) if most else 0,
            "text": texts(
                "trend_bar",
                when=texts.when(run["started_at"]),
                status=texts.of("status", run["status"]),
                n=run["done"].written,
            ),
        }
        for run in loads
    ]
