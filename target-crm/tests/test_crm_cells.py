"""A value that its column can't take: the cell stays as it was, a warning says so, the rest of the record is merged."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ADMIN = str(Path(sys.executable).parent / "target-crm-admin")


def open_warnings(crm):
    return crm.execute(
        "SELECT stream, amo_id, table_name, column_name, value, code FROM sync_warnings WHERE resolved_at IS NULL "
        "ORDER BY amo_id, column_name"
    )


def test_the_cell_and_its_base_stay_and_the_rest_is_merged(crm):
    crm.sync("leads", {"id": 1, "price": 100, "name": "Поставка"})
    counts = crm.sync("leads", {"id": 1, "price": "сто", "name": "Поставка 2"})
    row = crm.row("leads")
    assert (row["price"], row["name"]) == (100, "Поставка 2")
    assert row["raw_fields"]["amo_values"]["price"] == 100
    assert row["raw_fields"]["amo"]["price"] == "сто"
    assert (counts["updated"], counts["warnings"], counts["rejected"]) == (1, 1, 0)
    assert open_warnings(crm) == [
        {
            "stream": "leads",
            "amo_id": 1,
            "table_name": "leads",
            "column_name": "price",
            "value": "сто",
            "code": "W_NOT_A_NUMBER",
        }
    ]
    assert crm.execute("SELECT row_id FROM sync_warnings")[0]["row_id"] == str(row["id"])


def test_an_edit_by_hand_is_compared_with_the_last_good_value(crm):
    crm.sync("leads", {"id": 1, "price": 100})
    crm.execute("UPDATE leads SET price = 150")
    crm.sync("leads", {"id": 1, "price": "сто"})
    crm.sync("leads", {"id": 1, "price": 100})
    assert crm.row("leads")["price"] == 150
    assert crm.conflicts() == []


def test_a_cell_has_one_open_warning_however_often_it_comes_and_the_next_good_value_closes_it(crm):
    for price in ("сто", "двести", "двести"):
        crm.sync("leads", {"id": 1, "price": price})
    (warning,) = open_warnings(crm)
    assert warning["value"] == "двести"
    crm.sync("leads", {"id": 1, "price": 200})
    assert open_warnings(crm) == []
    assert crm.execute("SELECT count(*) AS n FROM sync_warnings") == [{"n": 1}]
    assert crm.row("leads")["price"] == 200


def test_a_value_that_is_cleared_in_amocrm_closes_the_warning_and_one_that_does_not_come_leaves_it(crm):
    crm.sync("leads", {"id": 1, "price": "сто"}, {"id": 2, "price": "сто"})
    crm.sync("leads", {"id": 1, "price": None}, {"id": 2, "name": "Без цены"})
    assert [w["amo_id"] for w in open_warnings(crm)] == [2]


def test_an_unchanged_record_with_a_bad_value_costs_no_write_and_stays_warned_of(crm):
    record = {"id": 1, "price": "сто", "updated_at": "2026-01-01T00:00:00Z"}
    crm.sync("leads", record)
    version = crm.execute("SELECT xmin::text FROM leads")
    crm.sync("leads", record)
    assert crm.execute("SELECT xmin::text FROM leads") == version
    assert len(open_warnings(crm)) == 1


BAD = {
    "an integer": ("companies", "EMPLOYEES_COUNT", "51-100", "employees_count", "W_NOT_A_WHOLE_NUMBER"),
    "a range": ("companies", "EMPLOYEES_COUNT", 10**30, "employees_count", "W_OUT_OF_RANGE"),
}


@pytest.mark.parametrize("case", BAD.values(), ids=BAD)
def test_a_custom_field_that_does_not_fit_costs_its_column_alone(crm, custom_field, case):
    stream, field, value, column, code = case
    crm.sync(stream, {"id": 1, "name": "ООО", "custom_fields_values": [custom_field(field, value)]})
    assert crm.row(stream)["name"] == "ООО"
    assert [(w["column_name"], w["code"]) for w in open_warnings(crm)] == [(column, code)]


@pytest.mark.parametrize("value", ["17.05.1990 года", "0000-01-01T00:00:00Z", 1589760000000, {"a": 1}, True])
def test_a_time_that_is_not_one_is_a_warning_of_its_column(crm, value):
    crm.sync("leads", {"id": 1, "name": "Сделка", "closed_at": value})
    assert crm.row("leads")["closed_at"] is None
    assert crm.row("leads")["name"] == "Сделка"
    assert [w["column_name"] for w in open_warnings(crm)] == ["closed_at"]


@pytest.mark.parametrize(
    ("record", "column"),
    [
        ({"updated_at": "yesterday"}, "amo_updated_at"),
        ({"created_at": "yesterday"}, "amo_created_at"),
        ({"company_id": "ООО"}, "company_id"),
    ],
)
def test_times_of_the_record_and_links_are_cells_too(crm, record, column):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", **record})
    assert crm.row("contacts")["last_name"] == "Иванов"
    assert [w["column_name"] for w in open_warnings(crm)] == [column]


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e400"])
def test_a_number_that_json_does_not_know_does_not_stop_the_run(crm, number):
    line = (
        '{"type":"RECORD","stream":"leads","record":{"account_id":77,"id":1,"updated_at":"2026-01-01T00:00:00Z",'
        f'"name":"Сделка","loss":{number}}}}}'
    )
    crm.load([crm.schema_message("leads"), line, *crm.messages("leads", {"id": 2})])
    assert [r["amo_id"] for r in crm.rows("leads")] == [1, 2]
    assert crm.row("leads")["name"] == "Сделка"


def test_with_on_bad_record_fail_a_bad_value_costs_its_cell_alone(crm):
    crm.sync("leads", {"id": 7, "name": "Сделка", "price": "сто"}, on_bad_record="fail")
    assert crm.row("leads", 7)["name"] == "Сделка"
    assert [w["column_name"] for w in open_warnings(crm)] == ["price"]


def test_warnings_do_not_count_as_bad_records(crm):
    crm.sync("leads", *({"id": n, "price": "x"} for n in range(1, 8)), max_bad_records=5)
    assert len(crm.rows("leads")) == 7


def test_the_log_names_column_and_code_and_never_the_value(crm, caplog):
    crm.sync("contacts", *({"id": n, "last_name": "Петров", "company_id": "Секретно"} for n in (1, 2)))
    told = [r.getMessage() for r in caplog.records if "left out" in r.getMessage()]
    assert len(told) == 1
    assert "contacts.company_id: 2 values" in told[0]
    assert "W_NOT_AN_ID" in told[0]
    assert "Секретно" not in caplog.text


def test_status_groups_open_warnings_by_column_and_code(crm):
    crm.sync("leads", *({"id": n, "price": "сто"} for n in (1, 2)), {"id": 3, "closed_at": "вчера"})
    line = [ADMIN, "--database-url", crm.url, "--crm-schema", crm.schema, "status"]
    text = subprocess.run(line, capture_output=True, text=True, check=True).stdout
    assert "Open warnings" in text
    assert "W_NOT_A_NUMBER" in text
    (run,) = json.loads(subprocess.run([*line, "--json"], capture_output=True, text=True, check=True).stdout)["runs"]
    groups = [(g["table_name"], g["column_name"], g["code"], g["cells"]) for g in run["warnings"]]
    assert groups == [("leads", "price", "W_NOT_A_NUMBER", 2), ("leads", "closed_at", "W_NOT_A_TIME", 1)]


# What is not understood clears nothing


def phones(crm):
    return [r["value"] for r in crm.rows("contact_phones", "position")]


UNREADABLE = {
    "text": "x",
    "false": False,
    "an object": {"PHONE": "+7"},
    "an object of numbers without the field": {"0": {"field_code": "POSITION", "values": [{"value": "Директор"}]}},
    "a hole and another field": [None, {"field_code": "POSITION", "values": [{"value": "Директор"}]}],
    "a field whose values are null": [{"field_code": "PHONE", "values": None}],
    "a field whose values are a text": [{"field_code": "PHONE", "values": "+79161234567"}],
}


@pytest.mark.parametrize("fields", UNREADABLE.values(), ids=UNREADABLE)
def test_custom_fields_of_a_shape_that_is_not_known_remove_no_phone(crm, custom_field, fields):
    crm.sync("contacts", {"id": 1, "custom_fields_values": [custom_field("PHONE", "+79161234567")]})
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", "custom_fields_values": fields})
    assert phones(crm) == ["+79161234567"]
    assert crm.row("contacts")["phone"] == "+79161234567"
    assert crm.row("contacts")["last_name"] == "Иванов"
    assert "W_UNREADABLE_CONTAINER" in {w["code"] for w in open_warnings(crm)}


@pytest.mark.parametrize("fields", [None, [], [{"field_code": "PHONE", "values": []}]])
def test_custom_fields_that_are_empty_do_remove_it(crm, custom_field, fields):
    crm.sync("contacts", {"id": 1, "custom_fields_values": [custom_field("PHONE", "+79161234567")]})
    crm.sync("contacts", {"id": 1, "custom_fields_values": fields})
    assert phones(crm) == []
    assert open_warnings(crm) == []


def test_an_object_of_numbers_is_read_as_the_list_that_it_was(crm):
    fields = {"0": {"field_code": "PHONE", "values": {"1": {"value": "+79161234567"}}}}
    crm.sync("contacts", {"id": 1, "custom_fields_values": fields})
    assert phones(crm) == ["+79161234567"]


@pytest.mark.parametrize("tags", ["vip", False, 5, ["vip"], {"name": "vip"}])
def test_tags_of_a_shape_that_is_not_known_clear_nothing(crm, tags):
    crm.sync("contacts", {"id": 1, "_embedded": {"tags": [{"id": 1, "name": "VIP"}]}})
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", "_embedded": {"tags": tags}})
    assert crm.row("contacts")["tags"] == ["VIP"]
    assert crm.row("contacts")["last_name"] == "Иванов"
    assert [w["code"] for w in open_warnings(crm)] == ["W_UNREADABLE_CONTAINER"]


# What does not come is not empty


def test_a_column_of_several_properties_stays_when_one_of_them_does_not_come(crm):
    whole = {"id": 1, "first_name": "Анна", "last_name": "Лебедева", "name": "Анна Лебедева"}
    crm.sync("contacts", whole)
    crm.sync("contacts", {"id": 1, "name": "Анна Лебедева"}, {"id": 2, "name": "Пётр"})
    assert crm.row("contacts")["first_name"] == "Анна"
    assert crm.row("contacts")["raw_fields"]["amo_values"]["first_name"] == "Анна"
    assert crm.row("contacts", 2)["first_name"] == "Пётр"
    crm.sync("contacts", {"id": 2, "name": "Пётр Ильич"})
    assert crm.row("contacts", 2)["first_name"] == "Пётр Ильич", "what never came can't be missed"


def test_a_note_without_its_params_keeps_its_text(crm):
    note = {"id": 1, "entity_type": "contacts", "entity_id": 1, "note_type": "common"}
    crm.sync("notes", {**note, "params": {"text": "звонить утром"}})
    crm.sync("notes", note)
    assert crm.row("notes")["text"] == "звонить утром"


def test_the_document_keeps_the_properties_that_do_not_come(crm):
    fields = [{"field_id": 9, "field_name": "Паспорт", "field_code": None, "values": [{"value": "4510 123456"}]}]
    crm.sync("contacts", {"id": 1, "last_name": "Лебедева", "custom_fields_values": fields})
    crm.sync("contacts", {"id": 1, "name": "Анна"})
    amo = crm.row("contacts")["raw_fields"]["amo"]
    assert amo["custom_fields_values"] == fields
    assert (amo["last_name"], amo["name"]) == ("Лебедева", "Анна")


def test_a_part_of_a_record_that_says_the_same_costs_no_write(crm):
    crm.sync("contacts", {"id": 1, "last_name": "Лебедева", "position": 5, "updated_at": "2026-01-01T00:00:00Z"})
    version = crm.execute("SELECT xmin::text FROM contacts")
    crm.sync("contacts", {"id": 1, "last_name": "Лебедева", "updated_at": "2026-01-01T00:00:00Z"})
    assert crm.execute("SELECT xmin::text FROM contacts") == version


# What only the database knows


def test_values_that_only_the_database_refuses_cost_their_cells_alone(crm, custom_field):
    crm.load([])
    crm.execute("CREATE DOMAIN inn AS text CHECK (VALUE ~ '^7')")
    crm.execute("ALTER TABLE companies ALTER inn TYPE inn, ALTER employees_count TYPE numeric(4, 1)")
    records = [
        {
            "id": n,
            "name": f"ООО {n}",
            "custom_fields_values": [custom_field("INN", inn), custom_field("EMPLOYEES_COUNT", e)],
        }
        for n, inn, e in ((1, "7712345678", "10"), (2, "5512345678", "20"), (3, "7712345679", "123456"))
    ]
    counts = crm.sync("companies", *records)
    rows = crm.rows("companies")
    assert [(r["name"], r["inn"], r["employees_count"]) for r in rows] == [
        ("ООО 1", "7712345678", 10),
        ("ООО 2", None, 20),
        ("ООО 3", "7712345679", None),
    ]
    assert (counts["inserted"], counts["warnings"], counts["rejected"]) == (3, 2, 0)
    assert [(w["amo_id"], w["column_name"], w["code"]) for w in open_warnings(crm)] == [
        (2, "inn", "W_DATABASE_REFUSED"),
        (3, "employees_count", "W_DATABASE_REFUSED"),
    ]
    crm.execute("ALTER TABLE companies ALTER inn TYPE text")
    crm.sync("companies", records[1])
    assert crm.row("companies", 2)["inn"] == "5512345678", "the same record is looked at again"


def test_a_phone_that_its_column_does_not_take_leaves_the_rows_that_are_there(crm, custom_field):
    crm.sync("contacts", {"id": 1, "custom_fields_values": [custom_field("PHONE", "+79161234567")]})
    crm.execute("CREATE DOMAIN ours AS text CHECK (VALUE LIKE '+7%')")
    crm.execute("ALTER TABLE contact_phones ALTER value TYPE ours")
    foreign = [custom_field("PHONE", "+375291234567")]
    crm.sync("contacts", {"id": 1, "custom_fields_values": foreign}, {"id": 2, "custom_fields_values": foreign})
    assert phones(crm) == ["+79161234567"]
    assert len(crm.rows("contacts")) == 2
    assert [(w["amo_id"], w["table_name"]) for w in open_warnings(crm)] == [
        (1, "contact_phones"),
        (2, "contact_phones"),
    ]


@pytest.mark.parametrize(
    ("column", "value"), [("varchar(4)[]", ["VIP", "Долгий"]), ("text[]", ["VIP", "Долгий"])], ids=["limited", "not"]
)
def test_an_element_that_is_too_long_leaves_its_list_as_it_was(crm, column, value):
    crm.load([])
    crm.execute(f"ALTER TABLE contacts ALTER tags TYPE {column}")
    crm.sync("contacts", {"id": 1, "_embedded": {"tags": [{"name": "VIP"}]}})
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", "_embedded": {"tags": [{"name": tag} for tag in value]}})
    assert crm.row("contacts")["last_name"] == "Иванов"
    assert crm.row("contacts")["tags"] == (["VIP"] if "4" in column else sorted(value))
    assert len(open_warnings(crm)) == (1 if "4" in column else 0)


def test_a_number_of_thousands_of_digits_costs_its_cell_alone(crm):
    line = (
        '{"type":"RECORD","stream":"leads","record":{"account_id":77,"id":1,"updated_at":"2026-01-01T00:00:00Z",'
        f'"name":"Сделка","price":{"7" * 5000}}}}}'
    )
    crm.load([crm.schema_message("leads"), line])
    assert crm.execute("SELECT name, price FROM leads") == [{"name": "Сделка", "price": None}]
    assert [w["column_name"] for w in open_warnings(crm)] == ["price"]
