"""Standing rules: what decisions suggest, what a rule would decide, what every load then decides by itself."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from psycopg.sql import SQL
from review_server import plain, serving

from target_crm.admin import main
from target_crm.config.settings import Settings
from target_crm.errors import DatabaseError
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.rules import Draft, add_rule, apply_rules, effect_of, suggestions, switch_off
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo


def collide(crm, count, word, ours="наше {n}"):
    """A conflict in the last name of each of some contacts."""
    crm.sync("contacts", *({"id": n, "last_name": f"было {word} {n}"} for n in range(1, count + 1)))
    crm.execute("UPDATE contacts SET last_name = replace(%s, '{n}', amo_id::text)", ours)
    crm.sync("contacts", *({"id": n, "last_name": f"{word} {n}"} for n in range(1, count + 1)))


@pytest.fixture
def session(crm):
    crm.load([])
    with open_session(Settings.from_config(crm.config)) as found:
        yield found


NAME = Draft("contacts", "last_name", "always", "amo")


def test_a_rule_resolves_what_the_next_load_finds_and_can_be_undone(crm, session):
    add_rule(session, NAME)
    collide(crm, 3, "новое")
    assert {c["resolution"] for c in crm.conflicts()} == {"amo"}
    assert {r["last_name"] for r in crm.rows("contacts")} == {"новое 1", "новое 2", "новое 3"}
    (run,) = crm.execute("SELECT id, rule_id FROM sync_runs WHERE kind = 'resolve'")
    assert run["rule_id"] == 1
    undo(session, run["id"])
    assert {c["resolved_at"] for c in crm.conflicts()} == {None}
    assert {r["last_name"] for r in crm.rows("contacts")} == {"наше 1", "наше 2", "наше 3"}


def test_a_rule_with_a_condition_leaves_other_conflicts_to_people(crm, session):
    add_rule(session, Draft("contacts", "last_name", "same_but_spelling", "crm"))
    collide(crm, 1, "иванов", ours="ИВАНОВ {n}")
    crm.sync("contacts", {"id": 2, "last_name": "Петров"})
    crm.execute("UPDATE contacts SET last_name = 'Вручную' WHERE amo_id = 2")
    crm.sync("contacts", {"id": 2, "last_name": "Сидоров"})
    assert [c["resolution"] for c in crm.conflicts()] == ["crm", None]


def test_a_rule_that_was_switched_off_decides_nothing_more(crm, session):
    number = add_rule(session, NAME)
    assert switch_off(session, number)
    assert not switch_off(session, number)
    collide(crm, 2, "новое")
    assert [c["resolution"] for c in crm.conflicts()] == [None, None]


def test_a_session_that_ends_while_rules_are_applied_is_one_sentence_and_the_load_is_kept(crm, session, monkeypatch):
    add_rule(session, NAME)

    def end_session(rules_session, **_):
        rules_session.rows(SQL("SELECT pg_terminate_backend(pg_backend_pid())"))

    monkeypatch.setattr("target_crm.operations.rules.find_rules", end_session)
    with pytest.raises(DatabaseError):
        collide(crm, 1, "новое")
    assert crm.execute("SELECT status FROM sync_runs ORDER BY id DESC LIMIT 1") == [{"status": "succeeded"}]
    assert [c["resolution"] for c in crm.conflicts()] == [None]


def test_older_conflicts_are_resolved_only_when_asked_for(crm, session):
    collide(crm, 2, "новое")
    number = add_rule(session, NAME)
    crm.sync("contacts", {"id": 50, "last_name": "Другой"})
    assert [c["resolution"] for c in crm.conflicts()] == [None, None]
    assert apply_rules(session, only=number) == 2


def test_a_preview_tells_how_people_decided_and_what_is_open(crm, session):
    collide(crm, 4, "новое")
    first, second, *_ = [c["id"] for c in crm.conflicts()]
    resolve(session, Filter(ids=[first]), "amo")
    resolve(session, Filter(ids=[second]), "crm")
    found = effect_of(session, NAME)
    assert (found.open, found.alike, found.otherwise) == (2, 1, 1)


def test_five_equal_decisions_suggest_a_rule_and_a_sixth_other_one_none(crm, session):
    collide(crm, 6, "новое")
    numbers = [c["id"] for c in crm.conflicts()]
    resolve(session, Filter(ids=numbers[:5]), "amo")
    assert suggestions(session) == [NAME]
    resolve(session, Filter(ids=numbers[5:]), "crm")
    assert suggestions(session) == []


def test_the_page_offers_a_rule_stores_it_and_switches_it_off(crm, session):
    collide(crm, 6, "новое")
    resolve(session, Filter(ids=[c["id"] for c in crm.conflicts()][:5]), "amo")
    with serving(crm.config) as served:
        browser = served.enter()
        text = browser.text("/rules")
        assert "Contact · Last name : amoCRM's value" in text
        assert "that agree: 5, that differ: 0. Open now: 1." in text
        fields = {"table": "contacts", "column": "last_name", "condition": "always", "take": "amo", "now": "1"}
        assert "Resolved now: 1" in plain(browser.post("/rules/add", fields).text)
        assert "rule 1" in browser.text("/decisions")
        assert "was disabled" in plain(browser.post("/rules/off", {"id": "1"}).text)
        asked = browser.text("/rules?cell=contacts|position&condition=same_but_spelling&take=crm")
        assert "Contact · Position : the CRM's value, where the values" in asked


def test_rules_are_kept_by_command(crm, session):
    def run(*options):
        return CliRunner().invoke(main, ["--database-url", crm.url, "--crm-schema", crm.schema, "rules", *options])

    assert "Open now: 0" in run("--add", "contacts", "last_name", "--take", "amo", "--preview").output
    assert "Rule 1 is stored" in run("--add", "contacts", "last_name", "--take", "amo").output
    assert '"column_name": "last_name"' in run("--json").output
    assert "Rule 1 is off." in run("--off", "1").output
    assert run("--add", "contacts", "nope", "--take", "amo").exit_code == 1
    assert run("--add", "contacts", "last_name").exit_code == 2
