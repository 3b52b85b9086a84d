"""The application: which address is which view, and what happens when one fails."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from urllib.parse import parse_qs

import psycopg
from psycopg_pool import PoolTimeout
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.convertors import Convertor, register_url_convertor
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from target_crm.config.database_url import without_secrets
from target_crm.errors import BusyError, TargetError
from target_crm.operations.attempts import RowsHeldError
from target_crm.operations.session import NothingYetError, NotPossibleError, Session, UnknownError
from target_crm.operations.users import find_user
from target_crm.web import metrics
from target_crm.web.crm import Crm
from target_crm.web.i18n import texts_for
from target_crm.web.page import Page, load_templates, refusal_text, render_plain
from target_crm.web.security import MOST_BODY_BYTES, Access, Guard
from target_crm.web.views import (
    cards,
    cells,
    conflicts,
    entering,
    home,
    permissions,
    plans,
    proposals,
    records,
    rejects,
    rules,
    runs,
)

logger = logging.getLogger("target-crm")
MOST_FIELDS = 20_000
View = Callable[[Page], Response]
Endpoint = Callable[[Request], Awaitable[Response]]


class NumberConvertor(Convertor[int]):
    """Numbers of runs and conflicts in addresses: what no bigint can be leads nowhere."""

    regex = "[0-9]{1,18}"

    def convert(self, value: str) -> int:
        """The number."""
        return int(value)

    def to_string(self, value: int) -> str:
        """The number as it is shown in an address."""
        return str(value)


class _Site:
    """Turns views into endpoints: forms are read and checked, each request gets a session of the CRM."""

    def __init__(self, crm: Crm, access: Access) -> None:
        self.crm, self.access = crm, access

    def view(self, view: View, *, before_first_load: bool = False) -> Endpoint:
        """An endpoint that runs the view in a thread: it talks to the database. `before_first_load` views also work
        where no load has run yet."""

        async def endpoint(request: Request) -> Response:
            form = await read_form(request)
            if request.method == "POST":
                given = form.get("form_token", [""])[-1]
                if not self._is_own(request, given):
                    return self.problem(request, 403, "error_form")
            return await run_in_threadpool(self._run, view, request, form, before_first_load)

        return endpoint

    def _run(self, view: View, request: Request, form: dict[str, list[str]], before_first_load: bool) -> Response:
        try:
            with self.crm.session(before_first_load=before_first_load) as session:
                if not self._is_still_known(request, session):
                    self.access.leave(request.state.session.id)
                    return RedirectResponse("/enter", status_code=303)
                return view(Page(request, self.access, session, form))
        except NothingYetError:
            return self.problem(request, 200, "nothing_yet")
        except NotPossibleError as error:
            return self.problem(request, 409, "error", self._said(request, error))
        except UnknownError as error:
            return self.problem(request, 404, "error_404", self._said(request, error))
        except (RowsHeldError, psycopg.errors.LockNotAvailable):
            return self.problem(request, 503, "error_held")
        except BusyError:
            return self.problem(request, 503, "error_busy")
        except PoolTimeout:
            return self.problem(request, 503, "error_unreachable")
        except TargetError as error:
            return self.problem(request, 400, "error", self._said(request, error))
        except psycopg.Error as error:
            logger.warning("%s %s: %s", request.method, request.url.path, without_secrets(str(error)))
            return self.problem(request, 500, "error", refusal_text(error, texts_for(request)))

    def _is_own(self, request: Request, given: str) -> bool:
        return self.access.is_own_form(request.state.session.id, given)

    def _is_still_known(self, request: Request, session: Session) -> bool:
        """Whether the person of a session still has the password that they entered by."""
        login = request.state.session
        if not login.user:
            return True
        found = find_user(session, login.user)
        return found is not None and self.access.stamp_of(found.password) == login.stamp

    def _said(self, request: Request, error: TargetError) -> str:
        """An error in the reader's language. What has no text in it goes to the log, and the reader learns that."""
        texts = texts_for(request)
        found = error.text(texts.language)
        if found:
            return found
        logger.warning("%s %s: %s", request.method, request.url.path, error)
        return texts("error_in_log")

    def problem(self, request: Request, status: int, title: str, detail: str = "") -> Response:
        """A page that says what is wrong."""
        return render_plain(request, self.access, "error.html.j2", status=status, title=title, detail=detail)

    async def enter(self, request: Request) -> Response:
        """See `entering.enter`."""
        try:
            return await entering.enter(request, self.access, await read_form(request), self.crm)
        except (PoolTimeout, psycopg.Error) as error:
            logger.warning("%s: %s", request.url.path, without_secrets(str(error)))
            return self.problem(request, 503, "error_unreachable")

    async def leave(self, request: Request) -> Response:
        """See `entering.leave`."""
        form = await read_form(request)
        if not self._is_own(request, form.get("form_token", [""])[-1]):
            return self.problem(request, 403, "error_form")
        return entering.leave(request, self.access)

    async def name(self, request: Request) -> Response:
        """See `entering.choose_name`."""
        form = await read_form(request)
        if not self._is_own(request, form.get("form_token", [""])[-1]):
            return self.problem(request, 403, "error_form")
        return entering.choose_name(request, self.access, form)

    async def language(self, request: Request) -> Response:
        """See `entering.choose_language`."""
        return entering.choose_language(request, self.access)

    async def metrics(self, request: Request) -> Response:
        """See `metrics.answer`."""
        return await metrics.answer(request, self.crm)

    async def not_found(self, request: Request, _: Exception) -> Response:
        """No such address, or not by this method."""
        status = _.status_code if isinstance(_, HTTPException) else 404
        return self.problem(request, status, "error_404")


