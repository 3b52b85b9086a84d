"""custom_fields: columns - a property for each custom field, whose name stays when the field is renamed."""

from __future__ import annotations

import json
import subprocess
from datetime import timezone
from zoneinfo import ZoneInfo

import pytest

from tap_amocrm.api.field_columns import Columns, column_name

COLUMNS = {"custom_fields": "columns"}
LEADS = "leads/custom_fields"


def columns(output, stream):
    """The columns in a stream's last SCHEMA, in their order."""
    schema = [m["schema"] for m in output.schemas if m["stream"] == stream][-1]
    return {name: p for name, p in schema["properties"].items() if name.startswith("cf_")}


def definitions(tap, kind="leads"):
    """The account's own list of fields, to be changed in place."""
    return tap.sim.simulator.store.statics[f"{kind}/custom_fields"]


def define(tap, field_id, name, kind="text", code=None):
    definitions(tap).append({**definitions(tap)[0], "id": field_id, "name": name, "type": kind, "code": code})


def fill(tap, field_id, name, value, kind="text"):
    """Give the first lead a value."""
    lead = min(tap.sim.truth("leads"))
    field = {"field_id": field_id, "field_name": name, "field_code": None, "field_type": kind}
    fields = [{**field, "values": [{"value": value}]}]
    tap.sim.change("update", kind="leads", ids=[lead], fields={"custom_fields_values": fields})
    return lead


def fields_of(record):
    return {f["field_id"]: f["values"] for f in record["custom_fields_values"] or ()}


def test_every_custom_field_is_a_column_of_its_kind_in_each_record(start):
    tap = start(companies=40, leads=40)
    output = tap.run(**COLUMNS)
    assert output.code == 0, output.log
    for kind in ("companies", "contacts", "leads"):
        found = columns(output, kind)
        assert len(found) == len(definitions(tap, kind))
        for record in output.records[kind].values():
            assert "custom_fields_values" not in record
            assert found.keys() <= record.keys()
    companies = columns(output, "companies")
    assert companies["cf_phone"]["items"] == {"type": ["string", "null"]}
    assert companies["cf_osnovana"]["format"] == "date"
    assert companies["cf_ploshchad_m2"] == {"type": ["number", "null"], "title": "Площадь, м²"}
    for identity, record in tap.sim.truth("companies").items():
        sent, values = output.records["companies"][identity], fields_of(record)
        phones = [str(v["value"]) for v in values.get(700_002, [])]
        assert sent["cf_phone"] == (phones or (None if 700_002 not in values else []))
        assert sent["cf_filial"] == (values[700_010][0]["value"] if values.get(700_010) else None)
        assert sent["cf_rekvizity"] == ([v["value"] for v in values[700_038]] if 700_038 in values else None)
    assert "don't fit its type" in output.log  # a discount of «до 15»
    # The definitions are read once, for the columns and for their own stream.
    assert tap.sim.stats["by_path"][f"/api/v4/{LEADS}"] == 1


def test_a_renamed_field_keeps_its_column_a_deleted_one_stays_and_a_new_one_follows(start):
    tap = start(companies=3, leads=3)
    first = tap.run(**COLUMNS)
    before = list(columns(first, "leads"))
    renamed, gone = definitions(tap)[4], definitions(tap)[5]
    assert (renamed["name"], gone["name"]) == ("Тип сделки", "Пожелания")
    renamed["name"] = "Вид продажи"
    definitions(tap).remove(gone)
    define(tap, 702_900, "Тип сделки")
    lead = fill(tap, renamed["id"], "Вид продажи", "Опт", "select")
    second = tap.run(first.state, **COLUMNS, definitions_lifetime=0)
    assert list(columns(second, "leads")) == [*before, "cf_tip_sdelki_702900"]
    assert second.records["leads"][lead]["cf_tip_sdelki"] == "Опт"
    assert columns(second, "leads")["cf_tip_sdelki"]["title"] == "Вид продажи"
    assert second.records["leads"][lead]["cf_pozhelaniya"] is None


