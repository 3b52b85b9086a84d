"""What a guard stopped is allowed once: given on the page or by command, used by one load, taken back."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from review_server import serving

from target_crm.admin.main import main
from target_crm.config.settings import Settings
from target_crm.errors import GuardError, TooManyRejectsError
from target_crm.operations.permissions import allow_once, revoke
from target_crm.operations.session import NotPossibleError, open_session


def gone(number):
    when = "2027-01-01T00:00:00+00:00"
    return {"id": f"contacts{number}", "entity_type": "contacts", "entity_id": number, "deleted_at": when}


def delete(crm, *numbers, **settings):
    crm.sync("deleted_records", *map(gone, numbers), **settings)


def session(crm):
    return open_session(Settings.from_config(crm.config))


def marked(crm):
    return sum(row["amo_deleted_at"] is not None for row in crm.rows("contacts"))


@pytest.fixture
def stopped(crm):
    """Run 2 would have marked 10 of 40 contacts deleted."""
    crm.sync("contacts", *({"id": n, "last_name": f"Орлова {n}"} for n in range(1, 41)))
    with pytest.raises(GuardError):
        delete(crm, *range(1, 11))
    return crm


def allow(crm, run=2):
    with session(crm) as found:
        found.made_by = "Светлана"
        return allow_once(found, run)


def test_the_next_load_goes_through_and_the_one_after_it_does_not(stopped):
    number = allow(stopped)
    delete(stopped, *range(1, 11))
    assert marked(stopped) == 10
    (kept,) = stopped.execute("SELECT * FROM sync_permissions")
    assert (kept["id"], kept["used_by"], kept["made_by"], kept["most"]) == (number, 3, "Светлана", 11)
    with pytest.raises(GuardError):
        delete(stopped, *range(11, 21))
    assert marked(stopped) == 10


def test_more_rows_than_were_allowed_are_stopped_and_the_permission_waits_on(stopped):
    allow(stopped)
    with pytest.raises(GuardError):
        delete(stopped, *range(1, 13))
    assert marked(stopped) == 0
    assert stopped.execute("SELECT used_by FROM sync_permissions") == [{"used_by": None}]


def test_a_dry_run_shows_what_is_allowed_and_uses_nothing(stopped):
    allow(stopped)
    delete(stopped, *range(1, 11), dry_run=True)
    assert stopped.execute("SELECT used_by FROM sync_permissions") == [{"used_by": None}]
    assert marked(stopped) == 0


def test_a_permission_that_was_taken_back_lets_nothing_through(stopped):
    number = allow(stopped)
    with session(stopped) as found:
        assert revoke(found, number)
        assert not revoke(found, number)
    with pytest.raises(GuardError):
        delete(stopped, *range(1, 11))


def test_only_a_run_that_a_guard_stopped_is_allowed_and_only_until_a_load_has_gone_through(stopped):
    with pytest.raises(NotPossibleError, match="nothing to allow"):
        allow(stopped, 1)
    delete(stopped, 1)
    with pytest.raises(NotPossibleError, match="nothing to allow"):
        allow(stopped, 2)


def test_a_column_may_be_overwritten_in_all_batches_of_one_load(crm):
    crm.sync("contacts", *({"id": n, "last_name": f"а{n}"} for n in range(1, 101)))
    records = [{"id": n, "last_name": f"б{n}"} for n in range(1, 101)]
    guarded = {"max_changes_percent": 50, "batch_size_rows": 25}
    with pytest.raises(GuardError):
        crm.sync("contacts", *records, **guarded)
    allow(crm)
    crm.sync("contacts", *records, **guarded)
    assert {row["last_name"] for row in crm.rows("contacts")} == {f"б{n}" for n in range(1, 101)}
    with pytest.raises(GuardError):
        crm.sync("contacts", *({"id": n, "last_name": f"в{n}"} for n in range(1, 101)), **guarded)


def test_the_page_of_the_run_names_the_records_and_allows_it_in_both_languages(stopped):
    stopped.execute("UPDATE sync_accounts SET url = 'https://romashka.amocrm.ru'")
    with serving(stopped.config) as served:
        english, russian = served.enter(), served.enter("ru")
        text = russian.text("/runs/2")
        assert "Контакты: 10 из 40" in text
        assert "Орлова 1 " in text
        assert "https://romashka.amocrm.ru/contacts/detail/10" in russian.get("/runs/2").text
        assert "Allow once" in english.text("/runs/2")
        assert "Разрешено один раз" in russian.post("/runs/2/allow", {}).text
        assert "не больше 11" in russian.text("/")
        assert "Allow once" not in english.text("/runs/2")
        assert "was revoked" in english.post("/permissions/revoke", {"id": "1"}).text
        assert "Allow once" in english.text("/runs/2")
        english.post("/runs/2/allow", {})
    delete(stopped, *range(1, 11))
    assert marked(stopped) == 10


def test_the_command_gives_lists_and_takes_back(stopped):
    line = ["--database-url", stopped.url, "--crm-schema", stopped.schema, "allow"]
    assert "Allowed once (permission 1)" in CliRunner().invoke(main, [*line, "2"]).stdout
    assert '"most": 11' in CliRunner().invoke(main, [*line, "--json"]).stdout
    assert "revoked" in CliRunner().invoke(main, [*line, "--revoke", "1"]).stdout
    assert "revoked" in CliRunner().invoke(main, line).stdout
    assert CliRunner().invoke(main, [*line, "1"]).exit_code == 1


def bad_deals(crm, *numbers, **settings):
    """Deals with keys that are not numbers, in batches of two."""
    records = [{"id": f"x{n}", "name": f"Ремонт {n}"} for n in numbers]
    crm.sync("leads", {"id": 1, "price": 1}, *records, max_bad_records=3, batch_size_rows=2, **settings)


def test_more_bad_records_are_left_out_once_by_one_load_on_the_page_and_by_command(crm):
    with pytest.raises(TooManyRejectsError):
        bad_deals(crm, *range(9))
    with serving(crm.config) as served:
        english, russian = served.enter(), served.enter("ru")
        assert "Сделка Ремонт 2" in russian.text("/runs/1")
        assert "If the load may go on without them" in english.text("/runs/1")
        assert "Разрешено один раз" in russian.post("/runs/1/allow", {}).text
        assert "пропустить любое число записей" in russian.text("/")
    bad_deals(crm, *range(9), dry_run=True)
    assert crm.execute("SELECT used_by FROM sync_permissions") == [{"used_by": None}]
    bad_deals(crm, *range(9))
    assert crm.execute("SELECT status FROM sync_runs ORDER BY id DESC LIMIT 1") == [{"status": "succeeded"}]
    assert crm.execute("SELECT used_by, most FROM sync_permissions") == [
        {"used_by": 3, "most": None}
    ]  # run 2 was the dry run
    assert crm.execute("SELECT count(*) AS n FROM sync_rejects WHERE run_id = 3") == [{"n": 9}]
    with pytest.raises(TooManyRejectsError):
        bad_deals(crm, *range(9))
    line = ["--database-url", crm.url, "--crm-schema", crm.schema, "allow"]
    assert "Allowed once (permission 2)" in CliRunner().invoke(main, [*line, "4"]).stdout
    bad_deals(crm, *range(9))
