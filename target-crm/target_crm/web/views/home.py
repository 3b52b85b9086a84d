"""The first page: is everything all right?"""

from __future__ import annotations

from starlette.responses import Response

from target_crm.operations.conflicts import Filter, find_conflicts
from target_crm.operations.health import read_health
from target_crm.web.page import Page


def show(page: Page) -> Response:
    """The last complete sync and what is open, as `target-crm-admin status` leads with."""
    first = find_conflicts(page.session, Filter(), limit=1)
    return page.render("home.html.j2", health=read_health(page.session), first_open=first[0]["id"] if first else None)
