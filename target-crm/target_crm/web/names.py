"""The name under which somebody decides: kept in a cookie of theirs, written down with each decision."""

from __future__ import annotations

from urllib.parse import quote, unquote

from starlette.requests import Request
from starlette.responses import Response

from target_crm.operations.users import clean_name
from target_crm.web.security import Access

_SECONDS = 365 * 86400


def _cookie(access: Access) -> str:
    return f"target-crm-name-{access.port}"


def read_name(request: Request, access: Access) -> str:
    """The name that a browser remembers; empty for none."""
    return clean_name(unquote(request.cookies.get(_cookie(access), "")))


def keep_name(response: Response, request: Request, access: Access, name: str) -> None:
    """Let the browser remember a name."""
    response.set_cookie(
        _cookie(access),
        quote(clean_name(name)),
        max_age=_SECONDS,
        httponly=True,
        samesite="strict",
        secure=access.is_secure(request.headers),
    )
