"""Endpoints: what each path answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from amocrm_sim import query as q
from amocrm_sim.options import Options
from amocrm_sim.records import ACCOUNT_ID, ENTITIES, FIRST_USER, Record
from amocrm_sim.store import Store, encode

Answer = tuple[int, Any]


class Served(Protocol):
    """What an answer is made from."""

    store: Store
    options: Options


def respond(sim: Served, method: str, path: str, pairs: q.Pairs, base: str) -> Answer:
    """Status and body (None for an empty one) of a request to the API."""
    match = re.fullmatch(r"/api/v4/(.+?)/?", path)
    if not match:
        return 404, _problem(404, "Not Found")
    if method != "GET":
        return 405, _problem(405, "Method Not Allowed", "the simulator is changed through /_sim")
    name = match.group(1)
    if any(name == r or name.startswith(f"{r}/") for r in sim.options.refuse):
        return sim.options.refuse_status, _problem(sim.options.refuse_status, "Forbidden", "no rights for this method")
    for pattern, handler in _ROUTES:
        found = re.fullmatch(pattern, name)
        if found:
            return handler(sim, found, pairs, base)
    return 404, _problem(404, "Not Found", f"{path} is unknown")


def _problem(status: int, title: str, detail: str = "") -> Record:
    return {"title": title, "type": f"https://httpstatus.es/{status}", "status": status, "detail": detail}


def _envelope(
    sim: Served,
    path: str,
    key: str,
    records: list[Any],
    pairs: q.Pairs,
    page: int,
    more: bool,
    base: str,
    extra: Record | None = None,
) -> Answer:
    if not records:
        return 204, None
    links = {"self": {"href": _link(base, path, pairs, page)}}
    if more:
        links["next"] = {"href": _link(_foreign(base) if sim.options.foreign_next else base, path, pairs, page + 1)}
    if page > 1:
        links["first"] = {"href": _link(base, path, pairs, 1)}
        links["prev"] = {"href": _link(base, path, pairs, page - 1)}
    return 200, {"_page": page, "_links": links, **(extra or {}), "_embedded": {key: records}}


def _link(base: str, path: str, pairs: q.Pairs, page: int) -> str:
    return f"{base}/api/v4/{path}?" + urlencode([*((k, v) for k, v in pairs if k != "page"), ("page", str(page))])


def _foreign(base: str) -> str:
    parts = urlsplit(base)
    return urlunsplit(("http", "internal.amocrm.local", parts.path, "", ""))


def _with(pairs: q.Pairs) -> set[str]:
    return {part.strip() for value in q.params(pairs, "with") for part in value.split(",")}


def _account(sim: Served, _: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    asked = _with(pairs)
    body: Record = {
        "id": ACCOUNT_ID, "name": "Ромашка", "subdomain": "romashka", "current_user_id": FIRST_USER, "country": "RU",
        "currency": "RUB", "currency_symbol": "₽", "customers_mode": "segments", "is_unsorted_on": True,
        "is_loss_reason_enabled": True, "contact_name_display_order": 1, "created_at": 1_600_000_000,
        "_links": {"self": {"href": f"{base}/api/v4/account"}}, "_embedded": {},
    }  # fmt: skip
    if "is_api_filter_enabled" in asked:
        body["is_api_filter_enabled"] = sim.options.account.filter_package
    if "datetime_settings" in asked:
        zone = {"timezone": "Europe/Moscow", "timezone_offset": "+03:00", "date_pattern": "d.m.Y H:i"}
        body["_embedded"]["datetime_settings"] = zone
    if "task_types" in asked:
        body["_embedded"]["task_types"] = [
            {"id": n, "name": t} for n, t in enumerate(("Звонок", "Встреча", "Письмо"), 1)
        ]
    return 200, body


def _entity_list(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    name = match.group(0)
    kind = sim.store.kinds[name]
    asked = _with(pairs)
    if "only_deleted" in asked and name in ENTITIES:
        return _only_deleted(sim, name, pairs, base)
    try:
        ids = q.select(sim.store, kind, pairs, sim.options.account)
    except q.Unsupported:
        return 400, _problem(400, "Bad Request", "Filter company_id is not supported")
    page, limit = q.page_and_limit(pairs)
    chosen = ids[(page - 1) * limit : page * limit]
    records = [q.as_asked(sim.store, kind, kind.get(i), asked, base) for i in chosen]
    return _envelope(sim, name, name.rsplit("/", 1)[-1], records, pairs, page, page * limit < len(ids), base)


def _only_deleted(sim: Served, name: str, pairs: q.Pairs, base: str) -> Answer:
    page, limit = q.page_and_limit(pairs)
    gone = sorted(sim.store.kinds[name].gone.items())
    empty = {
        "name": None,
        "responsible_user_id": None,
        "custom_fields_values": None,
        "is_deleted": True,
        "account_id": ACCOUNT_ID,
    }
    chosen = gone[(page - 1) * limit : page * limit]
    records = [{"id": i, "created_at": r["created_at"], "updated_at": r["updated_at"], **empty} for i, r in chosen]
    return _envelope(sim, name, name, records, pairs, page, page * limit < len(gone), base)


def _one(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    kind, record_id = sim.store.kinds[match.group(1)], int(match.group(2))
    if not kind.exists(record_id) or sim.options.account.hides(kind, record_id):
        return (204, None) if sim.options.missing == "204" else (404, _problem(404, "Not Found"))
    return 200, q.as_asked(sim.store, kind, kind.get(record_id), _with(pairs), base)


def _notes_of(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    narrowed = (*pairs, ("filter[entity_id][]", match.group(2)))
    name = f"{match.group(1)}/notes"
    kind = sim.store.kinds[name]
    ids = q.select(sim.store, kind, narrowed, sim.options.account)
    page, limit = q.page_and_limit(pairs)
    records = [q.as_asked(sim.store, kind, kind.get(i), set(), base) for i in ids[(page - 1) * limit : page * limit]]
    return _envelope(sim, match.group(0), "notes", records, pairs, page, page * limit < len(ids), base)


def _all_notes(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    if sim.options.notes_endpoint != "list":
        return 404, _problem(404, "Not Found")
    kinds = [sim.store.kinds[f"{e}/notes"] for e in ENTITIES]
    found = [(k, i) for k in kinds for i in q.select(sim.store, k, pairs, sim.options.account)]
    page, limit = q.page_and_limit(pairs)
    records = [q.as_asked(sim.store, k, k.get(i), set(), base) for k, i in found[(page - 1) * limit : page * limit]]
    return _envelope(sim, "notes", "notes", records, pairs, page, page * limit < len(found), base)


def _links(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    entity = match.group(1)
    single = match.group(2)
    ids = {int(single)} if single else q.integers(q.params(pairs, "filter[entity_id]"))
    store, links = sim.store, []
    for entity_id in sorted(i for i in ids if store.kinds[entity].exists(i)):
        if entity == "companies":
            targets = [(k, r["id"]) for k, v in store.linked(entity, [entity_id])[entity_id].items() for r in v]
        else:
            embedded = store.kinds[entity].get(entity_id)["_embedded"]
            targets = [(k, r["id"]) for k in ("companies", "contacts") for r in embedded.get(k) or ()]
        links += [
            {"entity_id": entity_id, "entity_type": entity, "to_entity_id": i, "to_entity_type": k, "metadata": None}
            for k, i in targets
        ]
    return (
        (
            200,
            {
                "_total_items": len(links),
                "_links": {"self": {"href": f"{base}/api/v4/{match.group(0)}"}},
                "_embedded": {"links": links},
            },
        )
        if links
        else (204, None)
    )


def _static(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    name = match.group(0)
    if name == "users" and not sim.options.admin:
        return 403, _problem(403, "Forbidden", "only for administrators")
    records = sim.store.statics[name]
    page, limit = q.page_and_limit(pairs)
    chosen = records[(page - 1) * limit : page * limit]
    extra = {"_total_items": len(records), "_page_count": -(-len(records) // limit)}
    key = name.rsplit("/", 1)[-1]
    return _envelope(
        sim, name, key, chosen, pairs, page, page * limit < len(records), base, None if key == "tags" else extra
    )


def _events(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    visible = sim.store.now() - sim.options.event_delay
    events = [e for e in reversed(sim.store.events) if e["created_at"] <= visible]
    types = {t for v in q.params(pairs, "filter[type]") for t in v.split(",")}
    entities = {t for v in q.params(pairs, "filter[entity]") for t in v.split(",")}
    ids = q.integers(q.params(pairs, "filter[entity_id]"))
    if len(ids) > 10:
        return 400, _problem(400, "Bad Request", "at most 10 entity_id")
    low, high = q.one(pairs, "filter[created_at][from]"), q.one(pairs, "filter[created_at][to]")
    low = low if low is not None else q.one(pairs, "filter[created_at]")
    events = [
        e
        for e in events
        if (not types or e["type"] in types)
        and (not entities or e["entity_type"] in entities)
        and (not ids or len(entities) != 1 or e["entity_id"] in ids)
        and (low is None or e["created_at"] >= low)
        and (high is None or e["created_at"] <= high)
    ]
    page, limit = q.page_and_limit(pairs, most=100)
    chosen = events[(page - 1) * limit : page * limit]
    return _envelope(sim, "events", "events", chosen, pairs, page, page * limit < len(events), base)


def _optional(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    name = match.group(0)
    made: dict[str, list[Record]] = {
        "catalogs": [{"id": 1, "name": "Товары", "created_by": 0, "type": "regular", "sort": 10, "account_id": ACCOUNT_ID, "created_at": 1_600_000_000, "updated_at": 1_600_000_000}],
        "catalogs/1/elements": [{"id": n, "catalog_id": 1, "name": f"Товар {n}", "created_at": 1_600_000_000, "updated_at": 1_600_000_000, "is_deleted": False, "custom_fields_values": None, "account_id": ACCOUNT_ID} for n in range(1, 8)],
        "sources": [{"id": 1, "name": "Сайт", "external_id": "site", "pipeline_id": 7_000_001, "default": True}],
        "roles": [{"id": 1, "name": "Менеджер", "rights": {}}],
        "webhooks": [{"id": 1, "destination": "https://hooks.example/amo", "created_at": 1_600_000_000, "updated_at": 1_600_000_000, "account_id": ACCOUNT_ID, "disabled": False, "settings": ["add_lead"]}],
        "talks": [{"talk_id": 1, "created_at": 1_700_000_000, "updated_at": 1_700_000_000, "rate": 0, "contact_id": 20_000_001, "chat_id": "c", "entity_id": 30_000_001, "entity_type": "lead", "is_in_work": True, "is_read": True, "origin": "telegram", "account_id": ACCOUNT_ID}],
        "leads/unsorted": [{"uid": "u1", "source_uid": "s", "source_name": "Форма", "category": "forms", "pipeline_id": 7_000_001, "created_at": 1_700_000_000, "metadata": {}, "account_id": ACCOUNT_ID, "_embedded": {"leads": [{"id": 30_000_001}], "contacts": [], "companies": []}}],
    }  # fmt: skip
    records = made.get(name, [])
    page, limit = q.page_and_limit(pairs)
    chosen = records[(page - 1) * limit : page * limit]
    return _envelope(sim, name, name.rsplit("/", 1)[-1], chosen, pairs, page, page * limit < len(records), base)


_KINDS = r"(?:companies|contacts|leads|customers)"
Handler = Callable[[Served, "re.Match[str]", q.Pairs, str], Answer]
_ROUTES: tuple[tuple[str, Handler], ...] = (
    (r"account", _account),
    (r"companies|contacts|leads|tasks|customers", _entity_list),
    (r"(?:companies|contacts|leads)/notes", _entity_list),
    (r"notes", _all_notes),
    (rf"({_KINDS}|tasks)/(\d+)", _one),
    (r"(companies|contacts|leads)/(\d+)/notes", _notes_of),
    (r"(companies|contacts|leads)/(?:(\d+)/)?links", _links),
    (rf"users|leads/pipelines|leads/loss_reasons|{_KINDS}/custom_fields|{_KINDS}/tags", _static),
    (r"events", _events),
    (r"catalogs(?:/\d+/elements)?|sources|roles|webhooks|talks|leads/unsorted|customers/notes", _optional),
)


def dump(store: Store, kinds: list[str] | None) -> Iterator[bytes]:
    """The truth as NDJSON: {kind, record} for every record, then the deleted ones, then the events."""
    everything = {"contacts", "leads", "customers", "catalog_elements", "companies", "loss_reason", "social_profiles"}
    for name, kind in store.kinds.items():
        if kinds is None or name in kinds:
            for record_id in kind.ids:
                record = q.as_asked(store, kind, kind.get(record_id), everything, "")
                yield encode({"kind": name, "record": record}) + b"\n"
    for name, kind in store.kinds.items():
        if kinds is None or f"deleted/{name}" in kinds:
            for record_id in kind.gone:
                yield encode({"kind": f"deleted/{name}", "record": {"id": record_id}}) + b"\n"
    for name, records in store.statics.items():
        if kinds is None or name in kinds:
            for record in records:
                yield encode({"kind": name, "record": record}) + b"\n"
    if kinds is None or "events" in kinds:
        for event in store.events:
            yield encode({"kind": "events", "record": event}) + b"\n"
