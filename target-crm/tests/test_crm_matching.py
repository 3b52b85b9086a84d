"""Rows that people typed before the first load: recognised, adopted, or left for a person to decide on."""

from __future__ import annotations

import json

import pytest
from firms import STAMPS, admin, command, crm_of_firms, proposals, record, sync, tied, typed, whole


@pytest.fixture
def firms(crm):
    """A CRM of firms; `firms(match, ...)` writes its mapping."""
    return crm_of_firms(crm)


SPELLINGS = (
    "+79161112201", "89161112201", "79161112201", "9161112201", "8 (916) 111-22-01", "+7 916 111-22-01",
    "8-916-111-22-01 доб. 5", "+79161112299, +79161112201",
)  # fmt: skip


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_phone_is_recognised_in_any_spelling(firms, spelling):
    crm = firms(["phone"])
    row = typed(crm, name="typed", phone=spelling)
    assert sync(crm, record(1, name="amo", phones=["+79161112201"]))["adopted"] == 1
    assert tied(crm) == {1: row}


@pytest.mark.parametrize("rule", ["phone", "phones"])
@pytest.mark.parametrize("where", ["column", "table"])
@pytest.mark.parametrize("place", [0, 1])
def test_any_phone_of_a_record_is_compared_with_column_and_related_table(firms, rule, where, place):
    crm = firms([rule], sets=True)
    row = typed(crm, name="typed", phone="8 916 111-22-01" if where == "column" else None)
    if where == "table":
        crm.execute(
            "INSERT INTO firm_phone (firm_id, value) VALUES (%s, '+7 (999) 000-00-00'), (%s, '9161112201')", row, row
        )
    numbers = ["+74951234567", "+79161112201"]
    sync(crm, record(1, phones=[numbers[place], numbers[1 - place]]))
    assert tied(crm) == {1: row}


@pytest.mark.parametrize(
    ("match", "row", "amo"),
    [
        (["inn"], {"inn": "77 07 08 38 93"}, {"inn": "7707083893"}),
        (["inn"], {"inn": "7710322118 / 7707083893"}, {"inn": "7707083893"}),
        (["email"], {"email": "X@Y.ru; A@B.RU"}, {"emails": ["a@b.ru"]}),
        (["name"], {"name": " ооо «ромашка»\u200b"}, {"name": "ООО «Ромашка»"}),
        (["old_id"], {"old_id": 1}, {"name": "a"}),
        ([["name", "city"]], {"name": "А", "city": "Тверь"}, {"name": "а", "city": "Тверь"}),
        (["inn", "name"], {"name": "А"}, {"name": "А", "inn": "7707083893"}),
    ],
)
def test_values_are_compared_normalised(firms, match, row, amo):
    crm = firms(match)
    found = typed(crm, **row)
    sync(crm, record(1, **amo))
    assert tied(crm) == {1: found}


def test_a_list_needs_all_of_its_columns_to_agree(firms):
    crm = firms([["name", "city"]])
    row = typed(crm, name="А", city="Тверь")
    sync(crm, record(1, name="А", city="Омск"), record(2, name="А"))
    assert row not in tied(crm).values()
    assert proposals(crm) == []


@pytest.mark.parametrize(
    ("match", "row", "amo", "proposed"),
    [
        (["inn", "name"], {"name": "А", "inn": "7728168971"}, {"name": "А", "inn": "7707083893"}, []),
        (["phone", "name"], {"name": "А", "phone": "9161112201"}, {"name": "А", "phones": ["+79990001122"]}, []),
        (["phone", "email"], {"email": "a@b.ru", "phone": "9161112201"},
         {"emails": ["a@b.ru"], "phones": ["+79990001122"]}, ["email"]),
    ],
    ids=["an inn parts names", "a phone parts names", "another phone leaves the address to a person"],
)  # fmt: skip
def test_a_stronger_rule_vetoes_a_weaker_one(firms, match, row, amo, proposed):
    crm = firms(match)
    found = typed(crm, **row)
    sync(crm, record(1, **amo))
    assert found not in tied(crm).values()
    assert [p["rule"] for p in proposals(crm)] == proposed


