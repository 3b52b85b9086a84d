"""Endpoints: what each path answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any, Protocol
from urllib.parse import urlencode, urlsplit, urlunsplit

from amocrm_sim import query as q
from amocrm_sim import small_lists
from amocrm_sim.directories import asked_of_user
from amocrm_sim.drive import Drive
from amocrm_sim.events import as_served
from amocrm_sim.options import Options
from amocrm_sim.records import ENTITIES, Record
from amocrm_sim.records.seeds import of_account
from amocrm_sim.store import Store, encode
from amocrm_sim.webhooks import Webhooks

Answer = tuple[int, Any]


class Served(Protocol):
    """What an answer is made from."""

    store: Store
    options: Options
    drive: Drive
    webhooks: Webhooks


def respond(sim: Served, method: str, path: str, pairs: q.Pairs, base: str) -> Answer:
    """Status and body (None for an empty one) of a request to the API."""
    match = re.fullmatch(r"/api/v4/(.+?)/?", path)
    if not match:
        return 404, _problem(404, "Not Found")
    if method != "GET":
        return 405, _problem(405, "Method Not Allowed", "the simulator is changed through /_sim")
    name = match.group(1)
    if any(name == r or name.startswith(f"{r}/") for r in sim.options.refuse):
        status = sim.options.refuse_status
        if status == 402 and not sim.store.plain:
            return 402, _problem(402, "Payment Required", "The account is not paid")
        return status, _problem(status, "Forbidden", "no rights for this method")
    for pattern, handler in _ROUTES:
        found = re.fullmatch(pattern, name)
        if found:
            return handler(sim, found, pairs, base)
    return 404, _problem(404, "Not Found", f"{path} is unknown")


def _problem(status: int, title: str, detail: str = "") -> Record:
    return {"title": title, "type": f"https://httpstatus.es/{status}", "status": status, "detail": detail}


def _invalid(sim: Served, path: str) -> Record:
    """What the service says of a parameter that it refuses."""
    detail = "The value you selected is not a valid choice."
    body = _problem(400, "Bad Request", "Request validation failed")
    if sim.store.plain:
        return _problem(400, "Bad Request", f"{path} is not supported")
    errors = [{"code": "NotSupportedChoice", "path": path, "detail": detail}]
    return {"validation-errors": [{"request_id": "0", "errors": errors}], **body}


_WITHOUT_PAGE = ("leads/pipelines", "sources", "webhooks")


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
    body = {"_page": page, "_links": links, **(extra or {}), "_embedded": {key: records}}
    if not sim.store.plain:
        if path in _WITHOUT_PAGE:
            del body["_page"]
            body |= {"_total_items": len(records)}
            if path == "webhooks":
                del body["_links"]
        elif extra and path.endswith("/custom_fields"):
            links["last"] = {"href": _link(base, path, pairs, extra["_page_count"])}
    return 200, body


def _link(base: str, path: str, pairs: q.Pairs, page: int) -> str:
    return f"{base}/api/v4/{path}?" + urlencode([*((k, v) for k, v in pairs if k != "page"), ("page", str(page))])


def _foreign(base: str) -> str:
    parts = urlsplit(base)
    return urlunsplit(("http", "internal.amocrm.local", parts.path, "", ""))


def _with(pairs: q.Pairs) -> set[str]:
    return {part.strip() for value in q.params(pairs, "with") for part in value.split(",")}


def _account(sim: Served, _: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    package, types = sim.options.account.filter_package, sim.store.statics["task_types"]
    body = small_lists.account(
        _with(pairs), types, plain=sim.store.plain, filter_package=package, base=base, drive_url=sim.options.drive_url
    )
    return 200, body | small_lists.identity(sim.store.account.id)


def _entity_list(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    name = match.group(0)
    kind = sim.store.kinds[name]
    asked = _with(pairs)
    if "only_deleted" in asked and name in ENTITIES:
        return _only_deleted(sim, name, pairs, base)
    try:
        ids = q.select(sim.store, kind, pairs, sim.options.account)
    except q.Unsupported as refused:
        return 400, _invalid(sim, str(refused))
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
        "account_id": sim.store.account.id,
    }
    if not sim.store.plain:
        empty |= dict.fromkeys(("updated_by", "created_by", "price", "status_id", "pipeline_id"))
        gone = [(i, r | {"created_at": None}) for i, r in gone]
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


def _files_of(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    kind, record_id = match.group(1), int(match.group(2))
    if not sim.store.kinds[kind].exists(record_id):
        return 404, _problem(404, "Not Found")
    attached = sim.drive.attached.get((kind, record_id), [])
    page, limit = q.page_and_limit(pairs)
    chosen = [{"id": n, "file_uuid": uuid} for n, uuid in attached[(page - 1) * limit : page * limit]]
    return _envelope(sim, match.group(0), "files", chosen, pairs, page, page * limit < len(attached), base)


def _links(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    entity = match.group(1)
    single = match.group(2)
    ids = {int(single)} if single else q.integers(q.params(pairs, "filter[entity_id]"))
    store, links = sim.store, []
    for entity_id in sorted(i for i in ids if store.kinds[entity].exists(i)):
        one = {} if single and not store.plain else {"entity_id": entity_id, "entity_type": entity}
        for kind, target, metadata in _targets(store, entity, entity_id):
            links.append({**one, "to_entity_id": target, "to_entity_type": kind, "metadata": metadata})
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


def _targets(store: Store, entity: str, entity_id: int) -> Iterator[tuple[str, int, Record | None]]:
    """What an entity is linked to: kind, id and metadata."""
    embedded = store.kinds[entity].get(entity_id)["_embedded"] or {}
    kinds = ["companies", "contacts"]
    if entity == "companies":
        embedded = {**embedded, **store.linked(entity, [entity_id])[entity_id]}
        kinds = ["contacts", "leads"]
    if not store.plain:
        kinds += ["customers", "catalog_elements"]
    for kind in kinds:
        for linked in embedded.get(kind) or ():
            metadata: Record | None = None
            if not store.plain:
                metadata = {
                    "main_contact": linked.get("is_main"),
                    "quantity": 1.0,
                    "catalog_id": None,
                    "price_id": None,
                }
                metadata |= linked.get("metadata") or {}
            yield kind, linked["id"], metadata


def _static(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    name = match.group(0)
    if name == "users" and not sim.options.admin:
        return 403, _problem(403, "Forbidden", "only for administrators")
    records = sim.store.statics[name]
    page, limit = q.page_and_limit(pairs)
    chosen = records[(page - 1) * limit : page * limit]
    if not sim.store.plain:
        chosen = _linked(name, chosen, pairs, base)
    extra = {"_total_items": len(records), "_page_count": -(-len(records) // limit)}
    key = name.rsplit("/", 1)[-1]
    return _envelope(
        sim, name, key, chosen, pairs, page, page * limit < len(records), base, None if key == "tags" else extra
    )


def _linked(name: str, records: list[Record], pairs: q.Pairs, base: str) -> list[Record]:
    """Records of a small list with their links; users with what is asked for."""
    shown = []
    for record in records:
        href = f"{base}/api/v4/{name}/{record.get('id', record.get('uid', record.get('talk_id')))}"
        one = asked_of_user(record, _with(pairs)) if name == "users" else record
        if name == "leads/pipelines":
            statuses = [
                {**s, "_links": {"self": {"href": f"{href}/statuses/{s['id']}"}}}
                for s in record["_embedded"]["statuses"]
            ]
            one = {**record, "_embedded": {"statuses": statuses}}
        shown.append({**one, "_links": {"self": {"href": href}}})
    return shown


def _events(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    visible = sim.store.now() - sim.options.event_delay
    events = [e for e in reversed(sim.store.events) if e["created_at"] <= visible]
    types = {t for v in q.params(pairs, "filter[type]") for t in v.split(",")}
    entities = {t for v in q.params(pairs, "filter[entity]") for t in v.split(",")}
    ids = q.integers(q.params(pairs, "filter[entity_id]"))
    if len(ids) > 10:
        return 400, _invalid(sim, "filter.entity_id")
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
    if not sim.store.plain:
        chosen = [as_served(event, base) for event in chosen]
    return _envelope(sim, "events", "events", chosen, pairs, page, page * limit < len(events), base)


def _optional(sim: Served, match: re.Match[str], pairs: q.Pairs, base: str) -> Answer:
    name = match.group(0)
    records = of_account(sim.store.account.id, small_lists.optional(name, plain=sim.store.plain))
    if name == "webhooks":
        records = [*records, *sim.webhooks.subscribed]
    elif not sim.store.plain:
        records = _linked(name, records, pairs, base)
    page, limit = q.page_and_limit(pairs)
    chosen = records[(page - 1) * limit : page * limit]
    return _envelope(sim, name, name.rsplit("/", 1)[-1], chosen, pairs, page, page * limit < len(records), base)


_KINDS = r"(?:companies|contacts|leads|customers)"
Handler = Callable[[Served, "re.Match[str]", q.Pairs, str], Answer]
_ROUTES: tuple[tuple[str, Handler], ...] = (
    (r"account", _account),
    (r"companies|contacts|leads|tasks|customers", _entity_list),
    (r"(?:companies|contacts|leads|customers)/notes", _entity_list),
    (r"notes", _all_notes),
    (rf"({_KINDS}|tasks)/(\d+)", _one),
    (rf"({_KINDS})/(\d+)/notes", _notes_of),
    (rf"({_KINDS})/(\d+)/files", _files_of),
    (rf"({_KINDS})/(?:(\d+)/)?links", _links),
    (rf"users|leads/pipelines|leads/loss_reasons|{_KINDS}/custom_fields|{_KINDS}/tags", _static),
    (r"events", _events),
    (
        r"catalogs(?:/\d+/elements)?|sources|roles|webhooks|talks|leads/unsorted|customers/(?:segments|statuses)",
        _optional,
    ),
)


def dump(store: Store, kinds: list[str] | None) -> Iterator[bytes]:
    """The truth as NDJSON: {kind, record} for every record, then the deleted ones, then the events."""
    everything = {"contacts", "leads", "customers", "catalog_elements", "companies", "loss_reason", "social_profiles"}
    everything |= {"source", "source_id", "segments", "is_price_modified_by_robot"}
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
