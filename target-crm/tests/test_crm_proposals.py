"""Records that wait for a person: decided by command, and undone; rows tied and untied by hand."""

from __future__ import annotations

import json

import pytest
from firms import admin, command, crm_of_firms, proposals, record, sync, tied, typed, whole
from row_versions import hide_row_versions


@pytest.fixture
def firms(crm):
    """A CRM of firms; `firms(match, ...)` writes its mapping."""
    return crm_of_firms(crm)


def load_with_contact(crm, company):
    messages = crm.messages("companies", company)
    messages += crm.messages("contacts", {"id": 5, "name": "Иван", "company_id": 1})
    crm.load([crm.schema_message("companies"), crm.schema_message("contacts"), *messages])


@pytest.fixture
def waiting(firms):
    """A record that is like two rows, with a contact: the CRM, the rows, the number of the proposal."""
    crm = firms(["inn"])
    rows = typed(crm, name="A", inn="7707083893"), typed(crm, name="B", inn="7707083893")
    load_with_contact(crm, record(1, name="amo", inn="7707083893", city="Тверь"))
    (one,) = crm.execute("SELECT id FROM sync_proposals")
    return crm, *rows, str(one["id"])


def last_run(crm):
    (run,) = crm.execute("SELECT id, kind, status FROM sync_runs ORDER BY id DESC LIMIT 1")
    return run


def links(crm):
    return [p["firm_id"] for p in crm.rows("person")]


def test_proposals_are_listed_with_the_rows_by_name_in_80_columns(waiting):
    crm, a, b, _ = waiting
    shown = admin(crm, "proposals")
    assert all(text in shown for text in ("companies amo:1 amo", "inn", f"{a} A", f"{b} B"))
    assert max(map(len, shown.splitlines())) <= 80
    (found,) = json.loads(admin(crm, "proposals", "--json"))
    assert (found["candidates"], found["record"]["name"]) == ([str(a), str(b)], "amo")


@pytest.mark.parametrize("choice", ["take", "insert"])
def test_a_decision_loads_the_record_links_its_children_and_can_be_undone(waiting, choice):
    crm, a, b, number = waiting
    before = whole(crm)
    admin(crm, "proposals", number, *(["--take", str(b)] if choice == "take" else ["--insert"]))
    row = tied(crm)[1]
    assert (row == b) == (choice == "take")
    assert crm.row("firm", 1)["city"] == "Тверь"
    assert links(crm) == [row]
    assert [p["resolution"] for p in crm.rows("sync_proposals", "id")] == [choice]
    run = last_run(crm)
    assert (run["kind"], run["status"]) == ("decide", "succeeded")
    admin(crm, "undo", str(run["id"]))
    assert {n: whole(crm)[n] for n in ("firm", "firm_phone")} == {n: before[n] for n in ("firm", "firm_phone")}
    assert links(crm) == [None]
    admin(crm, "proposals", number, "--take", str(a))
    assert (tied(crm), links(crm)) == ({1: a}, [a])


def test_an_ignored_record_stays_away_until_a_person_takes_it(waiting):
    crm, a, _, number = waiting
    admin(crm, "proposals", number, "--ignore")
    assert sync(crm, record(1, name="newer", inn="7728168971")).get("inserted", 0) == 0
    assert tied(crm) == {}
    admin(crm, "proposals", number, "--take", str(a))
    assert tied(crm) == {1: a}
    assert [c["amo_value"] for c in crm.conflicts() if c["column_name"] == "name"] == ["newer"]


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (("proposals", "99", "--insert"), "No such proposal: 99"),
        (("proposals", "NUMBER", "--take", "77"), "Table firm has no row 77"),
        (("tie", "firm", "ROW", "amo:8"), "Table firm has no row amo:8"),
        (("untie", "firm", "1"), "amo:ID"),
    ],
)
def test_what_there_is_not_is_refused_and_nothing_happens(waiting, line, says):
    crm, a, _, number = waiting
    before = whole(crm)
    done = command(crm, *({"NUMBER": number, "ROW": str(a)}.get(word, word) for word in line))
    assert done.exit_code == 1
    assert says in done.output
    assert whole(crm) == before


def test_a_row_of_another_record_is_not_given_away(waiting):
    crm, _, _, number = waiting
    sync(crm, record(2, name="other", inn="7728168971"))
    done = command(crm, "proposals", number, "--take", str(tied(crm)[2]))
    assert "already belongs to record amo:2" in done.output


def test_an_untied_record_gets_a_row_of_its_own_and_its_children_follow(firms):
    crm = firms(["inn"])
    row = typed(crm, name="ours", inn="7707083893")
    load_with_contact(crm, record(1, name="amo", inn="7707083893"))
    assert (tied(crm), links(crm)) == ({1: row}, [row])
    before = whole(crm)
    admin(crm, "untie", "firm", "amo:1")
    (left,) = crm.rows("firm", "id")
    assert (left["amo_id"], left["name"], left["raw_fields"]) == (None, "ours", {})
    admin(crm, "undo", str(last_run(crm)["id"]))
    assert {n: whole(crm)[n] for n in ("firm", "person")} == {n: before[n] for n in ("firm", "person")}
    admin(crm, "untie", "firm", "amo:1")
    sync(crm)
    (own,) = tied(crm).values()
    assert own != row
    assert links(crm) == [own]


