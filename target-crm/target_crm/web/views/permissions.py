"""What is allowed once although a guard stopped a load: giving and taking back."""

from __future__ import annotations

from starlette.responses import Response

from target_crm.operations.permissions import allow_once, revoke
from target_crm.web.page import Page


def give(page: Page) -> Response:
    """Let the next load do what a guard stopped this run from."""
    number = int(page.in_path("run"))
    allow_once(page.session, number)
    return page.redirect(f"/runs/{number}", done="allowed")


def take_back(page: Page) -> Response:
    """Take a permission back that no run has used."""
    done = revoke(page.session, page.number("id") or 0)
    return page.redirect("/rules", done="revoked" if done else "gone")
