"""The Russian page speaks Russian: no English sentence and no words of PostgreSQL's, whatever happens."""

from __future__ import annotations

import re
from pathlib import Path

import psycopg
import pytest
import review_data
from review_server import Browser, hidden, plain, serving

from target_crm.errors import MappingError, StrictError, TooManyRejectsError

# English words in a row are a sentence; names of commands, options, tables and settings are words without blanks.
SENTENCE = re.compile(r"(?<![\w./-])[A-Za-z][a-z']+(?:[ ,]+[A-Za-z']+){2,}")
TEMPLATES = Path(__file__).parents[1] / "target_crm" / "web" / "templates"


# Tables are called by their names; lists of them are not sentences.
TABLES = "users|companies|contacts|leads|notes|tasks|(?:company|contact)_(?:phones|emails)"


def english(text):
    return SENTENCE.findall(re.sub(rf"target-crm[\w-]*(?: [\w-]+)*|\b(?:{TABLES})\b", " ", text))


@pytest.fixture
def served(crm):
    review_data.fill(crm)
    crm.execute("CREATE UNIQUE INDEX ON leads (name)")
    crm.sync("leads", {"id": 801, "name": "Склад"}, {"id": 802, "name": "Склад"})
    crm.sync("leads", {"id": 803, "name": "Поле", "closed_at": "вчера"}, {"id": {"x": 1}}, {"id": 805})
    good = crm.messages("leads", {"id": 804})
    crm.load(["{", crm.schema_message("leads"), '{"type":"RECORD","stream":"leads"}', *good])
    crm.execute(
        f"CREATE FUNCTION {crm.schema}.refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "RAISE EXCEPTION 'Так нельзя'; END $$"
    )
    with serving(crm.config) as found:
        yield found


def test_no_page_shows_an_english_sentence(served):
    browser = served.enter("ru")
    pages = ["/", "/conflicts", "/conflicts/1", "/conflicts?resolved=1", "/runs", "/runs/1", "/runs/2", "/runs/1/undo"]
    pages += ["/records", "/records?table=contacts&key=501", "/rejects", "/rejects?resolved=1"]
    pages += ["/proposals", "/proposals/1"]
    for path in pages:
        answer = browser.get(path)
        assert answer.status_code == 200, path
        assert english(plain(answer.text)) == [], path


def test_no_error_shows_an_english_sentence(served):
    browser = served.enter("ru")
    paths = ["/runs/999", "/runs/999/undo", "/conflicts/999", "/no/such/page", "/records?table=contacts&key=999"]
    paths += ["/records/contacts/x", "/records/nope/1", "/records?table=contacts&key=amo:1:2:3"]
    for path in paths:
        answer = browser.get(path)
        assert answer.status_code == 404, path
        assert english(plain(answer.text)) == [], path


def test_a_run_that_is_undone_twice_is_refused_in_russian(served):
    browser = served.enter("ru")
    browser.post("/runs/1/undo", {"confirmed": "1"})
    answer = browser.get("/runs/1/undo")
    assert answer.status_code == 409
    assert re.search(r"Загрузка 1 уже отменена загрузкой \d+\.", plain(answer.text))
    assert english(plain(answer.text)) == []


def test_runs_that_failed_say_why_in_russian(crm, served):
    bad = [crm.schema_message("leads"), *crm.messages("leads", {"id": "x9"})]
    with pytest.raises(TooManyRejectsError):
        crm.load(bad, max_bad_records=0)
    with pytest.raises(StrictError):
        crm.load(bad, on_bad_record="fail")
    with pytest.raises(MappingError):
        crm.load([crm.schema_message("unheard_of")], unmapped_streams="fail")
    crm.execute("INSERT INTO sync_runs (status, kind) VALUES ('running', 'load')")
    crm.execute(
        "INSERT INTO sync_runs (status, kind, error, finished_at) "
        "VALUES ('failed', 'load', 'Some words of an earlier version', now())"
    )
    browser = served.enter("ru")
    page = plain(browser.get("/runs").text)
    assert english(page) == []
    for said in (
        "Отклонено записей: 1, больше max_bad_records = 0.",
        "Поток Сделки: запись отклонена (E_KEY_NOT_A_NUMBER), а on_bad_record — fail",
        "Для потока unheard_of не указана таблица.",
        "Процесс завершился, не закрыв загрузку.",
        "Причину по-английски покажет target-crm-admin status.",
    ):
        assert said in page
    for (number,) in (row.values() for row in crm.execute("SELECT id FROM sync_runs")):
        assert english(plain(browser.get(f"/runs/{number}").text)) == [], number


