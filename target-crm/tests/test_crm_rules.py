"""Policies, cleared values, sets, deletions, returns, versions, late parents, guards: one behaviour a test."""

from __future__ import annotations

from importlib import resources

import pytest
import yaml

from target_crm.errors import GuardError


def phones(*values):
    fields = [{"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": v} for v in values]}]
    return {"custom_fields_values": fields if values else None}


def numbers(crm):
    return [r["value"] for r in crm.rows("contact_phones", "position, value")]


@pytest.fixture
def mapping(crm, tmp_path):
    """The built-in mapping with something changed, as a file."""

    def write(change):
        text = resources.files("target_crm.mapping").joinpath("builtin.yaml").read_text("utf-8")
        document = yaml.safe_load(text)
        change(document["streams"])
        file = tmp_path / "mapping.yaml"
        file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False))
        crm.load([])  # the tables of the built-in mapping
        return {"mapping_file": str(file)}

    return write


@pytest.mark.parametrize(
    ("policy", "edited", "cleared"),
    [
        ("soft", "вручную", "новое"),
        ("amo_wins", "новое", "новое"),
        ("crm_wins", "вручную", None),
        ("fill_empty", "вручную", "новое"),
    ],
)
def test_each_policy_after_an_edit_and_after_a_clearing(crm, policy, edited, cleared):
    crm.sync("contacts", *({"id": n, "last_name": "старое"} for n in (1, 2)), default_policy=policy)
    crm.execute("UPDATE contacts SET last_name = 'вручную' WHERE amo_id = 1")
    crm.execute("UPDATE contacts SET last_name = NULL WHERE amo_id = 2")
    crm.sync("contacts", *({"id": n, "last_name": "новое"} for n in (1, 2)), default_policy=policy)
    assert [r["last_name"] for r in crm.rows("contacts")] == [edited, cleared]


def test_amo_wins_does_not_take_an_empty_value(crm):
    crm.sync("contacts", {"last_name": "старое"}, default_policy="amo_wins")
    crm.sync("contacts", {"last_name": None}, default_policy="amo_wins")
    assert crm.row("contacts")["last_name"] == "старое"


def test_a_policy_of_one_column_is_in_the_mapping(crm, mapping):
    def change(streams):
        streams["contacts"]["columns"]["last_name"] = {"from": "last_name", "policy": "amo_wins"}

    settings = mapping(change)
    crm.sync("contacts", {"last_name": "а", "custom_fields_values": None}, **settings)
    crm.execute("UPDATE contacts SET last_name = 'вручную'")
    crm.sync("contacts", {"last_name": "б"}, **settings)
    assert crm.row("contacts")["last_name"] == "б"
    assert crm.conflicts() == []


def test_a_cleared_value_stays_cleared_where_the_mapping_respects_that(crm, mapping):
    def change(streams):
        streams["contacts"]["columns"]["last_name"] = {"from": "last_name", "respect_clears": True}

    settings = mapping(change)
    crm.sync("contacts", {"last_name": "а"}, **settings)
    crm.execute("UPDATE contacts SET last_name = NULL")
    crm.sync("contacts", {"last_name": "а"}, **settings)
    assert crm.row("contacts")["last_name"] is None
    crm.sync("contacts", {"last_name": "б"}, **settings)
    assert crm.row("contacts")["last_name"] == "б"


def test_a_phone_that_comes_and_goes_in_amocrm_comes_and_goes(crm):
    crm.sync("contacts", phones("8 916 123-45-67", "+7 903 111 22 33"))
    assert numbers(crm) == ["+79161234567", "+79031112233"]
    crm.sync("contacts", phones("+7 903 111 22 33"))
    assert numbers(crm) == ["+79031112233"]


def test_the_same_number_in_two_spellings_is_one_row(crm):
    crm.sync("contacts", phones("8 (916) 123-45-67", "+79161234567", "9161234567"))
    assert numbers(crm) == ["+79161234567"]


def test_a_number_that_a_person_added_stays_and_is_not_added_twice(crm):
    crm.sync("contacts", phones("+79161234567"))
    crm.execute("INSERT INTO contact_phones (contact_id, value) SELECT id, '+79990001122' FROM contacts")
    crm.sync("contacts", phones("+79161234567", "8 999 000-11-22"))
    assert sorted(numbers(crm)) == ["+79161234567", "+79990001122"]
    crm.sync("contacts", phones())
    assert "+79990001122" in numbers(crm)


