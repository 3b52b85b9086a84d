"""Readable names instead of the database's: labels, records by name, times on the account's clock, cards, search."""

from __future__ import annotations

import json
import re
from importlib import resources

import pytest
import review_data
from review_desk import at_desk
from review_server import plain, serving

# Names of tables and columns, keys, and times as the database writes them.
RAW = re.compile(
    r"\b(?:first_name|last_name|responsible_id|company_id|amo_\w+|raw_fields|contact_phones|contacts|companies|leads"
    r"|is_\w+|due_at|loss_reason|updated_at)\b"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}"
    r"|\d{4}-\d\d-\d\dT"
)
BUILTIN = resources.files("target_crm.mapping").joinpath("builtin.yaml").read_text("utf-8")
HOME = "https://romashka.amocrm.ru"


def with_address(crm, stream="contacts"):
    message = json.loads(crm.schema_message(stream))
    message["schema"]["x-amocrm-account"] |= {"url": HOME}
    return json.dumps(message)


@pytest.fixture
def desk(crm):
    with at_desk(crm) as found:
        crm.load([with_address(crm)])
        yield found


@pytest.fixture
def task(crm):
    """A task whose time both sides changed."""
    before = {"id": 9, "text": "Позвонить", "complete_till": "2026-12-01T09:00:00+00:00"}
    crm.sync("tasks", before)
    crm.execute("UPDATE tasks SET due_at = '2026-12-02 09:00+00'")
    crm.sync("tasks", {**before, "complete_till": "2026-12-05T09:00:00+00:00"})
    (number,) = [c["id"] for c in crm.conflicts() if c["column_name"] == "due_at"]
    return number


def pages(desk):
    contact = desk.crm.row("contacts", 501)["id"]
    cards = f"/cards/contacts/{contact}"
    found = ["/", "/conflicts", "/conflicts?resolved=1", f"/conflicts/{desk.conflict(501)}", cards, "/runs"]
    found += ["/runs/1", "/runs/1?all=1", "/runs/2", "/runs/2/undo", "/records", "/records?q=Соколова", "/warnings"]
    return [*found, f"/records/contacts/{contact}"]


@pytest.mark.parametrize("language", ["en", "ru"])
def test_no_name_of_the_database_reaches_a_page(desk, language):
    desk.browser.settle(desk.conflict(502), "amo")
    browser = desk.served.enter(language)
    for path in pages(desk):
        shown = plain(re.sub(r"<pre.*?</pre>", "", browser.get(path).text, flags=re.DOTALL))
        assert RAW.findall(shown) == [], path


def test_a_record_leads_to_its_card_in_amocrm(desk):
    page = desk.browser.get(f"/conflicts/{desk.conflict(501)}").text
    assert f'<a href="{HOME}/contacts/detail/501" target="_blank" rel="noopener noreferrer"' in page


def test_a_task_leads_to_the_card_of_what_it_is_of(crm):
    crm.load([with_address(crm, "tasks"), *crm.messages("tasks", {"id": 9, "entity_type": "leads", "entity_id": 701})])
    with serving(crm.config) as served:
        assert f"{HOME}/leads/detail/701" in served.enter().get("/records?table=tasks&key=9").text


def test_a_record_leads_to_its_page_in_the_crm(crm, tmp_path):
    address = "    table: contacts\n    url: 'https://crm.example/people/{id}'\n    label: '{last_name} ({position})'\n"
    file = tmp_path / "own.yaml"
    file.write_text(BUILTIN.replace("    table: contacts\n", address))
    crm.load([])
    crm.sync("contacts", review_data.contact(0, "Инженер"), mapping_file=str(file))
    key = crm.row("contacts", 501)["id"]
    with serving({**crm.config, "mapping_file": str(file)}) as served:
        page = served.enter().get("/records?table=contacts&key=501").text
    assert f'href="https://crm.example/people/{key}"' in page
    assert "Соколова (Инженер)" in plain(page)


def test_a_time_is_shown_and_typed_on_the_accounts_clock(crm, task):
    with serving(crm.config) as served:
        browser = served.enter("ru")
        page = browser.get(f"/conflicts/{task}").text
        assert "02.12.2026 12:00 на 1 день позже" in plain(page)
        assert 'value="2026-12-02T12:00" type="datetime-local"' in page
        browser.settle(task, "value", value="2026-12-31T12:00")
    assert crm.row("tasks", 9)["due_at"].isoformat() == "2026-12-31T09:00:00+00:00"