def test_fields_of_one_name_and_fields_named_like_properties_have_columns_of_their_own(start):
    tap = start(companies=3, leads=3)
    for number, name in enumerate(("Бюджет", "Бюджет", "price", "id", "Price", "№", "!")):
        define(tap, 702_900 + number, name)
    lead = fill(tap, 702_901, "Бюджет", "второй")
    output = tap.run(**COLUMNS)
    added = list(columns(output, "leads"))[6:]
    assert added == [
        "cf_byudzhet", "cf_byudzhet_702901", "cf_price", "cf_id", "cf_price_702904", "cf_no", "cf_702906",
    ]  # fmt: skip
    record = output.records["leads"][lead]
    assert (record["id"], record["cf_id"]) == (lead, None)
    assert record["cf_byudzhet"] is None
    assert record["cf_byudzhet_702901"] == "второй"


def test_a_field_that_turns_up_while_the_definitions_are_good_gets_its_column_before_its_record(start):
    tap = start(companies=3, leads=3)
    first = tap.run(**COLUMNS)
    define(tap, 702_900, "Новое поле", "numeric")
    lead = fill(tap, 702_900, "Новое поле", "7.5", "numeric")
    second = tap.run(first.state, **COLUMNS)
    kinds = [m["type"] for m in second.messages if m.get("stream") == "leads"]
    assert kinds == ["SCHEMA", "SCHEMA", "RECORD"]
    assert columns(second, "leads")["cf_novoe_pole"]["type"] == ["number", "null"]
    assert second.records["leads"][lead]["cf_novoe_pole"] == 7.5
    third = tap.run(second.state, **COLUMNS)
    assert "cf_novoe_pole" in columns(third, "leads")


def test_an_incremental_run_brings_what_changed_and_a_deletion_leaves_columns_out(start):
    tap = start(companies=5, leads=10)
    first = tap.run(**COLUMNS)
    changed, gone = sorted(tap.sim.truth("leads"))[:2]
    fill(tap, 702_005, "Пожелания", "Срочно")
    tap.sim.change("delete", kind="leads", ids=[gone])
    second = tap.run(first.state, **COLUMNS)
    assert second.ids("leads") == {changed, gone}
    assert second.records["leads"][changed]["cf_pozhelaniya"] == "Срочно"
    assert not [name for name in second.records["leads"][gone] if name.startswith("cf_")]
    assert second.records["leads"][gone]["is_deleted"] is True


def test_switching_between_array_and_columns_reads_these_streams_again(start):
    tap = start(companies=3, leads=3)
    first = tap.run()
    second = tap.run(first.state, **COLUMNS)
    assert second.ids("leads") == set(tap.sim.truth("leads"))
    assert not second.ids("notes")
    third = tap.run(second.state)
    assert all("custom_fields_values" in record for record in third.records["leads"].values())
    assert third.ids("leads") == set(tap.sim.truth("leads"))


