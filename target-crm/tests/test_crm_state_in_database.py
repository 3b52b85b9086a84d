"""The bookmark in the CRM's database: kept with the rows, given to the next run, on any machine."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from servers import TEST_CITUS_URL

from target_crm.admin.main import main
from target_crm.errors import DatabaseError

OTHER = 78


@pytest.fixture
def state_of(crm):
    """Runs `target-crm-admin state`."""

    def run(*line, text=None, fails=False):
        where = ["--database-url", crm.url, "--crm-schema", crm.schema]
        done = CliRunner().invoke(main, [*where, "state", *map(str, line)], input=text)
        assert (done.exit_code != 0) == fails, done.output
        return done.output if fails else json.loads(done.stdout or "null")

    return run


def synced(crm, bookmark, account=77, **settings):
    """A sync of one contact that ends with this bookmark; the states that left."""
    schema = json.loads(crm.schema_message("contacts"))
    schema["schema"]["x-amocrm-account"]["id"] = account
    schema["schema"]["x-amocrm-run"] = {"tap": "tap-amocrm", "id": f"run {account} {bookmark}"}
    value = {"bookmarks": {"contacts": bookmark}, "amocrm_run": {"id": f"run {account} {bookmark}", "complete": True}}
    record = {"id": 1, "last_name": bookmark, "account_id": account}
    lines = [json.dumps(schema), *crm.messages("contacts", record), json.dumps({"type": "STATE", "value": value})]
    return crm.load(lines, **settings)


def test_before_the_first_sync_the_next_run_begins_at_the_beginning(state_of):
    assert state_of() == {}


def test_the_state_that_was_let_go_is_the_one_of_the_next_run(crm, state_of):
    for bookmark in ("первая", "вторая"):
        (left,) = synced(crm, bookmark)
        assert state_of() == state_of("--account", 77) == json.loads(left)


def test_each_account_has_its_own(crm, state_of):
    synced(crm, "а")
    synced(crm, "б", OTHER)
    assert state_of("--account", OTHER)["bookmarks"] == {"contacts": "б"}
    said = state_of(fails=True)
    assert "77 tap-amocrm" in said
    assert "--account" in said


@pytest.mark.skipif(TEST_CITUS_URL is not None, reason="Citus takes no trigger of an application's own")
def test_a_batch_that_is_not_committed_moves_no_bookmark(crm, state_of):
    synced(crm, "до")
    crm.execute(
        "CREATE FUNCTION stop() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM pg_cancel_backend(pg_backend_pid()); PERFORM pg_sleep(60); RETURN new; END $$"
    )
    crm.execute("CREATE TRIGGER stop BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION stop()")
    with pytest.raises(DatabaseError):
        synced(crm, "после")
    assert crm.row("contacts")["last_name"] == "до"
    assert state_of()["bookmarks"] == {"contacts": "до"}


def test_a_state_that_was_a_file_is_taken_over_and_known(crm, state_of, tmp_path):
    synced(crm, "а")
    file = tmp_path / "state.json"
    file.write_text(json.dumps({"bookmarks": {"contacts": "из файла"}}))
    state_of("--account", 77, "--put", file)
    assert state_of() == {"bookmarks": {"contacts": "из файла"}}
    assert crm.execute("SELECT count(*) AS n FROM sync_released_states") == [{"n": 2}]


@pytest.mark.parametrize("text", ["[]", "{", ""])
def test_what_is_not_a_state_is_not_kept(crm, state_of, text):
    synced(crm, "а")
    assert "JSON object" in state_of("--account", 77, "--put", "-", text=text, fails=True)
    assert state_of()["bookmarks"] == {"contacts": "а"}
