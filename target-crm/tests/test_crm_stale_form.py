"""A person's form that was opened before amoCRM's change, and a person's own marks of deletion."""

from __future__ import annotations

import json

import pytest


def phone(number):
    return {"custom_fields_values": [{"field_id": 1, "field_code": "PHONE", "field_name": "Телефон",
                                      "values": [{"value": number}]}]}  # fmt: skip


OLD, NEW, NEWER = "+79161234567", "+79031112233", "+79990001122"


def test_a_form_that_saves_amocrm_s_former_value_is_a_conflict_recorded_once(crm):
    crm.sync("contacts", phone(OLD))
    crm.sync("contacts", phone(NEW))
    crm.execute("UPDATE contacts SET phone = '8 (916) 123-45-67'")
    counts = crm.sync("contacts", phone(NEW) | {"last_name": "а"})
    assert (counts["conflicts"], counts["kept"]) == (1, 1)
    (conflict,) = crm.conflicts()
    assert (conflict["base_value"], conflict["crm_value"], conflict["amo_value"]) == (NEW, "8 (916) 123-45-67", NEW)
    assert crm.sync("contacts", phone(NEW) | {"last_name": "б"})["conflicts"] == 0
    assert crm.sync("contacts", phone(NEW) | {"last_name": "б"})["conflicts"] == 0
    assert crm.row("contacts")["phone"] == "8 (916) 123-45-67"


def test_it_is_found_though_nothing_else_changes_in_the_row(crm):
    crm.sync("contacts", {"last_name": "а"})
    crm.sync("contacts", {"last_name": "б"})
    crm.execute("UPDATE contacts SET last_name = 'а'")
    same = {"last_name": "б", "updated_at": f"2026-01-01T00:{crm.clock:02d}:00+00:00"}
    assert crm.sync("contacts", {"last_name": "б"})["conflicts"] == 1
    assert crm.sync("contacts", same)["conflicts"] == 0


def test_a_value_that_amocrm_never_sent_stays_an_edit(crm):
    crm.sync("contacts", phone(OLD))
    crm.sync("contacts", phone(NEW))
    crm.execute("UPDATE contacts SET phone = %s", NEWER)
    assert crm.sync("contacts", phone(NEW) | {"last_name": "а"})["conflicts"] == 0


@pytest.mark.parametrize("policy", ["crm_wins", "fill_empty"])
def test_where_the_crm_has_its_say_by_the_mapping_there_is_no_conflict(crm, policy):
    for number in (OLD, NEW, NEW):
        crm.sync("contacts", phone(number), default_policy=policy)
        crm.execute("UPDATE contacts SET phone = %s", OLD)
    assert crm.conflicts() == []


@pytest.mark.parametrize(
    ("values", "stream", "column"),
    [
        (({"tags": ["a"]}, {"tags": ["b"]}), "contacts", "tags"),
        ((12, 13), "companies", "employees_count"),
        (("2026-03-01T10:00:00+00:00", "2026-04-01T10:00:00+00:00"), "tasks", "due_at"),
        (({"a": 1}, {"a": 2}), "notes", "params"),
    ],
)
def test_columns_of_every_kind_know_their_former_values(crm, values, stream, column):
    def record(value, more):
        if column == "tags":
            return {"_embedded": {"tags": [{"name": t} for t in value["tags"]]}, "price": more}
        if column == "employees_count":
            fields = [{"field_id": 1, "field_code": "EMPLOYEES_COUNT", "field_name": "x", "values": [{"value": value}]}]
            return {"custom_fields_values": fields, "name": str(more)}
        return {"complete_till" if column == "due_at" else "params": value, "more": more}

    crm.sync(stream, record(values[0], 1))
    (was,) = crm.execute(f"SELECT to_jsonb({column}) AS v FROM {stream}")
    crm.sync(stream, record(values[1], 2))
    crm.execute(f"UPDATE {stream} SET {column} = r.{column} FROM jsonb_populate_record(NULL::{stream}, %s) AS r",
                json.dumps({column: was["v"]}))  # fmt: skip
    assert crm.sync(stream, record(values[1], 3))["conflicts"] == 1


def marked(crm):
    mark = crm.row("contacts")["amo_deleted_at"]
    return mark and mark.day


def gone(crm, when, what="deleted_at"):
    record = {"id": "e", "entity_type": "contacts", "entity_id": 1, what: when}
    crm.load([crm.schema_message("deleted_records"), *crm.messages("deleted_records", record)], allow_mass_delete=True)


def test_a_mark_that_a_person_set_outlives_changes_deletions_and_restores(crm):
    crm.sync("contacts", {"last_name": "а"})
    crm.execute("UPDATE contacts SET amo_deleted_at = '2025-12-15'")
    crm.sync("contacts", {"last_name": "б"})
    assert (marked(crm), crm.row("contacts")["last_name"]) == (15, "б")
    gone(crm, "2026-03-01T00:00:00+00:00")
    gone(crm, "2026-03-02T00:00:00+00:00", "restored_at")
    assert marked(crm) == 15


def test_a_mark_that_a_person_took_off_comes_back_with_a_new_deletion_alone(crm):
    crm.sync("contacts", {"last_name": "а"})
    gone(crm, "2026-03-01T00:00:00+00:00")
    assert marked(crm) == 1
    crm.execute("UPDATE contacts SET amo_deleted_at = NULL")
    gone(crm, "2026-03-01T00:00:00+00:00")
    crm.sync("contacts", {"last_name": "б"})
    assert marked(crm) is None
    gone(crm, "2026-03-05T00:00:00+00:00")
    assert marked(crm) == 5


def test_amocrm_s_own_mark_goes_when_the_record_changes_again(crm):
    crm.sync("contacts", {"last_name": "а"})
    gone(crm, "2026-03-01T00:00:00+00:00")
    crm.sync("contacts", {"last_name": "б", "updated_at": "2026-04-01T00:00:00+00:00"})
    assert marked(crm) is None
