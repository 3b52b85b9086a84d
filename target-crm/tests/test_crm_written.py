"""What an application beside the loader needs: which rows a run wrote, and a notification after each commit."""

from __future__ import annotations

import json

import psycopg
import pytest
from click.testing import CliRunner

from target_crm.admin.main import main
from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.operations.session import open_session
from target_crm.operations.undo import take_back


@pytest.fixture
def listening(crm):
    """A session that listens; the payloads that have come so far."""
    with psycopg.connect(crm.url, autocommit=True) as connection:
        connection.execute(f"LISTEN {crm.schema}")
        crm.config["notify_channel"] = crm.schema

        def heard():
            return [notice.payload for notice in connection.notifies(timeout=0.3)]

        yield heard


def admin(crm, *arguments):
    line = ["--database-url", crm.url, "--crm-schema", crm.schema, *arguments]
    return CliRunner().invoke(main, line)


def written(crm, run, *options):
    return json.loads(admin(crm, "written", str(run), "--json", *options).stdout)["tables"]


def keys(crm, *amo_ids):
    return [str(crm.row("contacts", amo_id)["id"]) for amo_id in amo_ids]


def test_a_run_lists_what_it_inserted_updated_and_removed(crm, custom_field):
    phone = [custom_field("PHONE", "+79161234567")]
    crm.sync("contacts", {"id": 1, "last_name": "a", "custom_fields_values": phone}, {"id": 2, "last_name": "b"})
    assert sorted(written(crm, 1)["contacts"]["inserted"]) == sorted(keys(crm, 1, 2))
    crm.sync("contacts", {"id": 1, "last_name": "c", "custom_fields_values": []}, {"id": 2, "last_name": "b"},
             {"id": 3, "last_name": "d"})  # fmt: skip
    found = written(crm, 2)
    assert found["contacts"]["inserted"] == keys(crm, 3)
    assert set(keys(crm, 1)) <= set(found["contacts"]["updated"])
    assert len(found["contact_phones"]["removed"]) == 1
    assert set(written(crm, 2, "--table", "contact_phones")) == {"contact_phones"}


def test_without_json_each_row_is_a_line(crm):
    crm.sync("contacts", {"id": 1, "last_name": "a"})
    assert admin(crm, "written", "1", "--table", "contacts").stdout == f"contacts\t{keys(crm, 1)[0]}\tinserted\n"


def test_an_undo_lists_what_it_removed(crm):
    crm.sync("contacts", {"id": 1, "last_name": "a"})
    (key,) = keys(crm, 1)
    with open_session(Settings.from_config(crm.config)) as session:
        run, _ = take_back(session, 1)
    assert written(crm, run)["contacts"]["removed"] == [key]


def test_a_run_that_is_not_there_is_an_error_and_so_is_one_without_a_journal(crm):
    crm.sync("contacts", {"id": 1, "last_name": "a"})
    assert admin(crm, "written", "7").exit_code == 1
    crm.execute("DELETE FROM sync_changes")
    done = admin(crm, "written", "1")
    assert (done.exit_code, "journal" in done.output) == (1, True)


def test_listeners_hear_of_a_load_when_its_rows_can_be_read(crm, listening):
    crm.sync("contacts", {"id": 1, "last_name": "a"})
    heard = listening()
    assert heard
    assert set(heard) == {"1"}
    assert written(crm, heard[0])["contacts"]["inserted"] == keys(crm, 1)


def test_each_batch_is_reported_when_it_is_committed(crm, listening):
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", *({"id": n} for n in range(1, 5)))]
    crm.load(lines, batch_size_rows=2)
    assert len(listening()) >= 3


def test_an_undo_is_reported_too_and_a_dry_run_is_not(crm, listening):
    crm.sync("contacts", {"id": 1, "last_name": "a"})
    listening()
    crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 2})], dry_run=True)
    assert listening() == []
    with open_session(Settings.from_config(crm.config)) as session:
        run, _ = take_back(session, 1)
    assert listening() == [str(run)]


def test_without_the_setting_nothing_is_sent(crm, listening):
    del crm.config["notify_channel"]
    crm.sync("contacts", {"id": 1, "last_name": "a"})
    assert listening() == []


def test_a_channel_that_postgresql_can_not_have_is_refused():
    with pytest.raises(ConfigError, match="notify_channel"):
        Settings.from_config({"notify_channel": "x" * 64})
