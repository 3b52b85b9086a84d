"""The report: one page that holds what the tables hold, and nothing hostile gets through."""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
import review_data
from click.testing import CliRunner

from target_crm.admin import main
from target_crm.config.settings import Settings
from target_crm.operations.conflicts import Filter, resolve
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo
from target_crm.presentation.texts.report import TEXTS

COMMAND = str(Path(sys.executable).parent / "target-crm-admin")
METRICS = {
    "duration_seconds": 5.2,
    "requests": 30,
    "requests_by_stream": {"contacts": 20, "notes": 9, "account": 1},
    "requests_without_batching": 400,
    "requests_per_second_series": [5, 7, 7, 7, 4],
    "records_series": {"contacts": [0, 250, 500], "notes": [0, 0, 100]},
    "seconds_waiting_for_api": 9.1,
}


@pytest.fixture
def report(crm, tmp_path):
    def write(*options):
        file = tmp_path / "report.html"
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, "report", "--html", str(file), *options]
        done = CliRunner().invoke(main, line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return file.read_text("utf-8")

    return write


def text_of(page, heading):
    """The text of a section without its tags, on one line."""
    part = re.sub("</?mark>", "", page[page.index(f"<h2>{heading}") :])
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", part[: part.find("<h2>", 4)])).split())


def test_the_page_holds_the_runs_counts_conflicts_and_rejects(crm, report):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"}, {"id": 2, "last_name": "Орлов"})
    crm.execute("UPDATE contacts SET last_name = 'Вручную' WHERE amo_id = 1")
    crm.load(
        [
            crm.schema_message("contacts"),
            *crm.messages("contacts", {"id": 1, "last_name": "Петров"}, {"id": 2, "last_name": "Соколов"}),
            crm.schema_message("leads"),
            *crm.messages("leads", {"id": "пять"}, {"id": 5, "price": "сто рублей"}),
        ]
    )
    page = report("--last")
    assert "Conflicts: 1" in page
    assert all(value in page for value in ("Иванов", "Вручную", "Петров", "Соколов"))
    assert "Not loaded: 1" in page
    assert "Budget" in page
    (run,) = crm.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    row = re.search(r'<th scope="row">Contacts</th>(.*?)</tr>', page)[1]
    shown = [int(n.replace(",", "")) for n in re.findall(r'<td class="n(?: zero)?">([\d,]+)</td>', row)]
    names = (
        "read",
        "inserted",
        "updated",
        "unchanged",
        "kept",
        "conflicts",
        "deleted",
        "restored",
        "rejected",
        "warnings",
    )
    assert shown == [run["counts"]["contacts"].get(name, 0) for name in names]


def test_one_run_is_chosen_by_its_number(crm, report):
    crm.sync("contacts", {"id": 1, "last_name": "Первый"})
    crm.sync("contacts", {"id": 1, "last_name": "Второй"})
    first = crm.execute("SELECT min(id) AS id FROM sync_runs")[0]["id"]
    assert f"<h1>Load {first} " in report(str(first))


def test_plots_are_svg_with_text_alternatives(crm, report, tmp_path):
    crm.sync("contacts", {"id": 1})
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(METRICS))
    page = report("--last", "--metrics-file", str(file))
    drawings = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert next(e for e in root if e.tag.endswith("desc")).text
    assert "30 requests in 5 seconds, at most 7 in one; the limit is 7." in page
    assert "400 with one for each card" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_hostile_names_are_text(crm, report):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.sync("contacts", {"id": 1, "last_name": hostile})
    page = report("--last")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_page_needs_no_network(crm, report):
    crm.sync("contacts", {"id": 1})
    page = report("--last")
    assert not re.search(r'(?:src|href)="(?!#|data:)[^"]*"', re.sub(r"xlink:href", "x", page))
    assert "default-src 'none'" in page


def test_what_was_kept_is_shown_with_its_reason(crm, report):
    records = [{"id": n, "last_name": "Иванов", "first_name": "Пётр"} for n in range(1, 5)]
    crm.sync("contacts", *records, {"id": 9, "last_name": "Орлов"})
    crm.execute("UPDATE contacts SET first_name = 'Петя' WHERE amo_id = 1")
    crm.execute("UPDATE contacts SET last_name = 'Сидоров' WHERE amo_id IN (2, 3)")
    crm.sync("contacts", *({**r, "last_name": "Кузнецов"} for r in records))
    settled = crm.conflicts()[-1]["id"]
    with open_session(Settings.from_config(crm.config)) as session:
        resolve(session, Filter(ids=[settled]), "crm")
    (run,) = crm.execute("SELECT max(id) AS id FROM sync_runs WHERE kind = 'load'")
    text = text_of(report(str(run["id"])), "What was kept")
    assert "edited by hand; amoCRM has not changed 1 " in text
    assert "amoCRM sent another value: an open conflict 1 " in text
    assert "a conflict resolved in favour of the CRM, or with another value 1 " in text
    assert "Contact Кузнецов Петя First name Петя Пётр edited by hand" in text
    assert "Орлов" not in text


