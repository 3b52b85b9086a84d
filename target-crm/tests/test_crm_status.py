"""`status` leads with what a person needs to know: the last complete sync, what is open, what may be missing."""

from __future__ import annotations

import json

import psycopg
import pytest
from click.testing import CliRunner
from rich.console import Console

from target_crm.admin import main, runs
from target_crm.load.runs import begin_run


@pytest.fixture
def status(crm):
    def run(*arguments):
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, "status", *arguments]
        done = CliRunner().invoke(main, line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout) if "--json" in arguments else done.stdout

    return run


def nightly(crm, ages, account=77):
    """Complete syncs that ended that many hours ago."""
    crm.load([])
    crm.execute("DELETE FROM sync_runs WHERE account_ids = '{}'")
    for hours in ages:
        crm.execute(
            "INSERT INTO sync_runs (status, account_ids, started_at, finished_at) VALUES ('succeeded', %s, "
            "now() - make_interval(hours => %s), now() - make_interval(hours => %s))",
            [account],
            hours,
            hours,
        )


def test_it_leads_with_the_last_complete_sync_and_what_is_open(crm, status):
    crm.sync("contacts", {"last_name": "Иванов"})
    crm.execute("UPDATE contacts SET last_name = 'Сидоров'")
    crm.sync("contacts", {"last_name": "Петров"})
    text = status()
    assert "second" in text.splitlines()[0]
    assert text.splitlines()[0].startswith("Last complete sync: ")
    assert text.splitlines()[1].startswith("Open: 1 conflicts, 0 rejects, 0 warnings")
    found = status("--json")
    assert found["last_complete"]["run"] == 2
    assert found["open"] == {"conflicts": 1, "rejects": 0, "warnings": 0, "proposals": 0}
    assert [run["id"] for run in found["runs"]] == [2, 1]


def test_a_sync_that_is_older_than_twice_the_usual_interval_is_overdue(crm, status):
    nightly(crm, (98, 74, 50))
    assert status().startswith("Last complete sync: 2 days ago (run 4). Usually one every 24 hours. It is overdue.")
    assert status("--json")["last_complete"]["is_stale"] is True


def test_a_sync_within_the_usual_interval_is_not(crm, status):
    nightly(crm, (58, 34, 10))
    assert "overdue" not in status()
    assert status("--json")["last_complete"]["is_stale"] is False


def test_an_overdue_sync_is_red_on_a_terminal(crm, status, monkeypatch):
    nightly(crm, (98, 74, 50))
    monkeypatch.setattr(runs, "console", Console(force_terminal=True, width=120, color_system="standard"))
    assert "\x1b[1;31mLast complete sync" in status()


def test_of_several_accounts_the_stale_one_leads(crm, status):
    nightly(crm, (98, 74, 50), account=1)
    nightly(crm, (49, 25, 1), account=2)
    found = status("--json")
    assert found["last_complete"]["account_id"] == 1
    assert "of account 2" in status()


def test_a_failed_run_after_the_complete_one_is_named(crm, status):
    crm.sync("contacts", {"id": 1})
    crm.execute("INSERT INTO sync_runs (status, finished_at) VALUES ('incomplete', now())")
    assert "The last run, 2, is incomplete." in status()


def test_without_a_complete_sync_it_says_so(crm, status):
    crm.load([])
    crm.execute("UPDATE sync_runs SET status = 'failed'")
    assert status().startswith("There has been no complete sync yet.")


def test_a_killed_run_is_interrupted_at_once_and_nothing_is_written(crm, status):
    crm.sync("contacts", {"id": 1})
    with psycopg.connect(crm.url) as connection:
        run = begin_run(connection, crm.schema, "load")
        connection.commit()
        assert status("--json")["runs"][0]["status"] == "running"
    shown = status("--json")["runs"][0]
    assert (shown["id"], shown["status"]) == (run, "interrupted")
    assert shown["error"] == "The process ended without closing its run."
    assert f"The last run, {run}, is interrupted." in status()
    assert crm.execute("SELECT status FROM sync_runs WHERE id = %s", run) == [{"status": "running"}]


def marked(crm, run, start, stream="contacts", *, complete=True):
    schema = json.loads(crm.schema_message(stream))
    schema["schema"]["x-amocrm-run"] = {"tap": "tap-amocrm", "id": run, "start_state": start}
    state = {"bookmarks": {stream: {"at": run}}, "amocrm_run": {"id": run, "complete": complete}}
    records = crm.messages(stream, {"id": 1})
    return [json.dumps(schema), *records, json.dumps({"type": "STATE", "value": state})]


def test_a_gap_is_reported_with_its_streams_and_command_until_a_full_read_closes_it(crm, status):
    crm.load(marked(crm, "a", "0" * 64))
    text = status()
    assert "records may be missing in contacts" in text
    assert "meltano run --full-refresh tap-amocrm target-crm" in text
    (gap,) = status("--json")["gaps"]
    assert (gap["run"], gap["streams"]) == (1, "contacts")
    crm.load(marked(crm, "b", None))
    assert status("--json")["gaps"] == []


def test_an_incomplete_full_read_does_not_close_the_gap(crm, status):
    crm.load(marked(crm, "a", "0" * 64))
    with pytest.raises(Exception, match="incomplete"):
        crm.load(marked(crm, "b", None, complete=False))
    assert len(status("--json")["gaps"]) == 1
