"""How the design note's two methods read: one request per parent, or parents in batches; always one after another."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import requests

Record = dict[str, Any]
Params = list[tuple[str, Any]]
# Parents in one request, as the note has them.
COMPANIES, NOTE_PARENTS, TASK_PARENTS = 50, 200, 20
ENTITIES = ("companies", "contacts", "leads")


class Api:
    """Requests one after another over one connection."""

    def __init__(self, url: str, token: str) -> None:
        self.url = url.rstrip("/")
        self.session = requests.Session()
        self.session.headers["Authorization"] = f"Bearer {token}"

    def pages(self, path: str, params: Params = ()) -> list[Record]:  # type: ignore[assignment]
        """All records of a list, page by page for as long as `_links.next` is there."""
        found: list[Record] = []
        page = 1
        while True:
            query = [*params, ("limit", 250), ("page", page)]
            answer = self.session.get(f"{self.url}/api/v4/{path}", params=query, timeout=60)
            answer.raise_for_status()
            if answer.status_code == 204:
                return found
            body = answer.json()
            found += body["_embedded"][path.rsplit("/", 1)[-1]]
            if "next" not in body["_links"]:
                return found
            page += 1


def chunks(ids: list[int], size: int) -> Iterable[list[int]]:
    """The ids in parts of this size."""
    return (ids[n : n + size] for n in range(0, len(ids), size))


def read_account(api: Api, write: Callable[[str, list[Record]], None], *, batched: bool) -> dict[str, int]:
    """Read companies, then contacts and leads, notes and tasks of them; hand each list on; return how many came."""
    companies_at_once, notes_at_once, tasks_at_once = (COMPANIES, NOTE_PARENTS, TASK_PARENTS) if batched else (1, 1, 1)
    ids: dict[str, list[int]] = {}
    counts: dict[str, int] = {}

    def take(kind: str, records: list[Record]) -> None:
        counts[kind] = counts.get(kind, 0) + len(records)
        if records:
            write(kind, records)

    for name in ("users", "leads/pipelines"):
        api.pages(name)
    companies = api.pages("companies")
    ids["companies"] = [r["id"] for r in companies]
    take("companies", companies)
    for kind in ("contacts", "leads"):
        found: list[Record] = []
        for some in chunks(ids["companies"], companies_at_once):
            found += api.pages(kind, [("filter[company_id][]", i) for i in some])
        ids[kind] = [r["id"] for r in found]
        take(kind, found)
    notes: list[Record] = []
    for entity in ENTITIES:
        for some in chunks(ids[entity], notes_at_once):
            came = api.pages(f"{entity}/notes", [("filter[entity_id][]", i) for i in some])
            notes += [r | {"entity_type": entity} for r in came]
    take("notes", notes)
    tasks: list[Record] = []
    for entity in ENTITIES:
        for some in chunks(ids[entity], tasks_at_once):
            wanted: Params = [("filter[entity_type]", entity), *(("filter[entity_id][]", i) for i in some)]
            tasks += api.pages("tasks", wanted)
    take("tasks", tasks)
    return counts