async def read_form(request: Request) -> dict[str, list[str]]:
    """The fields of a form, each with all its values; empty for other requests."""
    if request.method != "POST":
        return {}
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > MOST_BODY_BYTES:
                return {}
    except ClientDisconnect:  # nobody waits for the answer
        return {}
    try:
        return parse_qs(body.decode("utf-8", "replace"), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:  # more fields than any form of the page has
        return {}


def create_app(crm: Crm, access: Access) -> Guard:
    """The review page as an ASGI application, behind its guard."""
    site = _Site(crm, access)
    load_templates()
    register_url_convertor("number", NumberConvertor())
    static = StaticFiles(directory=Path(__file__).parent / "static")
    routes = [
        Route("/", site.view(home.show)),
        Route("/enter", site.enter, methods=["GET", "POST"]),
        Route("/leave", site.leave, methods=["POST"]),
        Route("/language/{language}", site.language),
        Route("/name", site.name, methods=["POST"]),
        Route("/plan", site.view(plans.show_plan, before_first_load=True)),
        Route("/decisions", site.view(runs.list_decisions)),
        Route("/runs", site.view(runs.list_runs)),
        Route("/runs/{run:number}", site.view(runs.show_run)),
        Route("/runs/{run:number}/undo", site.view(runs.ask_undo)),
        Route("/runs/{run:number}/undo", site.view(runs.undo), methods=["POST"]),
        Route("/runs/{run:number}/allow", site.view(permissions.give), methods=["POST"]),
        Route("/permissions/revoke", site.view(permissions.take_back), methods=["POST"]),
        Route("/conflicts", site.view(conflicts.list_conflicts)),
        Route("/conflicts.csv", site.view(conflicts.export)),
        Route("/conflicts/bulk", site.view(conflicts.settle_bulk), methods=["POST"]),
        Route("/conflicts/{conflict:number}", site.view(conflicts.show_conflict)),
        Route("/conflicts/{conflict:number}", site.view(conflicts.settle), methods=["POST"]),
        Route("/cards", site.view(cards.first)),
        Route("/cards/{table}/{row_id:path}", site.view(cards.show_card)),
        Route("/cards/{table}/{row_id:path}", site.view(cards.settle_card), methods=["POST"]),
        Route("/proposals", site.view(proposals.list_proposals)),
        Route("/proposals/bulk", site.view(proposals.settle_bulk), methods=["POST"]),
        Route("/proposals/{proposal:number}", site.view(proposals.show_proposal)),
        Route("/proposals/{proposal:number}", site.view(proposals.settle), methods=["POST"]),
        Route("/rules", site.view(rules.list_rules)),
        Route("/rules/add", site.view(rules.make_rule), methods=["POST"]),
        Route("/rules/off", site.view(rules.end_rule), methods=["POST"]),
        Route("/choices", site.view(conflicts.offer_choices)),
        Route("/records", site.view(records.find_record)),
        Route("/records/{table}/{row_id:path}", site.view(records.show_record)),
        Route("/records/{table}/{row_id:path}", site.view(records.back_to), methods=["POST"]),
        Route("/rejects", site.view(rejects.list_rejects)),
        Route("/warnings", site.view(cells.list_warnings)),
        Route("/warnings/retry", site.view(cells.try_again), methods=["POST"]),
        Route("/warnings/discard", site.view(cells.discard), methods=["POST"]),
        Route("/rejects/retry", site.view(rejects.try_again), methods=["POST"]),
        Route("/rejects/drop", site.view(rejects.drop_some), methods=["POST"]),
        Route("/metrics", site.metrics),
        Mount("/static", static),
    ]
    app = Starlette(routes=routes, exception_handlers={404: site.not_found, 405: site.not_found})
    return Guard(app, access)
