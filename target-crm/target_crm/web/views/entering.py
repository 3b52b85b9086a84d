"""Coming in by the token or the password, going out, choosing a language."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from target_crm.texts import LANGUAGES
from target_crm.web.i18n import LANGUAGE_COOKIE
from target_crm.web.page import render_plain
from target_crm.web.security import Access


async def enter(request: Request, access: Access, form: dict[str, list[str]]) -> Response:
    """Let in whoever has the token in the address or the password in the form."""
    if access.is_tired():
        return render_plain(request, access, "enter.html.j2", status=429, problem="enter_tired")
    given = request.query_params.get("token", "")
    password = form.get("password", [""])[-1]
    if request.method == "POST" and await run_in_threadpool(access.is_password, password):
        return _in(access)
    if given and access.is_token(given):
        return _in(access)
    if given or password:
        access.failed()
    problem = "enter_wrong" if password else None
    return render_plain(request, access, "enter.html.j2", status=401, problem=problem)


def _in(access: Access) -> Response:
    response = RedirectResponse("/", status_code=303)
    access.let_in(response)
    return response


def leave(request: Request, access: Access) -> Response:
    """End the session."""
    if request.state.session:
        access.leave(request.state.session)
    response = RedirectResponse("/enter", status_code=303)
    response.delete_cookie(access.cookie, httponly=True, samesite="strict", secure=access.https)
    return response


def choose_language(request: Request, access: Access) -> Response:
    """Remember the language, and go back to where it was chosen; never to another site."""
    back = urlsplit(request.query_params.get("back", "/"))
    path = back.path if back.path.startswith("/") and not back.path.startswith("//") else "/"
    target = path.replace("\\", "/").replace("//", "/") + (f"?{back.query}" if back.query else "")
    response = RedirectResponse(target, status_code=303)
    language = request.path_params["language"]
    if language in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE, language, max_age=365 * 86400, httponly=True, samesite="strict", secure=access.https
        )
    return response