def test_what_matches_more_than_once_waits_for_a_person_whatever_the_batch(firms):
    for size in (1, 7, 10_000):
        crm = firms(["inn"])
        a, b, c = (
            typed(crm, name=n, inn=i) for n, i in (("A", "7707083893"), ("B", "7707083893"), ("C", "7728168971"))
        )
        counts = sync(
            crm,
            record(1, inn="7707083893"), record(2, inn="7728168971"), record(3, inn="7728168971"),
            record(4, name="nothing like it"),
            batch_size_rows=size,
        )  # fmt: skip
        assert (counts["read"], counts["proposed"], counts["inserted"], counts["superseded"]) == (4, 3, 1, 0)
        assert [(p["amo_id"], p["rule"], p["candidates"]) for p in proposals(crm)] == [
            (1, "inn", [str(a), str(b)]), (2, "inn", [str(c)]), (3, "inn", [str(c)]),
        ]  # fmt: skip
        crm.execute("TRUNCATE firm, person, firm_phone, sync_proposals, sync_keys")


def test_a_value_that_a_row_of_another_record_holds_is_not_unique(firms):
    crm = firms(["inn"])
    sync(crm, record(1, inn="7707083893"))
    row = typed(crm, name="typed later", inn="7707083893")
    sync(crm, record(2, inn="7707083893"))
    assert row not in tied(crm).values()
    assert [p["amo_id"] for p in proposals(crm)] == [2]


def test_children_of_a_record_that_waits_are_linked_when_it_comes(firms):
    crm = firms(["inn"])
    one, other = typed(crm, inn="7707083893"), typed(crm, inn="7707083893")
    messages = crm.messages("companies", record(1, inn="7707083893"))
    messages += crm.messages("contacts", {"id": 5, "name": "Иван", "company_id": 1})
    crm.load([crm.schema_message("companies"), crm.schema_message("contacts"), *messages])
    assert [p["firm_id"] for p in crm.rows("person")] == [None]
    crm.execute("DELETE FROM firm WHERE id = %s", other)
    sync(crm)
    assert tied(crm) == {1: one}
    assert [p["firm_id"] for p in crm.rows("person")] == [one]
    assert proposals(crm) == []


def test_a_newer_version_of_a_waiting_record_takes_its_place_and_may_end_the_waiting(firms):
    crm = firms(["inn"])
    typed(crm, inn="7707083893"), typed(crm, inn="7707083893")
    sync(crm, record(1, name="old", inn="7707083893"))
    sync(crm, record(1, name="new", inn="7707083893"))
    assert crm.execute("SELECT record->>'name' AS name, run_id < (SELECT max(id) FROM sync_runs) AS kept "
                       "FROM sync_proposals") == [{"name": "new", "kept": True}]  # fmt: skip
    sync(crm, record(1, name="newest", inn="7728168971"))
    assert proposals(crm) == []
    assert crm.row("firm", 1)["name"] == "newest"


def test_a_record_that_is_deleted_in_amocrm_does_not_wait_any_longer(firms):
    crm = firms(["inn"])
    typed(crm, inn="7707083893"), typed(crm, inn="7707083893")
    sync(crm, record(1, inn="7707083893"))
    deleted = {"account_id": 77, "entity_type": "companies", "entity_id": 1, "deleted_at": "2026-03-01T00:00:00+00:00"}
    line = json.dumps({"type": "RECORD", "stream": "deleted_records", "record": deleted})
    crm.load([crm.schema_message("deleted_records"), line])
    assert crm.execute("SELECT resolution FROM sync_proposals") == [{"resolution": "deleted"}]


def test_on_ambiguous_insert_gives_a_record_a_row_of_its_own(firms):
    crm = firms(["inn"], on_ambiguous="insert")
    typed(crm, inn="7707083893"), typed(crm, inn="7707083893")
    assert sync(crm, record(1, inn="7707083893"))["inserted"] == 1
    assert crm.rows("sync_proposals", "id") == []