def test_tie_moves_a_record_from_its_row_to_another(firms):
    crm = firms([])
    row = typed(crm, name="typed")
    load_with_contact(crm, record(1, name="amo"))
    own = tied(crm)[1]
    admin(crm, "tie", "firm", str(row), "amo:1")
    assert (tied(crm), links(crm)) == ({1: row}, [row])
    last = last_run(crm)["id"]
    admin(crm, "undo", str(last))
    admin(crm, "undo", str(last - 1))
    assert (tied(crm), links(crm)) == ({1: own}, [own])


@pytest.fixture
def refused(firms):
    """A record with a row, whose newer name a row that somebody typed has already: the CRM and both rows."""
    crm = firms(["inn"])
    crm.execute("CREATE UNIQUE INDEX firm_name ON firm (name)")
    sync(crm, record(1, name="Ромашка", inn="7707083893", city="Тверь"))
    row = typed(crm, name="Лютик")
    counts = sync(crm, record(1, name="Лютик", inn="7707083893", city="Омск"))
    assert (counts["proposed"], counts["rejected"], counts["updated"]) == (1, 0, 0)
    return crm, tied(crm)[1], row


def waiting_for_a_decision(crm):
    return crm.execute("SELECT id, rule, candidates FROM sync_proposals WHERE resolved_at IS NULL")


def test_a_change_that_a_unique_constraint_refuses_waits_beside_the_row_that_is_in_the_way(refused):
    crm, own, row = refused
    (one,) = waiting_for_a_decision(crm)
    assert (one["rule"], one["candidates"]) == ("constraint firm_name", [str(row)])
    assert crm.row("firm", 1)["name"] == "Ромашка"
    before = whole(crm)
    assert "already has a row of firm" in command(crm, "proposals", str(one["id"]), "--insert").output
    admin(crm, "proposals", str(one["id"]), "--take", str(row))
    assert tied(crm) == {1: row}
    assert crm.row("firm", 1)["city"] == "Омск"
    last = last_run(crm)["id"]
    admin(crm, "undo", str(last))
    admin(crm, "undo", str(last - 1))
    assert tied(crm) == {1: own}
    assert whole(crm)["firm"] == before["firm"]


def test_it_is_written_as_soon_as_the_row_that_was_in_the_way_says_something_else(refused):
    crm, own, row = refused
    assert sync(crm, record(2, name="other")).get("proposed", 0) == 0
    crm.execute("UPDATE firm SET name = 'Лютик и Ко' WHERE id = %s", row)
    sync(crm, record(3, name="third"))
    assert waiting_for_a_decision(crm) == []
    assert (crm.row("firm", 1)["id"], crm.row("firm", 1)["city"]) == (own, "Омск")


def test_without_row_versions_it_is_written_then_too(refused, monkeypatch):
    hide_row_versions(monkeypatch)
    test_it_is_written_as_soon_as_the_row_that_was_in_the_way_says_something_else(refused)


def test_a_record_with_a_row_is_never_given_another_one_by_itself(refused):
    crm, own, row = refused
    crm.execute("UPDATE firm SET inn = '7707083893' WHERE id = %s", row)
    sync(crm, record(2, name="other"))
    assert tied(crm)[1] == own
    assert [p["candidates"] for p in waiting_for_a_decision(crm)] == [[str(row)]]


def test_a_record_of_rows_that_are_only_matched_gets_no_new_one(own_tables):
    users = {
        "table": "staff",
        "key": {"id": "id"},
        "match_only": True,
        "match": ["email"],
        "columns": {"email": "email"},
    }
    crm = own_tables("CREATE TABLE staff (id int PRIMARY KEY, email text); "
                     "INSERT INTO staff VALUES (1, 'a@b.ru'), (2, 'a@b.ru')", {"users": users})  # fmt: skip
    crm.sync("users", {"id": 5, "name": "Иван", "email": "a@b.ru"})
    (one,) = waiting_for_a_decision(crm)
    done = command(crm, "proposals", str(one["id"]), "--insert")
    assert done.exit_code == 1
    assert "no rows are inserted" in done.output
    assert len(waiting_for_a_decision(crm)) == 1


def test_a_record_that_a_constraint_refuses_is_not_told_of_as_one_with_a_row_of_its_own(firms):
    crm = firms([])
    crm.execute("ALTER TABLE firm ADD UNIQUE (name)")
    typed(crm, name="Ромашка")
    typed(crm, inn="7707083893")
    sync(crm, record(1, name="Ромашка"), record(2, name="Лютик", inn="7707083893"))
    (run,) = crm.execute("SELECT notices FROM sync_runs ORDER BY id DESC LIMIT 1")
    told = [n["args"] for n in run["notices"] if n["code"] == "W_LOOKS_THE_SAME"]
    assert [(args["number"], args["by"]) for args in told] == [(1, "inn: 1")]
    assert [p["amo_id"] for p in proposals(crm)] == [1]