def test_a_number_that_a_person_edited_stays_when_it_goes_in_amocrm(crm):
    crm.sync("contacts", phones("+79161234567", "+79031112233"))
    crm.execute("UPDATE contact_phones SET comment = 'звонить после шести' WHERE value = '+79161234567'")
    crm.sync("contacts", phones("+79031112233"))
    assert sorted(numbers(crm)) == ["+79031112233", "+79161234567"]


def test_a_number_that_a_person_deleted_does_not_come_back(crm):
    crm.sync("contacts", phones("+79161234567", "+79031112233"))
    crm.execute("DELETE FROM contact_phones WHERE value = '+79161234567'")
    crm.sync("contacts", {**phones("+79161234567", "+79031112233"), "last_name": "Новая"})
    assert numbers(crm) == ["+79031112233"]


@pytest.mark.parametrize(
    ("typed", "value", "comment"),
    [
        ("спросить у Ольги", None, "спросить у Ольги"),
        ("8 495 123-45-67 доб. 12", "+74951234567", "доб. 12"),
        ("+7 916 123-45-67 (вотсап)", "+79161234567", "вотсап"),
        ("123", None, "123"),
    ],
)
def test_what_is_not_a_number_goes_to_the_comment(crm, typed, value, comment):
    crm.sync("contacts", phones(typed))
    (row,) = crm.rows("contact_phones", "id")
    assert row["value"] == value
    assert comment in row["comment"]


def gone(entity_id, when="2027-01-01T00:00:00+00:00", entity="contacts", **more):
    return {"id": f"e{entity_id}", "entity_type": entity, "entity_id": entity_id, "deleted_at": when, **more}


def test_a_deleted_record_is_marked_and_nothing_of_it_is_lost(crm):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов", **phones("+79161234567")})
    crm.sync("deleted_records", gone(1))
    row = crm.row("contacts")
    assert row["amo_deleted_at"]
    assert row["last_name"] == "Иванов"
    assert numbers(crm) == ["+79161234567"]


def test_a_deletion_that_comes_before_its_record_is_remembered(crm):
    crm.sync("deleted_records", gone(1))
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    assert crm.row("contacts")["amo_deleted_at"]


def test_a_restored_record_loses_the_mark(crm):
    crm.sync("contacts", {"id": 1})
    crm.sync("deleted_records", gone(1))
    crm.sync("deleted_records", gone(1, when=None, restored_at="2027-01-02T00:00:00+00:00"))
    assert crm.row("contacts")["amo_deleted_at"] is None


def test_a_row_that_a_person_deleted_does_not_come_back(crm):
    crm.sync("contacts", {"id": 1, "last_name": "а"}, {"id": 2})
    crm.execute("DELETE FROM contacts WHERE amo_id = 1")
    crm.sync("contacts", {"id": 1, "last_name": "а"}, {"id": 2})
    crm.sync("contacts", {"id": 1, "last_name": "б"}, {"id": 2})
    assert [r["amo_id"] for r in crm.rows("contacts")] == [2]


@pytest.mark.parametrize(("resurrect", "unchanged", "changed"), [("never", 0, 0), ("changed", 0, 1), ("always", 1, 1)])
def test_resurrect_decides_whether_it_comes_back(crm, mapping, resurrect, unchanged, changed):
    settings = mapping(lambda streams: streams["contacts"].update(resurrect=resurrect))
    first = {"id": 1, "last_name": "а", "updated_at": "2026-01-01T00:00:00+00:00"}
    crm.sync("contacts", first, **settings)
    crm.execute("DELETE FROM contacts")
    crm.sync("contacts", first, **settings)
    assert len(crm.rows("contacts")) == unchanged
    crm.execute("DELETE FROM contacts")
    crm.sync("contacts", {**first, "updated_at": "2026-02-01T00:00:00+00:00"}, **settings)
    assert len(crm.rows("contacts")) == changed


