"""What a list request asks for: filters in bracket form, order, page, `with`. What is unknown is ignored, silently."""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from amocrm_sim.kinds import Kind
from amocrm_sim.records import CARDS, ENTITIES, Record
from amocrm_sim.store import Store

Pairs = Sequence[tuple[str, str]]
DEFAULT_LIMIT = 50
MAX_LIMIT = 250
_ORDERS = {
    "companies": ("updated_at", "id"),
    "contacts": ("updated_at", "id"),
    "leads": ("created_at", "updated_at", "id"),
    "tasks": ("created_at", "complete_till", "id"),
    "customers": ("updated_at", "id"),
}


@dataclass(frozen=True)
class AccountOptions:
    """Which kind of account this is."""

    filter_package: bool = True
    company_filter: str = "ignore"
    id_filter_without_package: str = "honour"
    # Whose records the token's user may not see.
    hidden_user: int | None = None

    def hides(self, kind: Kind, record_id: int) -> bool:
        """Whether a company, contact, lead or task is silently left out of lists."""
        return (
            self.hidden_user is not None
            and kind.name in (*ENTITIES, "tasks")
            and kind.responsible(record_id) == self.hidden_user
        )


def params(pairs: Pairs, name: str) -> list[str]:
    """All values of `name`, `name[]` and `name[0]`."""
    pattern = re.compile(rf"^{re.escape(name)}(?:\[\d*\])?$")
    return [value for key, value in pairs if pattern.match(key)]


def integers(values: Sequence[str]) -> set[int]:
    """Those of the values that are whole numbers; comma-separated ones, too."""
    return {int(v) for value in values for v in value.split(",") if re.fullmatch(r"-?\d+", v)}


def one(pairs: Pairs, name: str) -> int | None:
    """A number given once, None when it is absent or no number."""
    for key, value in pairs:
        if key == name and re.fullmatch(r"-?\d+", value):
            return int(value)
    return None


def page_and_limit(pairs: Pairs, most: int = MAX_LIMIT, default: int = DEFAULT_LIMIT) -> tuple[int, int]:
    """Page from 1, and records on it; more than the maximum falls back silently to the default."""
    limit = one(pairs, "limit")
    if limit is None or limit < 1 or limit > most:
        limit = default
    return max(1, one(pairs, "page") or 1), limit


class Unsupported(Exception):
    """This account answers 400 to such a filter."""


def select(store: Store, kind: Kind, pairs: Pairs, options: AccountOptions) -> list[int]:
    """The ids that a list request finds, in its order."""
    relevant = tuple(sorted((k, v) for k, v in pairs if k.startswith(("filter", "order", "query"))))
    return store.cached(kind, (relevant, options), lambda: _select(kind, relevant, options))


def _select(kind: Kind, pairs: Pairs, options: AccountOptions) -> list[int]:
    tests: list[Callable[[int], bool]] = []
    candidates: list[int] | None = None
    packaged = kind.name in CARDS
    filters = options.filter_package or not packaged
    wanted = integers(params(pairs, "filter[id]"))
    if wanted and (filters or options.id_filter_without_package == "honour"):
        candidates = sorted(i for i in wanted if kind.exists(i))
    if filters:
        narrowed = _by_parents(kind, pairs, options)
        if narrowed is not None:
            candidates = narrowed if candidates is None else sorted(set(candidates) & set(narrowed))
        tests += _tests(kind, pairs)
    low, high = _range(pairs, "updated_at") if filters else (None, None)
    scalar = one(pairs, "filter[updated_at]") if filters else None
    if scalar is not None:
        if packaged:
            return []  # a scalar matches nothing on entities; tasks and notes read it as "from then on"
        low = scalar
    ordered = _ordered(kind, candidates, pairs, low, high)
    if options.hidden_user is not None:
        tests.append(lambda i: not options.hides(kind, i))
    if query := params(pairs, "query"):
        tests.append(lambda i: query[0].lower() in str(kind.get(i)).lower())
    return [i for i in ordered if all(test(i) for test in tests)] if tests else ordered


def _range(pairs: Pairs, name: str) -> tuple[int | None, int | None]:
    return one(pairs, f"filter[{name}][from]"), one(pairs, f"filter[{name}][to]")


def _ordered(kind: Kind, ids: list[int] | None, pairs: Pairs, low: int | None, high: int | None) -> list[int]:
    """Candidates within a range of updated_at, in the order asked for; by id when none is (or it is not known)."""
    order = next(((k[6:-1], v) for k, v in pairs if re.fullmatch(r"order\[\w+\]", k)), None)
    allowed = _ORDERS.get(kind.name, ("updated_at", "id"))
    field, direction = order if order and order[0] in allowed else ("id", "asc")
    ranged = low is not None or high is not None
    if ids is None and (ranged or field == "updated_at"):
        keys = kind.by_time()
        start = bisect_left(keys, low << 40) if low is not None else 0
        end = bisect_right(keys, (high + 1 << 40) - 1) if high is not None else len(keys)
        found = [key & ((1 << 40) - 1) for key in keys[start:end]]
        if field != "updated_at":
            found.sort()
    elif ids is None:
        found = list(kind.ids)
    else:
        found = [
            i
            for i in ids
            if (low is None or kind.updated_at(i) >= low) and (high is None or kind.updated_at(i) <= high)
        ]
        if field == "updated_at":
            found.sort(key=lambda i: (kind.updated_at(i), i))
    if field in ("created_at", "complete_till"):
        found.sort(key=lambda i: (kind.get(i)[field], i))
    if direction == "desc":
        found.reverse()
    return found


