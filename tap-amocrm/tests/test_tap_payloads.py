"""Payloads in the shapes that accounts send: they fit their SCHEMA, their text is clean, nothing of them is lost."""

from __future__ import annotations

import copy
import re
from collections import Counter
from pathlib import Path

import jsonschema
import pytest
from payload_account import payload_account, read_account, read_payloads

from tap_amocrm.declarations import BY_NAME

LISTS = read_payloads(Path(__file__).parent / "data" / "payloads")
CHECKER = jsonschema.FormatChecker()
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@CHECKER.checks("date-time")
def is_rfc3339(value):
    return not isinstance(value, str) or bool(RFC3339.fullmatch(value))


@pytest.fixture(scope="module")
def messages():
    with payload_account(LISTS) as account:
        return read_account(account.url)


def came(messages, stream):
    return {m["record"]["id"]: m["record"] for m in messages if m["type"] == "RECORD" and m["stream"] == stream}


def with_account(**changes):
    """The lists with changes at the top level of the account."""
    return {**LISTS, "account": [{**copy.deepcopy(LISTS["account"][0]), **changes}]}


def zone_of(lists, caplog):
    with payload_account(lists) as account:
        schema = next(m for m in read_account(account.url, everything=False) if m["type"] == "SCHEMA")
    return schema["schema"]["x-amocrm-account"]["timezone"], "no time zone" in caplog.text


def test_every_record_validates_against_its_schema(messages):
    schemas, checked = {}, set()
    for message in messages:
        if message["type"] == "SCHEMA":
            schemas[message["stream"]] = jsonschema.Draft7Validator(message["schema"], format_checker=CHECKER)
        elif message["type"] == "RECORD":
            stream, record = message["stream"], message["record"]
            faults = [(list(e.path), e.message) for e in schemas[stream].iter_errors(record)]
            assert faults == [], (stream, record["id"])
            checked.add(stream)
    # Streams of links and files have their own tests; the payloads hold none of these.
    assert {stream for stream in schemas if not BY_NAME[stream].derived} - {"files"} <= checked


ODD = ["договорная", "17.05.1990", "1_000", "", 1.5, 10**30, -1, True, [], ["x"], {"a": 1}]
# Which records come, and in which order, goes by these.
ORDERING = {"id", "updated_at", "is_deleted"}


def with_odd_cells(name):
    """Records of a list, each with another value instead of one scalar."""
    template = next(r for r in LISTS[name] if not r.get("is_deleted"))
    scalars = [key for key, value in template.items() if not isinstance(value, (dict, list)) and key not in ORDERING]
    cells = [(key, value) for key in scalars for value in ODD]
    return [{**copy.deepcopy(template), "id": 900_000 + n, key: value} for n, (key, value) in enumerate(cells)]


def strict_faults(messages):
    """What does not validate against the last SCHEMA before it; how many records did, by stream."""
    validators, good, faults = {}, Counter(), []
    for message in messages:
        stream = message.get("stream")
        if message["type"] == "SCHEMA":
            validators[stream] = jsonschema.Draft7Validator(message["schema"], format_checker=CHECKER)
        elif message["type"] == "RECORD":
            found = [(stream, list(e.path), e.message) for e in validators[stream].iter_errors(message["record"])]
            faults += found
            good[stream] += not found
    return faults, good


@pytest.mark.parametrize("options", [{}, {"stream_maps": {"leads": {"same": "str(name)"}, "__else__": None}}])
def test_records_with_odd_cells_validate_against_the_schema_before_them(options):
    names = ("companies", "contacts", "leads", "tasks", "leads/notes")
    lists = {**LISTS, **{name: [*LISTS[name], *with_odd_cells(name)] for name in names}}
    with payload_account(lists) as account:
        faults, good = strict_faults(read_account(account.url, **options))
    assert faults == []
    assert good["leads"] > 100


def types_of(messages, stream, name):
    schemas = [m["schema"]["properties"][name] for m in messages if m["type"] == "SCHEMA" and m["stream"] == stream]
    return [sorted(schema["type"]) for schema in schemas]


def test_a_schema_grows_wider_by_the_type_that_came_and_by_no_other():
    lead = {**copy.deepcopy(LISTS["leads"][0]), "id": 900_000, "price": "договорная"}
    with payload_account({**LISTS, "leads": [*LISTS["leads"], lead]}) as account:
        messages = read_account(account.url)
    assert types_of(messages, "leads", "price")[-1] == ["null", "number", "string"]
    assert types_of(messages, "leads", "status_id")[-1] == ["integer", "null"]
    (came_as,) = [m["record"]["price"] for m in messages if m.get("record", {}).get("id") == 900_000]
    assert came_as == "договорная"


def test_a_schema_stays_as_declared_where_all_values_fit():
    with payload_account(LISTS) as account:
        messages = read_account(account.url)
    assert types_of(messages, "leads", "price") == [["null", "number"]]


