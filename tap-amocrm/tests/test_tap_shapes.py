"""Whatever shape a record has, the run continues, and what the tap does not understand is passed on as received."""

from __future__ import annotations

import copy
import logging
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from payload_account import PayloadAccount, read_account, read_payloads

from tap_amocrm.api.conform import Conformer
from tap_amocrm.api.records import rfc3339
from tap_amocrm.declarations.entities import with_company
from tap_amocrm.http.clean_text import clean
from tap_amocrm.shapes import items, whole

LISTS = read_payloads(Path(__file__).parent / "data" / "payloads")
logging.getLogger("singer_sdk").setLevel(logging.WARNING)
STREAMS = {
    "users": "users",
    "companies": "companies",
    "contacts": "contacts",
    "leads": "leads",
    "leads/notes": "notes",
    "tasks": "tasks",
    "leads/pipelines": "pipelines",
    "companies/custom_fields": "custom_fields",
    "events": "events",
    "customers": "customers",
    "catalogs": "catalogs",
    "leads/unsorted": "unsorted",
}
# Own properties that the tap gives another form; all others must come as they are.
SHAPED = {"result", "entity_type", "company_id"}
CONTAINERS = {"custom_fields_values", "_embedded", "_links", "params", "rights", "enums", "value_after", "value_before"}
TEXT = st.text(st.characters(exclude_categories=()), max_size=5)
KEYS = st.sampled_from(["0", "1", "id", "value"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.integers(0, 3) | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT | st.sampled_from(["", "0", "1", "-5", "17.05.1990", "2026-01-31T10:00:00Z", 10**30, 1_780_000_000_000]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT | KEYS, inner, max_size=3),
    max_leaves=6,
)  # fmt: skip


def places(value, path=()):
    """The paths of everything in a document, the document itself aside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inner:
        yield (*path, key)
        yield from places(item, (*path, key))


PLACES = [(name, n, path) for name in STREAMS for n, r in enumerate(LISTS[name]) for path in places(r)]
PLACES += [("account", 0, path) for path in places(LISTS["account"][0]) if path != ("id",)]


def put(lists, place, value):
    """The lists with a value instead of another."""
    name, number, path = place
    record = copy.deepcopy(lists[name][number])
    holder = record
    for key in path[:-1]:
        holder = holder[key]
    holder[path[-1]] = value
    changed = list(lists[name])
    changed[number] = record
    return {**lists, name: changed}, record


@pytest.fixture(scope="module")
def account():
    served = PayloadAccount(LISTS)
    yield served
    served.close()


class Messages(list):
    """Many messages; a failing test does not print them."""

    def __repr__(self):
        return f"<{len(self)} messages>"


@pytest.fixture(scope="module")
def whole_run(account):
    """The messages of a run with nothing odd beyond what the payloads hold."""
    account.lists = LISTS
    return Messages(read_account(account.url))


def earlier(state):
    """A state from which everything is read once more as a change."""
    state = copy.deepcopy(state)
    for bookmark in state["bookmarks"].values():
        if bookmark.get("replication_key_value"):
            bookmark |= {"replication_key_value": "2001-01-01T00:00:00+00:00", "seen": [], "walked": None}
    return state


def came(messages, stream):
    """The records of a stream, without the last versions of deleted ones."""
    records = [m["record"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream]
    return [r for r in records if "_sdc_deleted_at" not in r]


def check(account, whole_run, place, value, **options):
    """One run over an account with one odd value: it ends well, the odd record and all others come."""
    account.lists, record = put(LISTS, place, value)
    if options.pop("no_filters", False):
        account.lists = {**account.lists, "account": [{**account.lists["account"][0], "is_api_filter_enabled": False}]}
    state = earlier(whole_run[-1]["value"]) if options.pop("incremental", False) else None
    messages = read_account(account.url, state, **options)
    assert messages[-1]["value"]["amocrm_run"]["complete"]
    stream = STREAMS.get(place[0])
    if stream is None or options:
        return
    before = {str(r["id"]) for r in came(whole_run, stream)}
    records = came(messages, stream)
    if place[2][0] in ("id", "uid", "updated_at", "created_at", "account_id"):
        return
    if state is None or stream not in ("users", "custom_fields"):
        assert {str(r["id"]) for r in records} == before
        key = str(record.get("id", record.get("uid")))
        (odd, *_) = [r for r in records if str(r["id"]) == key]
        for name in CONTAINERS & record.keys():
            assert odd[name] == clean(copy.deepcopy(record[name])), name


# Each of these goes another way through the tap.
WAYS = [
    {},
    {"incremental": True},
    {"no_filters": True},
    {"without": "name"},
    {"stream_maps": {"companies": {"same": "str(name)"}, "__else__": None}},
]


@settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(PLACES), JSON, st.sampled_from(WAYS))
def test_any_value_in_any_place_of_any_record_is_survived(account, whole_run, place, value, options):
    check(account, whole_run, place, value, **options)


SCOPED = ("companies", "contacts", "leads", "tasks", "leads/notes", "events")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.sampled_from([place for place in PLACES if place[0] in SCOPED]),
    JSON,
    st.booleans(),
)
def test_any_value_in_any_place_is_survived_with_a_scope(account, whole_run, place, value, incremental):
    scope = {"responsible_user_ids": [8200001], "everything": False}
    check(account, whole_run, place, value, incremental=incremental, **scope)


EMBEDDED = ("contacts", 1, ("_embedded",))
FIELDS = ("companies", 1, ("custom_fields_values",))


@pytest.mark.parametrize("incremental", [False, True])
@pytest.mark.parametrize(
    ("place", "value"),
    [
        *((FIELDS, odd) for odd in (None, [None, {"field_id": 1, "values": [{"value": "x"}]}], ["x"])),
        *((FIELDS, odd) for odd in ("x", {}, 5, False)),
        (FIELDS, {"0": {"field_id": 880001, "values": {"0": {"value": "x"}}}}),
        ((*FIELDS[:2], ("custom_fields_values", 0, "field_id")), [880001]),
        ((*FIELDS[:2], ("custom_fields_values", 0, "values")), False),
        *((EMBEDDED, odd) for odd in (None, [], "x", 7, False, {"companies": {}}, {"companies": 5})),
        (("contacts", 1, ("id",)), None),
        (("companies", 1, ("id",)), [1]),
        (("companies", 1, ("responsible_user_id",)), {"id": 1}),
        (("events", 2, ("type",)), ["company_deleted"]),
        (("events", 4, ("value_after",)), 5),
        (("events", 2, ("created_at",)), "yesterday"),
        (("leads", 0, ("updated_at",)), {"date": 1}),
        (("account", 0, ("_embedded",)), []),
        (("account", 0, ("_embedded", "task_types")), "x"),
    ],
)  # fmt: skip
def test_odd_values_that_were_seen_or_may_come_are_survived(account, whole_run, place, value, incremental):
    check(account, whole_run, place, value, incremental=incremental)


def test_entries_of_a_list_that_are_not_objects_are_left_out_with_a_warning(account, caplog):
    account.lists = {**LISTS, "leads": [None, *LISTS["leads"], "x"]}
    messages = read_account(account.url)
    assert len(came(messages, "leads")) == len(LISTS["leads"])
    assert "leads holds entries that are not objects" in caplog.text


def test_a_record_without_an_id_is_passed_on(account):
    account.lists = {**LISTS, "contacts": [*LISTS["contacts"], {"name": "Без номера", "updated_at": 1_780_000_000}]}
    names = [r.get("name") for r in came(read_account(account.url), "contacts")]
    assert "Без номера" in names


def test_a_company_link_that_cannot_be_read_is_not_an_empty_one():
    assert with_company({"_embedded": {"companies": []}})["company_id"] is None
    assert with_company({"_embedded": {"companies": {"0": {"id": "5"}}}})["company_id"] == 5
    for embedded in ("x", 5, True, {"companies": "5"}, {"companies": [5]}):
        assert "company_id" not in with_company({"_embedded": embedded})


@pytest.mark.parametrize(
    ("value", "time"),
    [
        (1_780_000_000, "2026-05-28T20:26:40+00:00"),
        ("1780000000", "2026-05-28T20:26:40+00:00"),
        (1_780_000_000_000, "2026-05-28T20:26:40+00:00"),
        (1_780_000_000.0, "2026-05-28T20:26:40+00:00"),
        (-128_926_800, "1965-11-30T19:00:00+00:00"),
        ("2026-05-28T20:26:40Z", "2026-05-28T20:26:40Z"),
        (-62_169_984_000, None),
        (0, None),
        ("", None),
        (False, None),
        ({"date": 1}, {"date": 1}),
        (10**30, 10**30),
    ],
)
def test_times_of_the_api(value, time):
    assert rfc3339(value) == time


@pytest.mark.parametrize(
    ("kind", "value", "expected"),
    [
        ("integer", "15", 15), ("integer", 15.0, 15), ("integer", "15a", "15a"), ("integer", "", None),
        ("integer", False, None), ("integer", True, True), ("integer", [], None), ("integer", [1], [1]),
        ("number", "46333.10", 46333.1), ("number", "46333", 46333), ("number", "1_000", "1_000"),
        ("number", "nan", "nan"), ("number", "-0.5", -0.5), ("number", "1 250", "1 250"), ("number", 0.1, 0.1),
        ("boolean", 1, True), ("boolean", "0", False), ("boolean", 2, 2), ("boolean", "", None), ("boolean", 1.0, True),
        ("string", 5, "5"), ("string", False, None), ("string", [], None), ("string", "", ""),
        ("string", {"a": 1}, {"a": 1}),
    ],
)  # fmt: skip
def test_scalars_are_brought_to_the_type_of_the_schema(kind, value, expected):
    record = {"x": value}
    Conformer({"properties": {"x": {"type": [kind, "null"]}}})([record])
    assert record["x"] == expected
    assert type(record["x"]) is type(expected)


@given(JSON)
@example(float(2**70))
def test_reading_any_value_never_raises(value):
    assert whole(value) is None or abs(whole(value)) <= 1 << 63
    assert all(isinstance(item, dict) for item in items(value))
    clean(copy.deepcopy(value))
    rfc3339(value)