def test_a_link_is_chosen_by_name(crm):
    users = [{"id": n, "name": name} for n, name in ((1, "Иван Волков"), (2, "Анна Лис"), (3, "Пётр Заяц"))]
    crm.sync("users", *users)
    crm.sync("contacts", {"id": 5, "responsible_user_id": 1})
    ids = {row["name"]: row["id"] for row in crm.rows("users")}
    crm.execute("UPDATE contacts SET responsible_id = %s", ids["Анна Лис"])
    crm.sync("contacts", {"id": 5, "responsible_user_id": 3})
    (number,) = [c["id"] for c in crm.conflicts()]
    with serving(crm.config) as served:
        browser = served.enter()
        page = browser.get(f"/conflicts/{number}").text
        assert re.search(rf'<option value="{ids["Анна Лис"]}" selected>Анна Лис</option>', page)
        assert browser.settle(number, "value", value="Никто").status_code == 422
        browser.settle(number, "value", value="иван волков")
    assert crm.row("contacts", 5)["responsible_id"] == ids["Иван Волков"]


def test_of_many_rows_the_field_searches_by_name_and_tells_namesakes_apart(crm):
    crm.sync("companies", *({"id": n, "name": f"Фирма {n % 90}"} for n in range(1, 131)))
    crm.sync("contacts", {"id": 5, "company_id": 1})
    second = crm.row("companies", 2)["id"]
    crm.execute("UPDATE contacts SET company_id = %s", second)
    crm.sync("contacts", {"id": 5, "company_id": 3})
    (number,) = [c["id"] for c in crm.conflicts()]
    with serving(crm.config) as served:
        browser = served.enter()
        assert 'list="another-list"' in browser.get(f"/conflicts/{number}").text
        offered = browser.get("/choices?table=contacts&column=company_id&q=фирма 4").json()
        assert "Фирма 4 · № 4" in offered
        assert browser.settle(number, "value", value="Фирма 4").status_code == 422
        browser.settle(number, "value", value="Фирма 4 · № 94")
    assert crm.row("contacts", 5)["company_id"] == crm.row("companies", 94)["id"]


@pytest.mark.parametrize(
    "typed",
    ["Соколова", "анна сокол", "+7 916 000-00-00", "8 (916) 000 00 00", "9160000000", "501", "соколова Анна"],
)
def test_a_record_is_found_by_what_people_know_of_it(desk, typed):
    answer = desk.browser.get(f"/records?q={typed.replace('+', '%2B')}")
    assert answer.url.endswith(f"/records/contacts/{desk.crm.row('contacts', 501)['id']}")


def test_a_company_is_found_by_inn_and_a_contact_by_mail(crm, custom_field):
    crm.sync("companies", {"id": 4, "name": "Ромашка", "custom_fields_values": [custom_field("INN", "7707083893")]})
    crm.sync("contacts", {"id": 5, "name": "А", "custom_fields_values": [custom_field("EMAIL", "Anna@Example.com")]})
    with serving(crm.config) as served:
        browser = served.enter()
        assert "/records/companies/" in browser.get("/records?q=7707083893").url
        assert "/records/contacts/" in browser.get("/records?q=anna@example.COM").url


def test_what_is_called_so_in_several_tables_is_listed_and_nothing_is_said(desk):
    desk.crm.sync("leads", {"id": 909, "name": "Петров, поставка"})
    listed = desk.browser.text("/records?q=петров")
    assert "Contact Петров Иван" in listed
    assert "Lead Петров, поставка" in listed
    assert "No records found." in desk.browser.text("/records?q=zzz%25")


def test_without_a_question_the_records_changed_last_are_listed(desk):
    assert "Recently changed" in desk.browser.text("/records")
    assert "Соколова Анна" in desk.browser.text("/records")


def test_a_column_of_ones_own_is_called_as_the_mapping_or_the_account_says(crm, tmp_path):
    crm.load([])
    crm.execute(
        "ALTER TABLE contacts ADD COLUMN vip_level text, ADD COLUMN delivery_city text, ADD COLUMN odd_one text"
    )
    first = "      first_name: {from: [first"
    own = (
        "      vip_level: {field: [901], label: Уровень VIP}\n      delivery_city: {field: [902]}\n"
        "      odd_one: {field: [903]}\n"
    )
    file = tmp_path / "own.yaml"
    file.write_text(BUILTIN.replace(first, own + first))
    field = {"id": 902, "entity_type": "contacts", "name": "Город доставки"}
    lines = [crm.schema_message("custom_fields"), *crm.messages("custom_fields", field)]
    crm.load([*lines, crm.schema_message("contacts"), *crm.messages("contacts", {"id": 5})], mapping_file=str(file))
    with serving({**crm.config, "mapping_file": str(file)}) as served:
        text = served.enter().text("/records?table=contacts&key=5")
    assert "Уровень VIP" in text
    assert "Город доставки" in text
    assert "Odd one" in text