@pytest.mark.parametrize(
    ("policy", "why"), [("crm_wins", "gives the CRM priority"), ("fill_empty", "where it is empty")]
)
def test_a_policy_is_a_reason_to_keep(crm, report, monkeypatch, policy, why):
    crm.config["default_policy"] = policy
    monkeypatch.setenv("TARGET_CRM_DEFAULT_POLICY", policy)
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.execute("UPDATE contacts SET last_name = 'Вручную'")
    counts = crm.sync("contacts", {"id": 1, "last_name": "Петров"})
    assert counts["kept"] == 1
    assert re.search(rf"{why}(?: in this field)? 1 ", text_of(report("--last"), "What was kept"))


def test_figures_are_of_the_tables_however_much_is_shown(crm, report):
    crm.sync("contacts", {"id": 1})
    crm.execute(
        "INSERT INTO sync_conflicts (run_id, table_name, row_id, column_name, base_value, crm_value, amo_value) "
        "SELECT 1, 'contacts', gen_random_uuid()::text, 'email', '1', '2', '3' FROM generate_series(1, 1234)"
    )
    crm.execute(
        "INSERT INTO sync_rejects (run_id, error, record) SELECT 1, 'wrong', n FROM generate_series(1, 777) AS n"
    )
    page = report("1")
    assert "<h2>Conflicts: 1,234</h2>" in page
    assert "<b>1,234</b> conflicts" in page
    assert "<h2>Not loaded: 777</h2>" in page
    assert page.count("The first 500.") == 2


def test_the_page_calls_records_by_their_names_and_reasons_in_plain_words(crm, report):
    review_data.fill(crm)
    page = report("--last")
    named = "Contact Соколова Анна Position Директор по закупкам Директор по закупкам и логистике"
    assert named in text_of(page, "Conflicts")
    assert 'id must be a whole number, got "x9".' in text_of(page, "Not loaded")
    assert '"name": "Без номера"' in text_of(page, "Not loaded")
    assert '"сто тысяч" is not a number. W_NOT_A_NUMBER' in text_of(page, "Values left out")
    shown = re.search(r"<h2>Changes by field</h2>.*?</table>", page, re.DOTALL)[0]
    counted = crm.execute(
        "SELECT table_name, column_name, count(*) AS n FROM sync_changes WHERE run_id = 2 "
        "AND column_name <> 'raw_fields' GROUP BY 1, 2"
    )
    found = re.findall(r"<td>([\w ·]+)</td><td>([\w ]+)</td><td class=\"n\">(\d+)</td>", shown)
    names = {"contacts": "Contact", "contact_phones": "Contact · Phones", "leads": "Lead"}
    columns = {"position": "Position", "*": "whole record"}
    assert {(t, c, int(n)) for t, c, n in found} == {
        (names[c["table_name"]], columns[c["column_name"]], c["n"]) for c in counted
    }


def test_the_report_speaks_russian_throughout(crm, report, tmp_path):
    review_data.fill(crm)
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(METRICS))
    page = report("2", "--metrics-file", str(file), "--lang", "ru")
    assert '<html lang="ru">' in page
    assert "<h1>Загрузка № 2 <" in page
    assert "запросов: 30 за 5 с, не больше 7 в секунду; предел 7." in page.lower()
    assert "Свойство id должно быть целым числом, получено" in text_of(page, "Не загружено")
    shown = {html.unescape(text).strip() for text in re.findall(r">([^<>]+)<", page)}
    shown |= set(re.findall(r'aria-label="([^"]+)"', page))
    english = {text[0] for text in TEXTS.values() if re.search("[a-z]", text[0]) and text[0] != text[1]}
    assert not english & shown
    assert {TEXTS[key][1] for key in ("kept_title", "counts_note", "conflicts_note", "plot_times", "time_api")} <= shown


def test_an_undo_is_reported_in_both_languages(crm, report):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.sync("contacts", {"id": 1, "last_name": "Петров"})
    with open_session(Settings.from_config(crm.config)) as session:
        undo(session, 2)
    english, russian = report("--last"), report("--last", "--lang", "ru")
    assert "<h1>Run 3: rollback <" in english
    assert "Rolls back run 2." in english
    assert "<h1>Операция № 3: откат <" in russian
    assert "Отменяет загрузку № 2." in russian
    assert "Отменена операцией № 3." in report("2", "--lang", "ru")


