"""Coming in by the token or the password, going out, choosing a language."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from target_crm.presentation.texts import LANGUAGES
from target_crm.web.addresses import local_path
from target_crm.web.i18n import LANGUAGE_COOKIE
from target_crm.web.names import keep_name
from target_crm.web.page import render_plain
from target_crm.web.security import Access


async def enter(request: Request, access: Access, form: dict[str, list[str]]) -> Response:
    """Let in whoever has the token in the address or the password in the form; then go to the page they asked for."""
    token = request.query_params.get("token", "")
    password = form.get("password", [""])[-1] if request.method == "POST" else ""
    if not token and not password:
        return render_plain(request, access, "enter.html.j2", status=401, problem=None)
    if not access.may_try():
        return render_plain(request, access, "enter.html.j2", status=429, problem="enter_tired")
    right: bool = await run_in_threadpool(access.is_password, password) if password else access.is_token(token)
    if right:
        response = _in(request, access)
        if name := form.get("name", [""])[-1].strip():
            keep_name(response, request, access, name)
        return response
    problem = "enter_wrong" if password else None
    return render_plain(request, access, "enter.html.j2", status=401, problem=problem)


def _in(request: Request, access: Access) -> Response:
    wanted = unquote(request.cookies.get(access.wanted_cookie, "/"))
    response = RedirectResponse(local_path(wanted), status_code=303)
    access.let_in(response, request.headers)
    return response


def choose_name(request: Request, access: Access, form: dict[str, list[str]]) -> Response:
    """Remember under which name somebody decides, and go back to where it was typed."""
    response = RedirectResponse(local_path(form.get("back", ["/"])[-1]), status_code=303)
    keep_name(response, request, access, form.get("name", [""])[-1])
    return response


def leave(request: Request, access: Access) -> Response:
    """End the session."""
    if request.state.session:
        access.leave(request.state.session)
    response = RedirectResponse("/enter", status_code=303)
    secure = access.is_secure(request.headers)
    response.delete_cookie(access.cookie, httponly=True, samesite="strict", secure=secure)
    return response


def choose_language(request: Request, access: Access) -> Response:
    """Remember the language, and go back to where it was chosen; never to another site."""
    target = local_path(request.query_params.get("back", "/"))
    response = RedirectResponse(target, status_code=303)
    language = request.path_params["language"]
    if language in LANGUAGES:
        response.set_cookie(
            LANGUAGE_COOKIE,
            language,
            max_age=365 * 86400,
            httponly=True,
            samesite="strict",
            secure=access.is_secure(request.headers),
        )
    return response