@pytest.mark.parametrize(
    ("adopt", "name", "conflicts"),
    [
        ({}, "typed", 1),
        ({"base": "trust"}, "amo", 0),
        ({"policy": "amo_wins"}, "amo", 0),
        ({"policy": "crm_wins"}, "typed", 0),
        ({"policy": "fill_empty"}, "typed", 0),
    ],
)
def test_adopt_says_what_the_first_merge_believes(firms, adopt, name, conflicts):
    crm = firms(["inn"], adopt=adopt)
    typed(crm, name="typed", inn="7707083893", raw_fields='{"amo_values": {"name": "typed"}}')
    sync(crm, record(1, name="amo", inn="7707083893"))
    assert crm.row("firm", 1)["name"] == name
    assert len(crm.conflicts()) == conflicts
    sync(crm, record(1, name="amo 2", inn="7707083893"))
    assert len(crm.conflicts()) == conflicts + (name == "typed"), "later merges go by the run's policy again"


def test_the_base_of_a_former_importer_is_not_believed_in_rows_that_have_ids(firms):
    crm = firms(["inn"])
    typed(crm, amo_account_id=77, amo_id=1, name="typed", raw_fields='{"amo_values": {"name": "typed"}}')
    sync(crm, record(1, name="amo"))
    assert crm.row("firm", 1)["name"] == "typed"
    assert [c["amo_value"] for c in crm.conflicts()] == ["amo"]


def test_undoing_an_adoption_leaves_everything_as_it_was(firms):
    crm = firms(["inn", "phones"], sets=True)
    typed(crm, name="typed", inn="7707083893", raw_fields='{"own": 1, "amo_values": {"name": "x"}}')
    row = typed(crm, name="other", phone="8 916 111-22-01")
    crm.execute("INSERT INTO firm_phone (firm_id, value) VALUES (%s, '+79990001122')", row)
    before = whole(crm)
    assert sync(
        crm, record(1, name="amo", inn="7707083893", city="Тверь"),
        record(2, phones=["+79161112201", "+74951234567"], emails=["a@b.ru"]), record(3, name="new"),
    )["adopted"] == 2  # fmt: skip
    (run,) = crm.execute("SELECT max(id) AS id FROM sync_runs")
    admin(crm, "undo", str(run["id"]))
    after = whole(crm)
    assert after.pop("sync_conflicts") != before.pop("sync_conflicts")
    assert after == before
    admin(crm, "undo", str(run["id"] + 1))
    assert set(tied(crm)) == {1, 2, 3}
    assert crm.row("firm", 1)["city"] == "Тверь"


