"""`digest`: what happened and what waits as text, HTML and JSON, sent by Apprise; the alert when a sync is overdue."""

from __future__ import annotations

import json
import threading
from datetime import datetime, timedelta, timezone
from http.server import BaseHTTPRequestHandler, HTTPServer
from zoneinfo import ZoneInfo

import pytest
import review_data
from click.testing import CliRunner

from target_crm.admin.main import main
from target_crm.digest.period import read_since
from target_crm.errors import ConfigError


@pytest.fixture
def digest(crm):
    """The command on this schema; its exit code and what it printed."""

    def run(*arguments, **settings):
        variables = {f"TARGET_CRM_{name.upper()}": str(value) for name, value in settings.items()}
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, "digest", *arguments]
        return CliRunner(env=variables).invoke(main, line)

    return run


@pytest.fixture
def webhook():
    """A webhook that keeps what is sent to it; it answers with `status`."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            hook.received.append((self.path, json.loads(body)))
            self.send_response(hook.status)
            self.end_headers()

        def log_message(self, *_):
            pass

    hook = HTTPServer(("127.0.0.1", 0), Handler)
    hook.received, hook.status = [], 200
    threading.Thread(target=hook.serve_forever, daemon=True).start()
    yield hook
    hook.shutdown()
    hook.server_close()


def overdue(crm):
    """The only complete sync was three days ago."""
    crm.sync("contacts", {"id": 1})
    crm.execute("UPDATE sync_runs SET started_at = now() - interval '73 h', finished_at = now() - interval '73 h'")


def test_it_says_what_changed_by_table_and_what_waits(crm, digest):
    review_data.fill(crm)
    lines = [line.strip() for line in digest().stdout.splitlines()]
    assert lines[0] == "amoCRM sync: 8 open issues"
    assert any(line.startswith("Last complete sync: ") and line.endswith(" ago (run 2).") for line in lines)
    assert "2 loads ran and succeeded." in lines
    changed = lines[lines.index("What changed in the CRM") : lines.index("What needs a decision")]
    assert [line.partition(":")[0] for line in changed[1:4]] == ["Companies", "Contacts", "Leads"]
    assert changed[2].startswith("Contacts: 6 added, ")
    assert any(line.startswith("5 conflicts: both sides changed the same value, the oldest from") for line in lines)
    assert any(line.startswith("2 records that could not be loaded") for line in lines)


def test_what_happened_before_the_period_is_left_out(crm, digest):
    crm.sync("contacts", {"id": 1})
    crm.execute("UPDATE sync_runs SET started_at = now() - interval '25 h', finished_at = now() - interval '25 h'")
    assert "Nothing changed." in digest().stdout
    assert "Contacts: 1 added." in digest("--since", "26h").stdout


def test_what_was_rolled_back_did_not_change_anything(crm, digest):
    crm.sync("contacts", {"id": 1})
    CliRunner().invoke(main, ["--database-url", crm.url, "--crm-schema", crm.schema, "undo", "1"])
    shown = digest().stdout
    assert "1 run was rolled back." in shown
    assert "Nothing changed." in shown


def test_in_russian_numbers_and_forms_are_russian(crm, digest):
    crm.sync("contacts", {"id": 1})
    crm.execute("""UPDATE sync_runs SET counts = '{"contacts": {"inserted": 12345, "updated": 2}}'""")
    lines = [line.strip() for line in digest("--lang", "ru").stdout.splitlines()]
    assert lines[0] == "Синхронизация с amoCRM: всё в порядке"
    assert "Загрузок: 1, прошла успешно." in lines
    assert "Контакты: добавлено 12\N{NO-BREAK SPACE}345 и изменено 2." in lines
    assert "Ничего не ждёт решения." in lines


def test_links_lead_to_the_review_page_where_its_address_is_known(crm, digest):
    review_data.fill(crm)
    assert "http" not in digest().stdout
    assert ": https://crm.example/sync/conflicts" in digest(public_url="https://crm.example/sync/").stdout


def test_html_is_one_page_in_which_names_of_tables_and_values_are_text(crm, digest):
    review_data.fill(crm)
    page = digest("--format", "html", "--lang", "ru", public_url="https://crm.example").stdout
    assert page.startswith('<!doctype html>\n<html lang="ru">')
    assert '<a href="https://crm.example/conflicts">5 конфликтов: ' in page
    assert "src=" not in page


def test_json_has_the_numbers(crm, digest):
    review_data.fill(crm)
    found = json.loads(digest("--json", public_url="https://crm.example").stdout)
    assert found["changes"]["contacts"]["inserted"] == 6
    assert found["waiting"] == {"conflicts": 5, "proposals": 0, "rejects": 2, "warnings": 1}
    assert found["is_overdue"] is False
    assert found["links"]["rejects"] == "https://crm.example/rejects"


def test_the_alert_is_silent_while_the_last_sync_is_young_enough(crm, digest):
    overdue(crm)
    done = digest("--alert", max_sync_age_hours=74)
    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1


def test_the_alert_ends_with_code_3_when_the_last_sync_is_older_than_the_setting(crm, digest):
    overdue(crm)
    done = digest("--alert", max_sync_age_hours=72)
    assert done.exit_code == 3
    assert "Last complete sync: 3 days ago (run 1). It is overdue: the limit is 3 days." in done.stdout
    assert "Error: The amoCRM sync is overdue." in done.stderr


def test_the_alert_covers_a_database_without_a_load(digest):
    done = digest("--alert")
    assert done.exit_code == 3
    assert "No load has run here yet" in done.output


def test_it_is_sent_to_the_addresses_and_their_secrets_are_not_shown(crm, digest, webhook, caplog):
    crm.sync("contacts", {"id": 1})
    url = f"json://user:pass-word@127.0.0.1:{webhook.server_port}/secret-path"
    done = digest("--send", digest_urls=url)
    assert done.exit_code == 0, done.output
    ((path, sent),) = webhook.received
    assert path == "/secret-path"
    assert sent["title"] == "amoCRM sync: everything is in order"
    assert "Contacts: 1 added." in sent["message"]
    assert "Sent: JSON." in done.stderr
    assert "secret" not in done.output + caplog.text
    assert "pass-word" not in done.output + caplog.text


def test_an_alert_is_sent_only_when_there_is_one(crm, digest, webhook):
    overdue(crm)
    url = f"json://127.0.0.1:{webhook.server_port}/"
    assert digest("--alert", "--send", digest_urls=url, max_sync_age_hours=80).exit_code == 0
    assert webhook.received == []
    assert digest("--alert", "--send", digest_urls=url, max_sync_age_hours=24).exit_code == 3
    assert [(sent["title"], sent["type"]) for _, sent in webhook.received] == [
        ("The amoCRM sync is overdue", "warning")
    ]


def test_a_service_that_does_not_take_it_is_an_error_that_names_its_kind_alone(crm, digest, webhook, caplog):
    crm.sync("contacts", {"id": 1})
    webhook.status = 500
    done = digest("--send", digest_urls=f"json://127.0.0.1:{webhook.server_port}/secret-path")
    assert done.exit_code == 1
    assert "Error: The digest could not be delivered to: JSON." in done.stderr
    assert "secret" not in done.output + caplog.text


@pytest.mark.parametrize("url", ["nosuch://secret", "secret"])
def test_an_address_that_can_not_be_read_is_refused_without_showing_it(crm, digest, url):
    crm.sync("contacts", {"id": 1})
    done = digest("--send", digest_urls=url)
    assert done.exit_code == 1
    assert "Setting digest_urls: an address is not valid." in done.stderr
    assert "secret" not in done.output


def test_sending_without_an_address_names_the_setting(digest):
    done = digest("--send")
    assert done.exit_code == 1
    assert "Setting digest_urls is missing" in done.stderr


NOW = datetime(2026, 11, 26, 1, 30, tzinfo=timezone.utc)
MOSCOW = ZoneInfo("Europe/Moscow")


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("yesterday", datetime(2026, 11, 25, tzinfo=MOSCOW)),
        ("today", datetime(2026, 11, 26, tzinfo=MOSCOW)),
        ("24h", NOW - timedelta(hours=24)),
        ("90m", NOW - timedelta(minutes=90)),
        ("2026-11-20T08:00", datetime(2026, 11, 20, 8, tzinfo=MOSCOW)),
        ("2026-11-20T08:00Z", datetime(2026, 11, 20, 8, tzinfo=timezone.utc)),
    ],
)
def test_a_period_begins_where_people_say_on_the_account_s_clock(text, moment):
    assert read_since(text, NOW, MOSCOW) == moment


@pytest.mark.parametrize("text", ["tomorrow", "2030-01-01", "", "99999999999d"])
def test_what_is_not_a_moment_in_the_past_is_refused(text):
    with pytest.raises(ConfigError, match="not a time in the past"):
        read_since(text, NOW, MOSCOW)
