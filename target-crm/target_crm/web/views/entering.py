"""Coming in by the token, by one's own password or the shared one; going out, choosing a language."""

from __future__ import annotations

from urllib.parse import unquote

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from target_crm.operations.passwords import is_password
from target_crm.operations.users import User
from target_crm.presentation.texts import LANGUAGES
from target_crm.web.addresses import local_path
from target_crm.web.crm import Crm
from target_crm.web.i18n import LANGUAGE_COOKIE
from target_crm.web.names import keep_name
from target_crm.web.page import render_plain
from target_crm.web.security import Access


async def enter(request: Request, access: Access, form: dict[str, list[str]], crm: Crm) -> Response:
    """Let in whoever has the token in the address or a password in the form; then go to the page they asked for."""
    token = request.query_params.get("token", "")
    password = form.get("password", [""])[-1] if request.method == "POST" else ""
    has_people = await run_in_threadpool(crm.has_people)

    def refused(status: int, problem: str | None) -> Response:
        asks = access.wants_password or has_people
        return render_plain(
            request, access, "enter.html.j2", status=status, problem=problem, asks=asks, has_people=has_people
        )

    if not token and not password:
        return refused(401, None)
    if not access.may_try():
        return refused(429, "enter_tired")
    name = form.get("name", [""])[-1].strip()
    if not password:
        return _in(request, access) if access.is_token(token) else refused(401, None)
    if has_people:
        is_right, person = await run_in_threadpool(_judged, crm, access, name, password)
    else:
        is_right, person = access.judge(await run_in_threadpool(access.is_password, password)), None
    if not is_right:
        return refused(401, "enter_wrong_either" if has_people else "enter_wrong")
    response = _in(request, access, person)
    if person is None and name:
        keep_name(response, request, access, name)
    return response


def _judged(crm: Crm, access: Access, name: str, password: str) -> tuple[bool, User | None]:
    """Whether a name and a password let in, and as whom: by one's own password, or by the one that all share, which
    does not let in under the name of somebody with their own.

    It takes the same time for a name that nobody has.
    """
    person = crm.person(name)
    is_own, is_shared = is_password(password, person.password if person else None), access.is_password(password)
    return access.judge(is_own if person else is_shared), person


def _in(request: Request, access: Access, person: User | None = None) -> Response:
    wanted = unquote(request.cookies.get(access.wanted_cookie, "/"))
    response = RedirectResponse(local_path(wanted), status_code=303)
    if person is None:
        access.let_in(response, request.headers)
    else:
        access.let_in(response, request.headers, person.name, person.password)
    return response


def choose_name(request: Request, access: Access, form: dict[str, list[str]]) -> Response:
    """Remember under which name somebody decides, and go back to where it was typed."""
    response = RedirectResponse(local_path(form.get("back", ["/"])[-1]), status_code=303)
    keep_name(response, request, access, form.get("name", [""])[-1])
    return response


def leave(request: Request, access: Access) -> Response:
    """End the session."""
    if request.state.session:
        access.leave(request.state.session.id)
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