def discovered(tap, **settings):
    done = subprocess.run([*tap.command(**settings), "--discover"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_a_column_can_be_deselected_and_names_of_the_state_win_over_those_of_a_newer_catalog(start):
    tap = start(companies=3, leads=3)
    first = tap.run(**COLUMNS)
    definitions(tap)[5]["name"] = "Особые пожелания"
    catalog = discovered(tap, **COLUMNS)
    (entry,) = [s for s in catalog["streams"] if s["tap_stream_id"] == "leads"]
    assert {"cf_osobye_pozhelaniya", "cf_skidka"} <= entry["schema"]["properties"].keys()
    assert "custom_fields_values" not in entry["schema"]["properties"]
    for part in entry["metadata"]:
        part["metadata"]["selected"] = part["breadcrumb"] != ["properties", "cf_skidka"]
    file = tap.folder / "catalog.json"
    file.write_text(json.dumps({"streams": [entry]}))
    lead = fill(tap, 702_005, "Особые пожелания", "Срочно")
    second = tap.run(first.state, "--catalog", str(file), **COLUMNS)
    assert second.code == 0, second.log
    found = columns(second, "leads")
    assert "cf_pozhelaniya" in found
    assert not {"cf_skidka", "cf_osobye_pozhelaniya"} & found.keys()
    record = second.records["leads"][lead]
    assert record["cf_pozhelaniya"] == "Срочно"
    assert "cf_skidka" not in record


def test_a_stream_map_sees_the_columns(start):
    tap = start(companies=3, leads=3)
    lead = fill(tap, 702_005, "Пожелания", "Срочно")
    maps = {"leads": {"id": "id", "account_id": "account_id", "wish": "str(cf_pozhelaniya)", "__else__": None}}
    output = tap.run(stream_maps=maps, **COLUMNS)
    assert output.code == 0, output.log
    assert output.records["leads"][lead]["wish"] == "Срочно"


def test_fields_of_goods_are_known_by_the_goods_themselves(start):
    tap = start()
    catalog = discovered(tap)
    for stream in catalog["streams"]:
        (root,) = [p["metadata"] for p in stream["metadata"] if not p["breadcrumb"]]
        root["selected"] = stream["tap_stream_id"] == "catalog_elements"
    file = tap.folder / "catalog.json"
    file.write_text(json.dumps(catalog))
    output = tap.run(None, "--catalog", str(file), **COLUMNS)
    assert list(columns(output, "catalog_elements")) == ["cf_sku", "cf_price"]
    prices = {r.get("cf_price") for r in output.records["catalog_elements"].values()}
    assert 20.5 in prices


def test_a_state_whose_columns_cannot_be_read_is_refused(start):
    output = start(companies=1).run({"tap_amocrm": {"columns": {"leads": {"702001": "cf_skidka"}}}}, **COLUMNS)
    assert output.code == 1
    assert "tap_amocrm.columns" in output.log
    assert "[E_STATE]" in output.log


def test_a_wrong_word_is_refused_with_the_right_ones(start):
    output = start(companies=1).run(custom_fields="rows")
    assert output.code == 1
    assert "custom_fields" in output.log
    assert "array" in output.log


@pytest.mark.parametrize(
    ("code", "name", "expected"),
    [
        ("", "Ставка НДС, %", "cf_stavka_nds"),
        ("UTM_SOURCE", "Источник", "cf_utm_source"),
        ("", "Пользовательское соглашение", "cf_polzovatelskoe_soglashenie"),
        ("", "   ", "cf_7"),
        ("", "x" * 200, f"cf_{'x' * 40}"),
        ("", "taken", "cf_taken_7"),
    ],
)
def test_a_column_is_named_in_latin_letters(code, name, expected):
    assert column_name(code, name, 7, {"cf_taken"}) == expected


@pytest.mark.parametrize(
    ("kind", "values", "expected"),
    [
        ("text", [7], "7"),
        ("select", ["Опт", "Розница"], "Опт, Розница"),
        ("multiselect", ["Опт", "Розница"], ["Опт", "Розница"]),
        ("multitext", [79_000_000_001], ["79000000001"]),
        ("monetary", ["1500.50"], 1500.5),
        ("numeric", [0], 0),
        ("numeric", ["до 15"], None),
        ("numeric", [1, 2], None),
        ("checkbox", [False], False),
        ("checkbox", ["1"], True),
        # Midnight in Moscow is the evening before in UTC.
        ("date", [1_767_214_800], "2026-01-01"),
        ("birthday", ["-128919600"], "1965-12-01"),
        ("date", ["2026-03-15T00:00:00+03:00"], "2026-03-15"),
        ("date", ["весной"], None),
        ("date_time", ["1767214800"], "2025-12-31T21:00:00+00:00"),
        ("date_time", ["2026-03-15T00:00:00+03:00"], "2026-03-15T00:00:00+03:00"),
        ("a kind of tomorrow", ["a", {"b": 1}], ["a", {"b": 1}]),
    ],
)
def test_a_value_has_the_type_of_its_column(kind, values, expected):
    known = Columns("leads", {}, ZoneInfo("Europe/Moscow"))
    known.define({"id": 1, "name": "f", "type": kind})
    record = {"custom_fields_values": [{"field_id": 1, "values": [{"value": v} for v in values]}]}
    assert known.flatten([record]) is False
    assert record == {"cf_f": expected}


@pytest.mark.parametrize("fields", [None, [], "", False, {}])
def test_a_record_without_values_has_empty_columns(fields):
    known = Columns("leads", {}, timezone.utc)
    known.define({"id": 1, "name": "f", "type": "text"})
    record = {"custom_fields_values": fields}
    known.flatten([record])
    assert record == {"cf_f": None}