def test_every_schema_is_one(messages):
    for message in messages:
        if message["type"] == "SCHEMA":
            jsonschema.Draft7Validator.check_schema(message["schema"])


def test_every_property_that_a_payload_has_is_in_its_schema(messages):
    """Loaders that make a table of the schema drop what it does not name."""
    schemas = {m["stream"]: set(m["schema"]["properties"]) for m in messages if m["type"] == "SCHEMA"}
    for message in messages:
        if message["type"] == "RECORD":
            assert set(message["record"]) <= schemas[message["stream"]]


def test_text_leaves_without_nul_and_lone_surrogates(messages):
    texts = repr([m for m in messages if m["type"] == "RECORD"])
    assert "\\x00" not in texts
    assert "\\ud8" not in texts
    assert came(messages, "companies")[51000003]["name"] == "NUL  и половина \ufffd пары"
    assert {"text": "<b>&amp;</b>", "k": "\ufffd"} in [n["params"] for n in came(messages, "notes").values()]


def test_raw_text_keeps_nul_and_lone_surrogates():
    with payload_account(LISTS) as account:
        messages = read_account(account.url, raw_text=True)
    assert came(messages, "companies")[51000003]["name"] == "NUL \x00 и половина \ud83d пары"


def test_a_stream_map_may_hash_any_text():
    maps = {"companies": {"hash": "md5(str(name))"}, "__else__": None}
    with payload_account(LISTS) as account:
        messages = read_account(account.url, everything=False, stream_maps=maps)
    assert all(len(record["hash"]) == 32 for record in came(messages, "companies").values())


def test_task_types_are_those_of_the_account_and_cost_no_request(messages):
    types = came(messages, "task_types")
    assert types[3120457] == {
        "id": 3120457, "account_id": 40551977, "name": "Замер окна", "code": None, "color": "FFCE5A", "icon_id": 5,
    }  # fmt: skip
    assert [types[1]["name"], types[1]["code"]] == ["Связаться", "FOLLOW_UP"]
    (schema,) = [m for m in messages if m["type"] == "SCHEMA" and m["stream"] == "task_types"]
    assert schema["key_properties"] == ["account_id", "id"]
    with payload_account(LISTS) as account:
        assert came(read_account(account.url, everything=False), "task_types") == types
        assert len([path for path in account.asked if "task_types" in path]) == 1


def test_leads_carry_their_cents_and_the_name_of_a_reason_that_no_list_shows(messages):
    leads = came(messages, "leads")
    assert leads[71000001]["price_with_minor_units"] == 1250.75
    assert leads[71000002]["_embedded"]["loss_reason"][0]["name"] == "Закрыли цех"
    assert 6199999 not in came(messages, "loss_reasons")


def test_identifiers_of_other_systems_stay_text_or_number(messages):
    fields, catalogs, sources = (came(messages, s) for s in ("custom_fields", "catalogs", "sources"))
    assert [fields[880003]["search_in"], fields[880004]["search_in"]] == [7001, "contacts"]
    assert [catalogs[7002]["sdk_widget_code"], catalogs[7003]["sdk_widget_code"]] == [17, "widget"]
    assert [sources[15001]["external_id"], sources[15002]["external_id"]] == [777, "chat-1"]


def test_the_time_zone_is_that_of_the_settings_of_dates(caplog):
    assert zone_of(LISTS, caplog) == ("Asia/Omsk", False)


@pytest.mark.parametrize(
    "changes",
    [
        {"_embedded": [], "timezone": "Asia/Yekaterinburg"},
        {"_embedded": None, "datetime_settings": {"timezone": "Asia/Yekaterinburg"}},
        {"_embedded": {"timezone": "Asia/Yekaterinburg", "datetime_settings": []}},
        {"_embedded": {"datetime_settings": {"timezone": None}}, "timezone": "Asia/Yekaterinburg"},
    ],
)
def test_the_time_zone_is_found_wherever_the_account_names_it(changes, caplog):
    assert zone_of(with_account(**changes), caplog) == ("Asia/Yekaterinburg", False)


def test_an_account_with_an_offset_alone_has_the_zone_of_the_offset(caplog):
    changes = {"_embedded": {"datetime_settings": {"timezone_offset": "+05:00"}}}
    assert zone_of(with_account(**changes), caplog) == ("Etc/GMT-5", False)


def test_an_account_without_a_time_zone_is_warned_of(caplog):
    assert zone_of(with_account(_embedded=[]), caplog) == ("UTC", True)
    assert caplog.text.count("no time zone") == 1


def test_an_answer_without_an_account_id_is_one_clear_error():
    with (
        payload_account(with_account(id=None)) as account,
        pytest.raises(Exception, match=r"/api/v4/account gave no usable answer after 3 tries \(a body whose ID"),
    ):
        read_account(account.url)
