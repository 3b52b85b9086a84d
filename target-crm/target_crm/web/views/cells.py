"""Values that their columns could not take, by table, column and code."""

from __future__ import annotations

from starlette.responses import Response

from target_crm.operations.cells import grouped_warnings
from target_crm.web.page import Page


def list_warnings(page: Page) -> Response:
    """The open warnings in groups, the largest first."""
    return page.render("warnings.html.j2", groups=grouped_warnings(page.session))