def _by_parents(kind: Kind, pairs: Pairs, options: AccountOptions) -> list[int] | None:
    """Ids narrowed by parents where the filter is known, None where it is ignored."""
    parents = integers(params(pairs, "filter[entity_id]"))
    if kind.name.endswith("/notes") and parents:
        entity = kind.name.split("/")[0]
        return sorted(i for p in parents for i in kind.children_of(entity, p))
    if kind.name == "tasks":
        types = params(pairs, "filter[entity_type]")
        if parents and types:
            return sorted(i for p in parents for t in types for i in kind.children_of(t, p))
        if types:
            return [i for i in kind.ids if kind.parent(i)[0] in types]
    companies = integers(params(pairs, "filter[company_id]"))
    if kind.name in ("contacts", "leads") and companies and options.company_filter != "ignore":
        if options.company_filter == "400":
            raise Unsupported("filter.company_id")
        # A record of several companies is listed once.
        return sorted({i for p in companies for i in kind.children_of("companies", p)})
    return None


def _tests(kind: Kind, pairs: Pairs) -> list[Callable[[int], bool]]:
    tests: list[Callable[[int], bool]] = []
    users = integers(params(pairs, "filter[responsible_user_id]"))
    if users:
        tests.append(lambda i: kind.responsible(i) in users)
    note_types = set(params(pairs, "filter[note_type]"))
    if note_types and kind.name.endswith("/notes"):
        tests.append(lambda i: str(kind.get(i)["note_type"]) in note_types)
    completed = one(pairs, "filter[is_completed]")
    if completed is not None and kind.name == "tasks":
        tests.append(lambda i: kind.get(i)["is_completed"] == bool(completed))
    if kind.name in ENTITIES:
        low, high = _range(pairs, "created_at")
        if low is not None or high is not None:
            tests.append(lambda i: (low or 0) <= kind.get(i)["created_at"] <= (high or 1 << 40))
        names = set(params(pairs, "filter[name]"))
        if names:
            tests.append(lambda i: kind.get(i)["name"] in names)
        tests += _custom_field_tests(kind, pairs)
    if kind.name == "leads":
        pipelines = integers(params(pairs, "filter[pipeline_id]"))
        if pipelines:
            tests.append(lambda i: kind.get(i)["pipeline_id"] in pipelines)
    return tests


def _custom_field_tests(kind: Kind, pairs: Pairs) -> list[Callable[[int], bool]]:
    wanted: dict[int, set[str]] = {}
    for key, value in pairs:
        match = re.fullmatch(r"filter\[custom_fields_values\]\[(\d+)\](?:\[\d*\])?", key)
        if match:
            wanted.setdefault(int(match.group(1)), set()).add(value)

    def test(field_id: int, values: set[str]) -> Callable[[int], bool]:
        return lambda i: bool(_field_values(kind.get(i), field_id) & values)

    return [test(field_id, values) for field_id, values in wanted.items()]


def _field_values(record: Record, field_id: int) -> set[str]:
    found: set[str] = set()
    for field in record.get("custom_fields_values") or ():
        if field["field_id"] == field_id:
            for value in field["values"] or ():
                found |= {str(value.get("value")), str(value.get("enum_id"))}
    return found


def as_asked(store: Store, kind: Kind, record: Record, with_: set[str], base_url: str) -> Record:
    """The record with what `with` names, and its link."""
    shown = dict(record)
    if "/" not in kind.name:
        shown["_links"] = {"self": {"href": f"{base_url}/api/v4/{kind.name}/{record['id']}"}}
    else:
        entity, entity_id = kind.parent(record["id"])
        parent = f"{entity}/{entity_id}" if entity_id is not None or store.plain else entity
        shown["_links"] = {"self": {"href": f"{base_url}/api/v4/{parent}/notes/{record['id']}"}}
    if kind.name in CARDS:
        shown["_embedded"] = _embedded(store, kind, record, with_, base_url)
        if kind.name == "leads" and not store.plain:
            for name in ("source_id", "is_price_modified_by_robot"):
                if name not in with_:
                    shown.pop(name, None)
    return shown


_ALWAYS = {
    "companies": {"tags"},
    "contacts": {"tags", "companies"},
    "leads": {"tags", "companies"},
    "customers": {"tags"},
}
_LINKED = {
    "contacts": "contacts",
    "companies": "companies",
    "leads": "leads",
    "customers": "customers",
    "segments": "customers/segments",
    "loss_reason": "leads/loss_reasons",
}


def _embedded(store: Store, kind: Kind, record: Record, with_: set[str], base_url: str) -> Any:
    source = record.get("_embedded")
    if not source and not store.plain and "_embedded" in record and not (with_ and kind.name == "companies"):
        return source
    shown = {key: value for key, value in (source or {}).items() if key in _ALWAYS[kind.name] | with_}
    if kind.name == "companies" and with_ & {"contacts", "leads"}:
        shown |= {k: v for k, v in store.linked("companies", [record["id"]])[record["id"]].items() if k in with_}
    if not store.plain:
        for key in _LINKED.keys() & shown.keys():
            path = f"{base_url}/api/v4/{_LINKED[key]}/"
            entries = shown[key]
            if isinstance(entries, list):
                shown[key] = [{**e, "_links": {"self": {"href": f"{path}{e['id']}"}}} for e in entries]
            elif entries:
                shown[key] = {**entries, "_links": {"self": {"href": f"{path}{entries['id']}"}}}
    return shown
