"""One request: its session, form and language, and how it is answered."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, lru_cache
from typing import Any
from urllib.parse import urlencode

import psycopg
from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from target_crm.config.database_url import without_secrets
from target_crm.database.refusals import refusal
from target_crm.operations.accounts import Accounts, read_accounts
from target_crm.operations.overview import count_waiting
from target_crm.operations.session import Session
from target_crm.operations.shown import Shown
from target_crm.operations.users import is_taken
from target_crm.plan.file import last_plan_file
from target_crm.presentation import values
from target_crm.presentation.texts import Texts
from target_crm.web.i18n import texts_for
from target_crm.web.names import read_name
from target_crm.web.security import Access

PER_PAGE = 50
COUNTED = 1000
SECTIONS = ("conflicts", "proposals", "rejects", "warnings", "records", "runs", "decisions", "rules")

# What may be undone from the page that says what was done, and what went otherwise than asked for.
_UNDOABLE = ("amo", "crm", "value", "bulk", "card", "back", "matched", "inserted", "left_out", "matched_bulk")
_BAD = (
    "done_retry_bad",
    "done_cells_bad",
    "done_gone",
    "done_nothing",
    "done_back_changed",
    "done_match_bad",
    "done_match_none",
)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("target_crm.web"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(text=values.as_text, short=values.short)
    environment.globals.update(
        sections=SECTIONS, is_empty=values.is_empty, moment=values.as_moment, ordered=values.ordered
    )
    for name in environment.list_templates(["j2"]):  # read once, so that the first page is as fast as the others
        environment.get_template(name)
    return environment


def load_templates() -> None:
    """Read all templates before the first page is asked for."""
    _environment()


@dataclass
class Page:
    """What a view gets. `form` is empty but for a POST; `session` is the CRM's, for this request alone."""

    request: Request
    access: Access
    session: Session
    form: Mapping[str, list[str]]

    def __post_init__(self) -> None:
        self.session.made_by = self.who or None

    @cached_property
    def who(self) -> str:
        """The name under which somebody decides: of the person who entered by their own password, else what they call
        themselves, unless that is another person's; empty where they gave none."""
        if self.user:
            return self.user
        name = read_name(self.request, self.access)
        return "" if name and is_taken(self.session, name) else name

    @property
    def user(self) -> str:
        """The name of the person who entered by their own password; empty for all others."""
        return str(self.request.state.session.user)

    @cached_property
    def accounts(self) -> Accounts:
        """The accounts that loads have named."""
        return read_accounts(self.session)

    @cached_property
    def texts(self) -> Texts:
        """The page's words in the reader's language, times in the account's zone."""
        return texts_for(self.request, self.accounts.zone)

    @cached_property
    def waiting(self) -> dict[str, int]:
        """How much of each kind waits for a person, counted up to `COUNTED` + 1."""
        return count_waiting(self.session, COUNTED)

    @cached_property
    def shown(self) -> Shown:
        """Values, tables and columns as the reader sees them."""
        return Shown(self.session, self.texts, self.accounts)

    @property
    def has_plan(self) -> bool:
        """Whether there is a plan to show: of the last dry run, or the one that `serve` was started with."""
        file = last_plan_file(self.session.settings)
        return file is not None and file.exists()

    def given(self, name: str) -> str | None:
        """A parameter of the form or the address; None when it is missing or empty."""
        found = self.form.get(name, [""])[-1] or self.request.query_params.get(name, "")
        return found.replace("\0", "") or None

    def number(self, name: str) -> int | None:
        """A parameter that is a whole number; None for anything else."""
        found = self.given(name)
        return int(found) if found and found.isascii() and found.isdigit() and len(found) < 19 else None

    def numbers(self, name: str) -> list[int]:
        """All values of a parameter of the form that are whole numbers."""
        return [int(v) for v in self.form.get(name, []) if v.isascii() and v.isdigit() and len(v) < 19]

    def day(self, name: str) -> Any:
        """A parameter that is a day; None for anything else."""
        try:
            return datetime.fromisoformat(self.given(name) or "").date()
        except ValueError:
            return None

    def in_path(self, name: str) -> str:
        """A part of the address."""
        return str(self.request.path_params[name])

    def render(self, template: str, *, status: int = 200, **context: Any) -> Response:
        """A page made of a template."""
        texts = self.texts
        text = (
            _environment()
            .get_template(template)
            .render(
                t=texts,
                show=self.shown,
                waiting=self.waiting,
                who=self.who,
                user=self.user,
                zone=self.accounts.zone_name,
                form_token=self.access.form_token(self.request.state.session.id),
                path=self.request.url.path,
                here=self.request.url.path + (f"?{self.request.url.query}" if self.request.url.query else ""),
                link=link,
                done=self._done(texts),
                wants_password=self.access.wants_password,
                has_plan=self.has_plan,
                counted=COUNTED,
                **context,
            )
        )
        return HTMLResponse(text, status_code=status)

    def redirect(self, path: str, **parameters: Any) -> Response:
        """Go on to another page after a form; `done=...` says there what was done."""
        return RedirectResponse(link(path, **parameters), status_code=303)

    def _done(self, texts: Texts) -> dict[str, Any] | None:
        """What the form before did, from the address: one of the known sentences, with whole numbers alone."""
        name = f"done_{self.request.query_params.get('done', '')}"
        if name not in texts:
            return None
        numbers = {n: self.number(n) or 0 for n in ("run", "settled", "left", "tried", "bad", "conflict", "proposal")}
        undo = numbers["run"] if self.request.query_params.get("done") in _UNDOABLE else None
        return {
            "text": texts(name, **numbers),
            "undo": undo,
            "run": numbers["run"],
            "conflict": numbers["conflict"],
            "proposal": numbers["proposal"],
            "is_bad": name in _BAD,
        }


def render_plain(request: Request, access: Access, template: str, *, status: int, **context: Any) -> Response:
    """A page outside of a session: entering, errors."""
    texts = texts_for(request)
    text = (
        _environment()
        .get_template(template)
        .render(
            t=texts,
            waiting={},
            who="",
            user="",
            zone="",
            form_token="",
            path="",
            here=request.url.path if request.url.path == "/enter" else "/",
            link=link,
            done=None,
            wants_password=access.wants_password,
            has_plan=False,
            counted=COUNTED,
            **context,
        )
    )
    return HTMLResponse(text, status_code=status)


def refusal_text(error: psycopg.Error, texts: Texts) -> str:
    """What the database refused, in the reader's language; PostgreSQL's own words are shown to readers of English."""
    if texts.language == "en":
        return texts("error_database", what=without_secrets(error.diag.message_primary or str(error)))
    if error.sqlstate is None:
        return texts("error_unreachable")
    if error.sqlstate.startswith("22"):
        return texts("error_value")
    return refusal(error).text(texts.language)


def link(path: str, **parameters: Any) -> str:
    """An address with parameters; those that are None or empty are left out."""
    query = urlencode({k: v for k, v in parameters.items() if v not in (None, "")})
    return f"{path}{'&' if '?' in path else '?'}{query}" if query else path