def test_an_older_record_never_overwrites_a_newer_one(crm):
    crm.sync("contacts", {"last_name": "новое", "updated_at": "2026-05-01T00:00:00+00:00"})
    crm.sync("contacts", {"last_name": "старое", "updated_at": "2026-04-01T00:00:00+00:00"})
    assert crm.row("contacts")["last_name"] == "новое"


def test_of_several_versions_in_a_batch_the_newest_counts(crm):
    times = ("2026-05-02", "2026-05-03", "2026-05-01")
    crm.sync("contacts", *({"last_name": t, "updated_at": f"{t}T00:00:00+00:00"} for t in times))
    assert crm.row("contacts")["last_name"] == "2026-05-03"


def test_a_parent_that_comes_later_is_linked_when_it_comes(crm):
    crm.sync("contacts", {"id": 1, "company_id": 5})
    assert crm.row("contacts")["company_id"] is None
    crm.sync("companies", {"id": 5, "name": "ООО"})
    assert crm.row("contacts")["company_id"] == crm.row("companies", 5)["id"]


@pytest.mark.parametrize("policy", ["soft", "amo_wins", "crm_wins", "fill_empty"])
def test_a_late_parent_is_linked_under_every_policy(crm, policy):
    crm.sync("contacts", {"id": 1, "company_id": 5}, default_policy=policy)
    crm.sync("companies", {"id": 5, "name": "ООО"}, default_policy=policy)
    assert crm.row("contacts")["company_id"] == crm.row("companies", 5)["id"]


def test_an_older_restore_does_not_take_back_a_newer_deletion(crm):
    crm.sync("contacts", {"id": 1})
    crm.sync("deleted_records", gone(1, when="2027-01-03T00:00:00+00:00"))
    crm.sync("deleted_records", gone(1, when=None, restored_at="2027-01-02T00:00:00+00:00"))
    assert crm.row("contacts")["amo_deleted_at"]


def test_a_link_that_a_person_set_meanwhile_is_kept_and_a_conflict(crm):
    crm.sync("contacts", {"id": 1, "company_id": 5})
    crm.execute("INSERT INTO companies (name) VALUES ('своя')")
    crm.execute("UPDATE contacts SET company_id = (SELECT id FROM companies WHERE name = 'своя')")
    crm.sync("companies", {"id": 5, "name": "ООО"})
    own = crm.execute("SELECT id FROM companies WHERE name = 'своя'")[0]["id"]
    assert crm.row("contacts")["company_id"] == own
    assert [c["column_name"] for c in crm.conflicts()] == ["company_id"]


def test_users_are_matched_by_e_mail_and_then_by_name(crm):
    crm.load([])
    crm.execute("INSERT INTO users (name, email) VALUES ('Анна', 'ANNA@firma.ru'), ('Борис Котов', NULL)")
    crm.sync(
        "users",
        {"id": 1, "name": "Анна Сергеевна", "email": "anna@firma.ru"},
        {"id": 2, "name": "Борис Котов", "email": "boris@firma.ru"},
        {"id": 3, "name": "Вера", "email": "vera@firma.ru"},
    )
    rows = crm.rows("users", "name")
    assert len(rows) == 3
    assert {r["amo_id"] for r in rows} == {1, 2, 3}


def test_a_run_that_would_mark_too_many_deleted_stops_and_names_the_setting(crm):
    crm.sync("contacts", *({"id": n} for n in range(1, 21)))
    with pytest.raises(GuardError, match=r"max_deletes_percent.*allow_mass_delete"):
        crm.sync("deleted_records", *(gone(n) for n in range(1, 6)))
    assert all(r["amo_deleted_at"] is None for r in crm.rows("contacts"))
    crm.sync("deleted_records", *(gone(n) for n in range(1, 6)), allow_mass_delete=True)
    assert sum(r["amo_deleted_at"] is not None for r in crm.rows("contacts")) == 5


def test_a_column_that_would_change_in_too_many_rows_stops_the_run(crm):
    crm.sync("contacts", *({"id": n, "last_name": f"а{n}"} for n in range(1, 101)))
    changed = [{"id": n, "last_name": "сломано"} for n in range(1, 101)]
    with pytest.raises(GuardError, match="max_changes_percent"):
        crm.sync("contacts", *changed, max_changes_percent=50)
    assert crm.row("contacts")["last_name"] == "а1"