def test_a_row_whose_ids_a_form_emptied_is_recognised_by_its_key_and_told_of(firms):
    crm = firms(["inn"])
    sync(crm, record(1, name="amo"), record(2, name="other"))
    before = tied(crm)
    crm.execute("UPDATE firm SET amo_account_id = NULL, amo_id = NULL")
    counts = sync(crm, record(1, name="newer"), record(3, name="amo"))
    assert (counts["updated"], counts["inserted"], counts["deleted_by_person"]) == (1, 1, 0)
    assert tied(crm)[1] == before[1]
    assert crm.row("firm", 1)["name"] == "newer"
    (run,) = crm.execute("SELECT id, notices FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert [n["args"] for n in run["notices"] if n["code"] == "W_TIED_AGAIN"] == [{"table": "firm", "number": 1}]
    admin(crm, "undo", str(run["id"]))
    assert tied(crm) == {}
    assert sync(crm, record(1, name="newer"))["inserted"] == 0


def test_what_a_unique_constraint_refuses_becomes_a_proposal_and_no_eternal_reject(firms):
    crm = firms([])
    crm.execute("CREATE UNIQUE INDEX firm_name ON firm (lower(name))")
    row = typed(crm, name="Ромашка (Тверь)", city="Тверь")
    counts = sync(crm, record(1, name="РОМАШКА (Тверь)"), record(2, name="other"))
    assert (counts["inserted"], counts["proposed"], counts["rejected"]) == (1, 1, 0)
    wanted = [{"amo_id": 1, "rule": "constraint firm_name", "candidates": [str(row)]}]
    assert proposals(crm) == wanted
    assert [r["resolution"].split()[0] for r in crm.rows("sync_rejects", "id")] == ["proposed"]
    assert sync(crm, record(3, name="third")).get("proposed", 0) == 0, "it waits, and is not tried again and again"
    assert proposals(crm) == wanted
    sync(crm, record(1, name="newer name"))
    assert proposals(crm) == []
    assert crm.row("firm", 1)["name"] == "newer name"


def test_with_on_ambiguous_insert_it_is_a_reject_as_before(firms):
    crm = firms([], on_ambiguous="insert")
    crm.execute("ALTER TABLE firm ADD UNIQUE (name)")
    typed(crm, name="Ромашка")
    assert sync(crm, record(1, name="Ромашка"))["rejected"] == 1


def test_the_plan_lists_what_is_recognised_and_what_would_wait(firms):
    crm = firms(["inn"])
    row = typed(crm, name="one", inn="7707083893")
    typed(crm, name="two", inn="7728168971"), typed(crm, name="three", inn="7728168971")
    path = crm.folder / "messages.jsonl"
    lines = crm.messages("companies", record(1, inn="7707083893"), record(2, name="amo", inn="7728168971"))
    path.write_text("\n".join([crm.schema_message("companies"), *lines]))
    plan = json.loads(admin(crm, "plan", str(path), "--json"))
    assert (plan["counts"]["firm"]["adopted"], plan["counts"]["firm"]["proposed"]) == (1, 1)
    assert [(a["row_id"], a["new_value"]["amo_id"], a["new_value"]["rule"]) for a in plan["adopted"]] == [
        (str(row), 1, "inn")
    ]
    assert [(p["amo_id"], p["rule"], len(p["candidates"])) for p in plan["proposals"]] == [(2, "inn", 2)]
    shown = admin(crm, "plan", str(path))
    assert "Rows matched" in shown
    assert "Records that would wait for a decision" in shown
    assert (tied(crm), proposals(crm)) == ({}, [])


def test_a_record_that_came_undone_is_recognised_again(firms):
    crm = firms(["inn"])
    row = typed(crm, inn="7707083893")
    sync(crm, record(1, inn="7707083893"))
    (run,) = crm.execute("SELECT max(id) AS id FROM sync_runs")
    admin(crm, "undo", str(run["id"]))
    assert tied(crm) == {}
    assert sync(crm, record(1, inn="7707083893"))["adopted"] == 1
    assert tied(crm) == {1: row}


def test_a_row_that_looks_the_same_is_reported_where_no_rule_is_given(firms):
    crm = firms([])
    typed(crm, name="typed", inn="7707083893")
    typed(crm, name="Ромашка")
    sync(crm, record(1, inn="7707083893"), record(2, name="ромашка"), record(3, name="other"))
    (run,) = crm.execute("SELECT notices FROM sync_runs ORDER BY id DESC LIMIT 1")
    (notice,) = [n for n in run["notices"] if n["code"] == "W_LOOKS_THE_SAME"]
    assert (notice["args"]["number"], notice["args"]["by"]) == (2, "inn: 1, name: 1")


@pytest.mark.parametrize(
    ("match", "says"),
    [
        (["inm"], "Did you mean inn?"),
        ([{"a": 1}], "lists of those that must all agree"),
        ([["name", "phonez"]], "phonez"),
    ],
)
def test_a_rule_that_can_not_be_is_refused_by_name(firms, match, says):
    crm = firms(match)
    done = command(crm, "map")
    assert done.exit_code == 1
    assert says in done.output


@pytest.fixture
def archive(firms):
    """Firms that people archive: a time in the row."""
    crm = firms(["inn", "name"], service=STAMPS | {"amo_deleted_at": "archived_at"})
    crm.execute("ALTER TABLE firm ADD archived_at timestamptz")
    return crm


def test_of_two_rows_that_are_alike_the_archived_one_stands_back(archive):
    typed(archive, name="old", inn="7707083893", archived_at="2026-01-01")
    row = typed(archive, name="new", inn="7707083893")
    assert sync(archive, record(1, inn="7707083893"))["adopted"] == 1
    assert tied(archive) == {1: row}


def test_an_archived_row_that_a_stronger_rule_names_goes_before_one_that_is_there(archive):
    old = typed(archive, name="Ромашка", inn="7707083893", archived_at="2026-01-01")
    typed(archive, name="Ромашка")
    sync(archive, record(1, name="Ромашка", inn="7707083893"))
    assert tied(archive) == {1: old}


def test_an_archived_row_alone_is_adopted_and_stays_archived(archive):
    row = typed(archive, name="old", inn="7707083893", archived_at="2026-01-01")
    sync(archive, record(1, inn="7707083893"))
    (found,) = archive.rows("firm", "id")
    assert (tied(archive), found["archived_at"] is not None) == ({1: row}, True)
