"""A run's status: whether its input was complete, from which state it started, what was rejected or has no row."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path

import pytest

from target_crm.errors import IncompleteInputError, StreamRejectedError
from target_crm.singer_io.run_input import state_digest

BIN = Path(sys.executable).parent
ACCOUNT = 77


class Tap:
    """Messages as tap-amocrm marks them."""

    def __init__(self, crm, run="run-1", start=None):
        self.crm, self.run = crm, run
        self.start = None if start is None else state_digest(start)

    def schema(self, stream="contacts"):
        message = json.loads(self.crm.schema_message(stream))
        message["schema"]["x-amocrm-run"] = {"tap": "tap-amocrm", "id": self.run, "start_state": self.start}
        return json.dumps(message)

    def state(self, bookmarks, *, complete=False):
        value = {"bookmarks": bookmarks, "amocrm_run": {"id": self.run, "complete": complete}}
        return json.dumps({"type": "STATE", "value": value})


def value_of(state):
    return json.loads(state)["value"]


def last_run(crm):
    (run,) = crm.execute("SELECT * FROM sync_runs ORDER BY id DESC LIMIT 1")
    return run


def codes(run):
    return [notice["code"] for notice in run["notices"]]


def sync(crm, *records, run="run-1", start=None, last=None, complete=True):
    """One run of the tap; its last STATE as Singer line."""
    tap = Tap(crm, run, start)
    state = tap.state(last or {"contacts": {"replication_key_value": run}}, complete=complete)
    crm.load([tap.schema(), *crm.messages("contacts", *records), state])
    return state


def test_a_run_whose_tap_reached_its_end_has_succeeded(crm):
    sync(crm, {"id": 1})
    run = last_run(crm)
    assert (run["status"], run["tap"], run["from_start"], run["notices"]) == ("succeeded", "tap-amocrm", True, [])


def test_a_run_whose_tap_ended_early_is_incomplete_and_keeps_what_came(crm, capsys):
    tap = Tap(crm)
    lines = [tap.schema(), *crm.messages("contacts", {"id": 1}), tap.state({"contacts": {}})]
    with pytest.raises(IncompleteInputError, match="tap-amocrm ended before it had read everything"):
        crm.load(lines)
    run = last_run(crm)
    assert run["status"] == "incomplete"
    assert codes(run) == ["E_INPUT_INCOMPLETE"]
    assert len(crm.rows("contacts")) == 1
    assert crm.execute("SELECT state FROM sync_state")[0]["state"]["bookmarks"] == {"contacts": {}}


def test_a_tap_that_wrote_no_state_at_all_is_incomplete(crm):
    with pytest.raises(IncompleteInputError):
        crm.load([Tap(crm).schema(), *crm.messages("contacts", {"id": 1})])
    assert last_run(crm)["status"] == "incomplete"


def test_of_two_runs_in_one_file_each_must_be_complete(crm):
    first, second = Tap(crm, "run-1"), Tap(crm, "run-2")
    lines = [first.schema(), first.state({}), second.schema(), second.state({}, complete=True)]
    with pytest.raises(IncompleteInputError):
        crm.load(lines)


def test_the_input_of_a_tap_without_marks_ends_where_it_ends(crm):
    crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})])
    assert last_run(crm)["status"] == "succeeded"


def command(crm, tmp_path, text, **settings):
    file = tmp_path / "config.json"
    file.write_text(json.dumps({**crm.config, **settings}))
    line = [str(BIN / "target-crm"), "--config", str(file)]
    return subprocess.run(line, input=text, capture_output=True, text=True, check=False)


def test_an_incomplete_run_ends_with_code_1_and_a_valid_state(crm, tmp_path):
    tap = Tap(crm)
    lines = [tap.schema(), *crm.messages("contacts", {"id": 1}), tap.state({"contacts": {"at": 1}})]
    done = command(crm, tmp_path, "\n".join(lines) + "\n")
    assert done.returncode == 1
    assert json.loads(done.stdout)["bookmarks"] == {"contacts": {"at": 1}}
    assert "The input is incomplete" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("text", ["", "\n\n", "Traceback (most recent call last):\nKeyError\n"])
def test_input_without_a_message_is_an_error(crm, tmp_path, text):
    done = command(crm, tmp_path, text)
    assert done.returncode == 1
    assert "No Singer message was received" in done.stderr
    assert last_run(crm)["status"] == "failed"


def test_a_dry_run_of_incomplete_input_shows_the_plan_and_fails(crm, tmp_path):
    lines = [Tap(crm).schema(), *crm.messages("contacts", {"id": 1})]
    done = command(crm, tmp_path, "\n".join(lines) + "\n", dry_run=True)
    assert done.returncode == 1
    assert "Nothing was written." in done.stderr
    assert "The input is incomplete" in done.stderr


# The state that a run starts from


def test_a_state_that_was_let_go_here_is_recognised(crm):
    state = value_of(sync(crm, {"id": 1}))
    sync(crm, {"id": 2}, run="run-2", start=state)
    assert codes(last_run(crm)) == []


def test_a_state_that_was_let_go_before_the_run_went_on_is_recognised(crm):
    tap = Tap(crm)
    early = tap.state({"contacts": {"at": 1}})
    contacts = crm.messages("contacts", *({"id": number} for number in range(1, 7)))
    lines = [tap.schema(), *contacts[:3], early, *contacts[3:], tap.state({"contacts": {"at": 2}}, complete=True)]
    assert len(crm.load(lines, batch_size_rows=3)) >= 2
    sync(crm, {"id": 9}, run="run-2", start=value_of(early))
    assert codes(last_run(crm)) == []


def test_an_old_state_put_back_is_recognised(crm):
    old = value_of(sync(crm, {"id": 1}))
    state = old
    for number in range(2, 6):
        state = value_of(sync(crm, {"id": number}, run=f"run-{number}", start=state))
    sync(crm, {"id": 9}, run="run-9", start=old)
    assert codes(last_run(crm)) == []


def test_a_state_of_another_database_is_warned_of_and_marked(crm, caplog):
    foreign = {"bookmarks": {"contacts": {"replication_key_value": "2026"}, "users": {}}}
    sync(crm, {"id": 1}, start=foreign, last={"contacts": {}, "events": {}})
    run = last_run(crm)
    assert run["status"] == "succeeded"
    (notice,) = run["notices"]
    assert (notice["code"], notice["args"]["streams"]) == ("W_STATE_GAP", "contacts")
    (told,) = [r.getMessage() for r in caplog.records if "never released" in r.getMessage()]
    assert "--full-refresh" in told


def test_a_state_newer_than_a_restored_database_is_warned_of(crm):
    sync(crm, {"id": 1})
    sync(crm, {"id": 2}, run="run-3", start={"bookmarks": {"contacts": {"replication_key_value": "run-2"}}})
    assert codes(last_run(crm)) == ["W_STATE_GAP"]


def test_reading_from_the_beginning_again_is_fine(crm):
    sync(crm, {"id": 1})
    sync(crm, {"id": 1}, run="run-2")
    assert codes(last_run(crm)) == []


def test_the_first_load_after_version_0_1_is_believed(crm):
    crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})])
    sync(crm, {"id": 2}, run="run-2", start={"bookmarks": {"contacts": {}}})
    assert codes(last_run(crm)) == []


def test_the_last_state_is_kept_with_the_rows(crm):
    state = value_of(sync(crm, {"id": 1}))
    (kept,) = crm.execute("SELECT * FROM sync_state")
    assert (kept["account_id"], kept["tap"], kept["state"]) == (ACCOUNT, "tap-amocrm", state)
    assert kept["digest"] == state_digest(state)


def test_a_dry_run_keeps_no_state(crm):
    sync(crm, {"id": 1})
    tap = Tap(crm, "run-2")
    crm.load([tap.schema(), tap.state({"other": {}}, complete=True)], dry_run=True)
    (kept,) = crm.execute("SELECT state FROM sync_state")
    assert "other" not in kept["state"]["bookmarks"]


# Counts


def test_a_stream_whose_every_record_was_rejected_fails_the_run(crm):
    bad = [json.dumps({"type": "RECORD", "stream": "contacts", "record": {"id": n}}) for n in (1, 2, 3)]
    good = crm.messages("companies", {"id": 1})
    with pytest.raises(StreamRejectedError, match="All 3 records of stream contacts were rejected"):
        crm.load([crm.schema_message("contacts"), crm.schema_message("companies"), *bad, *good])
    run = last_run(crm)
    assert run["status"] == "failed"
    assert codes(run) == ["E_STREAM_REJECTED"]
    assert len(crm.rows("companies")) == 1


def test_a_stream_with_one_good_record_among_bad_ones_goes_on(crm):
    bad = [json.dumps({"type": "RECORD", "stream": "contacts", "record": {"id": n}}) for n in (1, 2, 3)]
    crm.load([crm.schema_message("contacts"), *bad, *crm.messages("contacts", {"id": 9})])
    assert last_run(crm)["status"] == "succeeded"


def test_unchanged_are_only_records_with_an_equal_row(crm):
    crm.sync("contacts", {"id": 1}, {"id": 2}, {"id": 3})
    crm.execute("DELETE FROM contacts WHERE amo_id = 2")
    crm.clock -= 1
    counts = crm.sync("contacts", {"id": 1}, {"id": 2}, {"id": 3})
    assert (counts["read"], counts["unchanged"], counts["deleted_by_person"]) == (3, 2, 1)


def test_an_older_version_is_not_unchanged(crm):
    crm.sync("contacts", {"id": 1, "updated_at": "2026-02-01T00:00:00+00:00"})
    counts = crm.sync("contacts", {"id": 1, "updated_at": "2026-01-01T00:00:00+00:00", "last_name": "Старая"})
    assert (counts["unchanged"], counts["superseded"]) == (0, 1)


def test_a_rejected_record_is_not_unchanged(crm):
    crm.execute("SELECT 1")
    crm.sync("contacts", {"id": 1})
    crm.execute("ALTER TABLE contacts ADD CONSTRAINT no_ivan CHECK (last_name <> 'Иван')")
    counts = crm.sync("contacts", {"id": 1, "last_name": "Иван"}, {"id": 2, "last_name": "Иван"}, {"id": 3})
    assert (counts["rejected"], counts["inserted"], counts["unchanged"]) == (2, 1, 0)


def test_a_load_into_an_emptied_table_names_what_brings_the_rows_back(crm, caplog):
    crm.sync("contacts", {"id": 1}, {"id": 2}, {"id": 3})
    crm.execute("TRUNCATE contacts CASCADE")
    with caplog.at_level(logging.WARNING):
        counts = crm.sync("contacts", {"id": 1}, {"id": 2}, {"id": 3})
    assert (counts["unchanged"], counts["deleted_by_person"]) == (0, 3)
    (told,) = [r.getMessage() for r in caplog.records if "people deleted" in r.getMessage()]
    assert "3 records have no row in contacts" in told
    assert "resurrect" in told
    assert codes(last_run(crm)) == ["W_DELETED_BY_PERSON"]


def test_users_that_match_nobody_are_named(crm, tmp_path, caplog):
    crm.execute("CREATE TABLE IF NOT EXISTS public.staff (id int PRIMARY KEY, email text UNIQUE)")
    try:
        crm.execute("INSERT INTO public.staff VALUES (1, 'ivan@firm.ru')")
        mapping = tmp_path / "mapping.yaml"
        mapping.write_text(
            "version: 1\nstreams:\n  users:\n    table: public.staff\n    key: {id: id}\n    match: [email]\n"
            "    match_only: true\n    columns: {email: email}\n"
        )
        users = ({"id": 1, "name": "Иван", "email": "ivan@firm.ru"}, {"id": 2, "name": "Анна", "email": "anna@firm.ru"})
        lines = [crm.schema_message("users"), *crm.messages("users", *users)]
        crm.load(lines, mapping_file=str(mapping))
    finally:
        crm.execute("DROP TABLE public.staff")
    run = last_run(crm)
    counts = run["counts"]["public.staff"]
    assert (counts["read"], counts["unmatched"], counts["unchanged"]) == (2, 1, 1)
    (told,) = [r.getMessage() for r in caplog.records if "match no row" in r.getMessage()]
    assert "Анна <anna@firm.ru>" in told
    assert codes(run) == ["W_USERS_UNMATCHED"]


def test_the_log_shows_control_characters_of_names_as_escapes(crm, tmp_path):
    tap = Tap(crm)
    foreign = json.dumps({"type": "SCHEMA", "stream": "x\x1b[31m", "schema": {"properties": {}}, "key_properties": []})
    record = json.dumps({"type": "RECORD", "stream": "x\x1b[31m", "record": {"id": 1}})
    done = command(crm, tmp_path, "\n".join([tap.schema(), foreign, record, tap.state({}, complete=True)]) + "\n")
    assert "Stream x\\x1b[31m is not mapped" in done.stderr
