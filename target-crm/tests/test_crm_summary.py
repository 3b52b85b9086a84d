"""What a load says while it runs and at its end: for a person a small table and what waits, for programs the counts."""

from __future__ import annotations

import logging

import pytest
import review_data

from target_crm.load import progress
from target_crm.load.summary import counts_table, waiting_sentence


@pytest.fixture
def said(crm, caplog):
    """The last message of the loads so far that begins with a word, and its record."""
    caplog.set_level(logging.INFO, "target-crm")

    def find(beginning):
        found = [r for r in caplog.records if r.name == "target-crm" and r.getMessage().startswith(beginning)]
        return found[-1].getMessage(), found[-1]

    return find


def test_a_load_ends_with_a_table_and_a_sentence_on_what_waits(crm, said):
    review_data.fill(crm)
    text, record = said("Run 2: ")
    lines = text.splitlines()
    assert len(lines) <= 10
    assert lines[0].startswith("Run 2: ")
    assert lines[0].endswith(" records read.")
    assert lines[1].split()[:3] == ["read", "new", "changed"]
    assert [line.split()[0] for line in lines[2:-1]] == ["companies", "contacts", "leads", "users"]
    assert lines[-1] == (
        "5 conflicts, 2 rejects and 1 warning wait for a person: "
        "target-crm-admin conflicts, rejects, warnings, or serve."
    )
    assert not set("{}'") & set(text)
    assert (record.run, record.waiting["conflicts"]) == (2, 5)
    assert record.counts["contacts"]["read"] == 6


def test_a_load_after_which_nothing_waits_says_so(crm, said):
    crm.sync("contacts", {"id": 1})
    assert said("Run 1: ")[0].splitlines()[-1] == "Nothing waits for a decision."


def test_a_long_load_says_what_it_has_merged(crm, said, monkeypatch):
    monkeypatch.setattr(progress, "EVERY_SECONDS", 0.0)
    crm.load(
        [crm.schema_message("contacts"), *crm.messages("contacts", *({"id": n} for n in range(1, 6)))],
        batch_size_rows=2,
    )
    text, _ = said("Merged so far: ")
    assert text.startswith("Merged so far: 5 contacts; ")
    assert text.endswith(" records a second.")


def test_a_short_load_writes_no_such_line(crm, caplog):
    caplog.set_level(logging.INFO, "target-crm")
    crm.sync("contacts", {"id": 1})
    assert not [r for r in caplog.records if r.getMessage().startswith("Merged")]


def test_the_table_has_at_most_eight_lines_however_many_tables_there_are():
    tables = [f"table_{n}" for n in range(20)]
    counts = {name: {"read": 100 - n, "inserted": n, "updated": 0} for n, name in enumerate(tables)}
    lines = counts_table(counts, tables)
    assert len(lines) == 8
    assert lines[0].split() == ["read", "new"]
    assert lines[-1].split() == ["14", "others", f"{sum(100 - n for n in range(6, 20)):,}", str(sum(range(6, 20)))]


def test_one_thing_that_waits_is_in_the_singular_and_many_are_not_counted_to_the_end():
    assert waiting_sentence({"rejects": 1}, 10).startswith("1 reject waits for a person: target-crm-admin rejects, ")
    assert waiting_sentence({"conflicts": 11, "rejects": 0}, 10).startswith("more than 10 conflicts wait ")
