"""The small lists of an account: users, pipelines, definitions of fields, tags, reasons of loss, types of tasks."""

from __future__ import annotations

from typing import Any

from amocrm_sim import words as w
from amocrm_sim.records import ACCOUNT_ID, CARDS, EPOCH, FIRST_USER, USERS, Record
from amocrm_sim.records.fields import DEFINED, PLAINLY_DEFINED, definition
from amocrm_sim.records.seeds import (
    CATALOGS,
    FIRST_OWN_TASK_TYPE,
    FIRST_PIPELINE,
    FIRST_REASON,
    FIRST_STATUS,
    FIRST_TAG,
)

WON, LOST = 142, 143


def directories(plain: bool) -> dict[str, list[Record]]:
    """The lists by path."""
    defined = PLAINLY_DEFINED if plain else DEFINED
    result = {f"{e}/custom_fields": [definition(f, e, plain) for f in defined[e]] for e in CARDS}
    for shift, entity in enumerate(CARDS):
        result[f"{entity}/tags"] = [
            {"id": FIRST_TAG + 1000 * shift + n, "name": t, "color": None if plain else w.TAG_COLORS[n]}
            for n, t in enumerate(w.TAGS)
        ]
    reasons = [
        {"id": FIRST_REASON + n, "name": r, "sort": n, "created_at": EPOCH, "updated_at": EPOCH}
        for n, r in enumerate(w.LOSS_REASONS)
    ]
    pipelines = [_pipeline(n, plain) for n in range(len(w.PIPELINES if plain else w.ALL_PIPELINES))]
    users = [_user(n) if plain else _unkind_user(n) for n in range(USERS)]
    result |= {"users": users, "leads/pipelines": pipelines, "leads/loss_reasons": reasons}
    return result | {"task_types": task_types(plain)}


def task_types(plain: bool) -> list[Record]:
    """What `account?with=task_types` lists; types 1 to 3 and, in today's accounts, those of the account's own."""
    if plain:
        return [{"id": n, "name": t} for n, t in enumerate(("Звонок", "Встреча", "Письмо"), 1)]
    own = [
        {"id": FIRST_OWN_TASK_TYPE + n, "name": t, "color": "d56161", "icon_id": 7 + n, "code": None}
        for n, t in enumerate(w.OWN_TASK_TYPES)
    ]
    return [{"id": n, "name": t, "color": None, "icon_id": None, "code": c} for n, t, c in w.TASK_TYPES] + own


def _user(n: int) -> Record:
    each = {"view": "A", "edit": "A", "add": "A", "delete": "A", "export": "A"}
    rights: Record = {k: dict(each) for k in ("leads", "contacts", "companies", "tasks")}
    rights |= {"mail_access": False, "catalog_access": True, "is_admin": n == 0, "is_free": False}
    rights |= {"is_active": n != USERS - 1, "group_id": None, "role_id": None, "status_rights": []}
    name = f"{w.FIRST[n % len(w.FIRST)]} {w.LAST[n % len(w.LAST)]}"
    embedded: Record = {"roles": [], "groups": []}
    return {
        "id": FIRST_USER + n,
        "name": name,
        "email": f"user{n}@firma.ru",
        "lang": "ru",
        "rights": rights,
        "_embedded": embedded,
    }


def _unkind_user(n: int) -> Record:
    user = _user(n)
    rights = user["rights"]
    rights["tasks"] = {"edit": "A", "delete": "A"}
    rights |= {"files_access": True, "custom_fields_rights": [], "oper_day_reports_view_access": False}
    rights["catalog_rights"] = [{"catalog_id": CATALOGS[0], "rights": dict(rights["leads"])}]
    hidden = {"entity_type": "leads", "pipeline_id": FIRST_PIPELINE, "status_id": WON}
    rights["status_rights"] = (None, [], [{**hidden, "rights": {"view": "D", "edit": "D", "delete": "D"}}])[n % 3]
    if n % 6 == 2:
        rights["status_rights"][0]["rights"]["export"] = "D"
    if n % 3 == 1:
        rights |= {"group_id": 491_025, "role_id": 55_001}
        user["_embedded"] = {
            "roles": [{"id": 55_001, "name": "Менеджер", "_links": {"self": {"href": "/api/v4/roles/55001"}}}],
            "groups": [{"id": 491_025, "name": "Отдел продаж"}],
        }
    more: Record = {
        "uuid": f"6d1a0000-0000-4000-8000-{n:012x}",
        "amojo_id": f"b1f10000-0000-4000-8000-{n:012x}",
        "user_rank": "newbie" if n % 2 else None,
        "phone_number": None if n % 2 else "+79120000000",
    }
    if n == USERS - 2:  # invited, and never came
        user |= {"name": None, "lang": None, "_embedded": None}
        rights["is_active"] = False
    return user | more


def _pipeline(n: int, plain: bool) -> Record:
    name, statuses = w.ALL_PIPELINES[n]
    made = [] if plain else [_status(n, 0, "Неразобранное", FIRST_STATUS + 100 * n, editable=False, kind=1)]
    made += [_status(n, k, s, FIRST_STATUS + 100 * n + len(made)) for k, s in enumerate(statuses, len(made))]
    for number, status in enumerate(made):
        status["id"] = FIRST_STATUS + 100 * n + number
    won, lost = ("Успешно реализовано", "Закрыто и не реализовано") if plain else w.ENDS[n]
    made += [_status(n, 999, won, WON, editable=False), _status(n, 1099, lost, LOST, editable=False)]
    if not plain:
        for status in made:
            status["descriptions"] = []
    return {
        "id": FIRST_PIPELINE + n,
        "name": name,
        "sort": n + 1,
        "is_main": n == 0,
        "is_unsorted_on": True,
        "is_archive": n == 2,
        "account_id": ACCOUNT_ID,
        "_embedded": {"statuses": made},
    }


def _status(n: int, place: int, name: str, status_id: int, *, editable: bool = True, kind: int = 0) -> Record:
    return {
        "id": status_id,
        "name": name,
        "sort": 10 * (place + 1),
        "is_editable": editable,
        "pipeline_id": FIRST_PIPELINE + n,
        "color": "#fffeb2" if editable else "#CCFF66",
        "type": kind,
        "account_id": ACCOUNT_ID,
    }


def asked_of_user(user: Record, asked: set[str]) -> Record:
    """A user with what `with` names."""
    shown = {k: v for k, v in user.items() if k not in _ASKED or k in asked}
    embedded: Any = user["_embedded"]
    if embedded is not None:
        shown["_embedded"] = {k: v for k, v in embedded.items() if k.rstrip("s") in asked or not v}
    return shown


_ASKED = ("uuid", "amojo_id", "user_rank", "phone_number")