def test_the_trend_is_of_the_last_thirty_runs(crm, report):
    crm.sync("contacts", {"id": 1})
    crm.execute(
        "INSERT INTO sync_runs (status, finished_at, counts) SELECT 'succeeded', now(), "
        "jsonb_build_object('contacts', jsonb_build_object('inserted', n)) FROM generate_series(1, 40) AS n"
    )
    page = report("--last")
    text = text_of(page + "<h2>", "Last 30 runs")
    assert "run 12: 11 written, 0 conflicts" in page
    assert "run 11: " not in page
    assert "41 load" in text


def test_a_file_that_can_not_be_written_and_metrics_that_are_none_are_one_message(crm, tmp_path):
    crm.sync("contacts", {"id": 1})
    bad = tmp_path / "metrics.json"
    bad.write_text("[1]")
    for options in (
        ["--html", str(tmp_path / "no" / "r.html")],
        ["--html", str(tmp_path / "r.html"), "--metrics-file", str(bad)],
    ):
        line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "report", "--last", *options]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
        assert options[-1] in done.stderr


def test_the_time_in_the_merge_is_kept_with_the_run_and_drawn(crm, report):
    crm.sync("contacts", {"id": 1})
    crm.sync("contacts", {"id": 1, "last_name": "Петров"})
    _, last = crm.execute(
        "SELECT merge_seconds, extract(epoch FROM finished_at - started_at)::float AS seconds "
        "FROM sync_runs ORDER BY id"
    )
    assert 0 < last["merge_seconds"] < last["seconds"]
    assert f"of that in the merge {round(last['merge_seconds'], 1):g} s" in report("--last")


def test_the_page_begins_with_sentences_figures_what_is_to_be_done_and_changes(crm, report):
    review_data.fill(crm)
    crm.execute(
        "INSERT INTO sync_accounts (account_id, url) VALUES (77, 'https://romashka.amocrm.ru') "
        "ON CONFLICT (account_id) DO UPDATE SET url = excluded.url"
    )
    page = report("--last")
    head = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page[page.index("<h1>") : page.index("<details>")])).split())
    assert "14 records were read from amoCRM. In the CRM: 1 added, 13 changed. Also:" in head
    assert len(re.findall(r"<li[^>]*><b>", page[page.index('<ul class="tiles">') : page.index("</ul>")])) == 5
    assert "Resolve conflicts: 5. Both sides changed the same value." in head
    assert "Кузнецова Мария Contact · Position: Бухгалтер → Главный бухгалтер" in head
    assert 'href="https://romashka.amocrm.ru/contacts/detail/503"' in page


@pytest.mark.parametrize(
    ("requests", "seconds", "said"),
    [
        (420, 62.0, "97 % of the time was the limit of 7 requests a second."),
        (30, 60.0, "The limit of 7 requests a second did not slow the run down (7 % of the time)"),
    ],
)
def test_the_bottleneck_is_reported_by_its_share(crm, report, tmp_path, requests, seconds, said):
    crm.sync("contacts", {"id": 1})
    file = tmp_path / "metrics.json"
    counts = {"200": requests, "429": 2}
    file.write_text(json.dumps({**METRICS, "requests": requests, "duration_seconds": seconds, "status_counts": counts}))
    page = report("--last", "--metrics-file", str(file))
    assert said in page
    assert "Refused or failed requests: 2; repeated: 0." in page


@pytest.mark.parametrize(
    ("slots", "answers", "said"),
    [
        (58.0, 2.0, "97 % of the time was the limit of 7 requests a second."),
        (3.0, 48.0, "80 % of the time the run waited for amoCRM's answers"),
        (3.0, 6.0, "Neither the limit of requests nor amoCRM nor the database slowed the run down much."),
    ],
)
def test_what_the_tap_measured_decides_what_the_bottleneck_was(crm, report, tmp_path, slots, answers, said):
    crm.sync("contacts", {"id": 1})
    crm.execute("UPDATE sync_runs SET merge_seconds = 0.0")
    file = tmp_path / "metrics.json"
    waits = {"contacts": {"answers": 20, "answer_median": 0.25, "answer_p95": 1.5, "answer_slowest": 2, "refused": 3}}
    more = {"seconds_for_slots": slots, "seconds_for_answers": answers, "waits_by_stream": waits}
    file.write_text(json.dumps({**METRICS, "requests": 420, "duration_seconds": 60.0, **more}))
    page = html.unescape(report("--last", "--metrics-file", str(file)))
    assert said in page
    assert f"{round(slots / 0.6)}\u00a0%" in page
    row = re.search(r'<th scope="row">Contacts</th><td class="n">20</td>(.*?)</tr>', page)[1]
    assert re.findall(r">([^<>]+)</td>", row) == ["0", "250", "1,500", "2,000", "3"]
