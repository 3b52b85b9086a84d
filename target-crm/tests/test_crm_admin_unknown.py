"""Numbers and names that there are not: an error with what there is, and nothing in the journal."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from target_crm.admin import main


@pytest.fixture
def admin(crm):
    """Run a subcommand in this process; it must fail with one sentence and open no run."""

    def run(*arguments, code=1):
        before = crm.execute("SELECT count(*) FROM sync_runs")
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, *map(str, arguments)]
        done = CliRunner().invoke(main, line, catch_exceptions=False)
        assert done.exit_code == code, done.output
        assert crm.execute("SELECT count(*) FROM sync_runs") == before
        return done.output

    return run


@pytest.fixture
def conflict(crm):
    crm.sync("contacts", {"last_name": "Иванов"})
    crm.execute("UPDATE contacts SET last_name = 'Сидоров'")
    crm.sync("contacts", {"last_name": "Петров"})
    return crm.conflicts()[-1]["id"]


def test_an_unknown_run(conflict, admin):
    for arguments in (["undo", 999], ["report", 999, "--html", "x.html"], ["conflicts", "--run", 999]):
        said = admin(*arguments)
        assert "Run 999 does not exist; the runs are 1 to 2." in said, arguments


def test_an_unknown_conflict_is_not_resolved(conflict, admin):
    said = admin("conflicts", 99999, "--take", "amo")
    assert "No such conflict: 99999." in said
    assert f"Open conflicts: {conflict}." in said


def test_one_unknown_number_among_known_ones_resolves_nothing(crm, conflict, admin):
    admin("conflicts", conflict, 99999, "--take", "amo")
    assert crm.conflicts()[-1]["resolved_at"] is None


def test_a_conflict_that_is_resolved_already_says_how(crm, conflict, admin):
    CliRunner().invoke(
        main, ["--database-url", crm.url, "--crm-schema", crm.schema, "conflicts", str(conflict), "--take", "crm"]
    )
    assert f"Already resolved: conflict {conflict} (crm). No conflict is open." in admin(
        "conflicts", conflict, "--take", "amo"
    )


def test_an_unknown_table_or_column_names_the_nearest(conflict, admin):
    assert "Did you mean contacts?" in admin("conflicts", "--table", "contact")
    assert "Did you mean last_name?" in admin("conflicts", "--column", "lastname")
    assert "Did you mean contacts?" in admin("explain", "contact", "amo:1")


def test_an_unknown_reject(crm, conflict, admin):
    for arguments in (["--retry"], ["--drop", "why"], []):
        assert "No such reject: 9999. No reject is open." in admin("rejects", 9999, *arguments)


def test_nothing_to_retry_is_not_a_run(conflict, admin):
    assert "No reject is open." in admin("rejects", "--retry", code=0)


def test_an_unknown_record(conflict, admin):
    assert "Table contacts has no row amo:9 (it has amo:1, for example)." in admin("explain", "contacts", "amo:9")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["undo", 999, "--preview"], "Run 999 does not exist; the runs are 1 to 2."),
        (["written", 999], "Run 999 does not exist; the runs are 1 to 2."),
        (["proposals", 999, "--insert"], "999"),
        (["tie", "contact", "x", "amo:1"], "Did you mean contacts?"),
        (["tie", "contacts", "x", "amo:1"], "Table contacts has no row x"),
        (["untie", "contact", "amo:1"], "Did you mean contacts?"),
        (["untie", "contacts", "amo:9"], "amo:9"),
        (["conflicts", "--rule", "nope"], "is not one of"),
    ],
    ids=lambda part: " ".join(map(str, part)) if isinstance(part, list) else "",
)
def test_every_command_names_what_there_is_instead(conflict, admin, arguments, said):
    assert said in admin(*arguments, code=2 if "--rule" in arguments else 1)