def test_every_unknown_thing_is_named_in_russian(served):
    browser = served.enter("ru")
    for path, said in {
        "/runs/999": "Загрузки 999 нет; есть загрузки с 1 по",
        "/conflicts/999": "Такого конфликта нет: 999. Открытые конфликты: 1,",
        "/records/nope/1": "Таблицы nope нет в сопоставлении.",
        "/records/contact/1": "Похожее имя: contacts.",
        "/records?table=contacts&key=999": "Записи 999 нет: Контакты.",
    }.items():
        assert said in plain(browser.get(path).text), path


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ("CREATE TRIGGER refuse BEFORE UPDATE ON contacts FOR EACH ROW EXECUTE FUNCTION refuse()", "Так нельзя"),
        ("CREATE UNIQUE INDEX ON contacts (position)", "единственным"),
        ("ALTER TABLE contacts ADD CONSTRAINT short CHECK (position NOT LIKE 'Ведущий%%') NOT VALID", "short"),
    ],
    ids=["trigger", "unique", "check"],
)
def test_a_decision_that_the_database_refuses_is_explained_in_russian(crm, served, rule, said):
    crm.execute("UPDATE contacts SET position = 'Ведущий инженер' WHERE amo_id = 503")
    number = next(c["id"] for c in crm.conflicts() if c["amo_value"] == "Ведущий инженер")
    crm.execute(rule)
    answer = served.enter("ru").settle(number, "amo")
    assert answer.status_code == 422
    assert said in plain(answer.text)
    assert english(plain(answer.text)) == []


def conflict_of_a_contact(crm):
    return next(c["id"] for c in crm.conflicts() if c["amo_value"] == "Ведущий инженер")


def test_a_failed_login_is_explained_in_russian(crm):
    with serving(crm.config, "correct horse battery") as locked:
        browser = Browser(locked.url, "ru")
        for status in (401, *[401] * 4, 429):
            answer = browser.send("/enter", {"password": "falsch"})
            assert answer.status_code == status
            assert english(plain(answer.text)) == []
        assert english(plain(Browser(locked.url, "ru").get("/enter?token=falsch").text)) == []


def test_a_form_that_is_out_of_date_is_explained_in_russian(crm, served):
    browser, number = served.enter("ru"), conflict_of_a_contact(crm)
    page = browser.get(f"/conflicts/{number}").text
    crm.execute("UPDATE contacts SET position = 'Снова вручную'")
    late = browser.decide(page, number, "amo")
    foreign = browser.send(f"/conflicts/{number}", {"take": "amo", "form_token": "x"})
    for answer, status in ((late, 409), (foreign, 403)):
        assert answer.status_code == status
        assert re.search("[а-яё]{4}", plain(answer.text))
        assert english(plain(answer.text)) == []


def test_waiting_in_vain_for_a_load_or_a_row_is_explained_in_russian(crm, served, monkeypatch):
    monkeypatch.setattr("target_crm.web.crm._PATIENCE_SECONDS", 0.3)
    number = conflict_of_a_contact(crm)
    holds = [
        f"SELECT pg_advisory_lock(hashtextextended('target-crm:{crm.schema}:77', 0))",
        f"UPDATE {crm.schema}.contacts SET position = position",
    ]
    for hold in holds:
        with psycopg.connect(crm.url) as somebody, serving(crm.config) as impatient:
            somebody.execute(hold.encode())
            answer = impatient.enter("ru").settle(number, "amo")
            somebody.rollback()
            somebody.execute("SELECT pg_advisory_unlock_all()")
        assert answer.status_code == 503
        assert re.search("[а-яё]{4}", plain(answer.text))
        assert english(plain(answer.text)) == []


def test_plain_answers_before_a_page_are_short_and_name_the_option(served):
    answer = Browser(served.url, "ru").get("/enter", headers={"Host": "elsewhere.example"})
    assert "--public-url" in answer.text


def test_hidden_fields_and_titles_are_russian_too(served):
    page = served.enter("ru").get("/conflicts/1").text
    assert hidden(page, "form_token")
    for text in re.findall(r'(?:title|aria-label|placeholder)="([^"]*)"', page):
        assert english(text) == []
