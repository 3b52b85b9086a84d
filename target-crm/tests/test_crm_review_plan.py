"""The plan in the browser: every value from and to, what is left alone and why; of a dry run or a file of messages."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import review_data
from review_server import plain, serving

from target_crm.admin.plans import plan_file_of
from target_crm.config.settings import Settings
from target_crm.plan import index

COMMAND = str(Path(sys.executable).parent / "target-crm-admin")


def night(crm):
    """Messages that change, add, meet a manual edit, and can't be loaded."""
    companies = ({"id": 301, "name": "ООО «Северный ветер и сыновья»"}, {"id": 310, "name": "ООО «Новая»"})
    contacts = (
        review_data.contact(5, "Начальник склада № 2"),
        {"id": 520, "last_name": "Гостева", "company_id": 310},
    )
    lines = [crm.schema_message("companies"), *crm.messages("companies", *companies)]
    lines += [crm.schema_message("contacts"), *crm.messages("contacts", *contacts)]
    deals = crm.messages("leads", {"id": "x9"}, {"id": 702, "name": "Обслуживание на год", "price": 120001})
    return [*lines, crm.schema_message("leads"), *deals]


@pytest.fixture
def planned(crm, tmp_path):
    review_data.fill(crm)
    file = tmp_path / "plan.jsonl"
    crm.load(night(crm), dry_run=True, plan_file=str(file))
    return {**crm.config, "plan_file": str(file)}


def section(browser, name, table):
    return plain(browser.get("/plan", params={"section": name, "table": table}).text)


def test_every_part_of_a_plan_is_shown_with_names_and_reasons(planned):
    with serving(planned) as served:
        browser = served.enter("ru")
        changed = section(browser, "changed", "contacts")
        assert "Что изменит следующая загрузка" in changed
        assert "Васильев Пётр" in changed
        assert "Начальник склада № 2" in changed
        assert "Гостева" in section(browser, "new", "contacts")
        assert "Компания: ООО «Новая»" in section(browser, "new", "contacts"), "the name of a row that would be added"
        kept = section(browser, "kept", "leads")
        assert "Обслуживание, 2026" in kept
        assert "правка останется" in kept
        assert "Северный ветер и сыновья" in section(browser, "conflict", "companies")
        assert "Эти записи загрузить не удастся" in section(browser, "reject", "leads")


def test_a_plan_shows_no_name_of_the_database(planned):
    raw = re.compile(r"\b(?:first_name|last_name|amo_\w+|raw_fields|[a-z]+_id)\b|[0-9a-f]{8}-[0-9a-f]{4}-")
    with serving(planned) as served:
        browser = served.enter()
        for path in set(re.findall(r'href="(/plan\?[^"#]*)', browser.get("/plan").text)):
            assert raw.findall(browser.text(path.replace("&amp;", "&"))) == [], path


def test_a_large_plan_goes_on_page_by_page_and_says_what_is_only_counted(crm, tmp_path, monkeypatch):
    monkeypatch.setattr(index, "MOST_ENTRIES", 100)
    crm.load([])
    file = tmp_path / "plan.jsonl"
    many = crm.messages("companies", *({"id": n, "name": f"Фирма {n}"} for n in range(1, 121)))
    crm.load([crm.schema_message("companies"), *many], dry_run=True, plan_file=str(file))
    with serving({**crm.config, "plan_file": str(file)}) as served:
        browser = served.enter()
        first = browser.get("/plan").text
        assert "Companies 120" in plain(first)
        assert "counted but not shown" in plain(first)
        following = re.search(r'rel="next" href="([^"]+)"', first)[1].replace("&amp;", "&")
        assert "Фирма 51" in browser.text(following)
        assert 'rel="next"' not in browser.get(following).text


def test_without_a_plan_the_page_says_how_to_make_one(crm, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    crm.load([])
    with serving(crm.config) as served:
        assert "serve --plan FILE" in served.enter().text("/plan")


def test_messages_are_planned_before_the_first_load_and_nothing_is_made(crm, tmp_path):
    file = tmp_path / "messages.jsonl"
    file.write_text("\n".join(night(crm)) + "\n", "utf-8")
    line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "serve", "--port", "0", "--plan", str(file)]
    child = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)
    try:
        address = next(found[1] for text in child.stdout if (found := re.search(r"(http://\S+token=\S+)", text)))
        browser = requests.Session()
        assert "No sync has run yet" in browser.get(address, timeout=30).text
        page = browser.get(address.partition("/enter")[0] + "/plan?section=new&table=contacts", timeout=30)
        assert "Гостева" in plain(page.text)
    finally:
        child.terminate()
        child.communicate(timeout=30)
    made = crm.execute("SELECT FROM information_schema.tables WHERE table_schema = %s", crm.schema)
    assert made == []


def test_a_plan_of_messages_is_the_plan_of_their_dry_run(crm, planned, tmp_path):
    file = tmp_path / "messages.jsonl"
    file.write_text("\n".join(night(crm)) + "\n", "utf-8")
    with plan_file_of(Settings.from_config(crm.config), file) as kept:
        mine = [json.loads(line) for line in kept.read_text("utf-8").splitlines()]
    theirs = [json.loads(line) for line in Path(planned["plan_file"]).read_text("utf-8").splitlines()]

    def told(entries):
        return sorted((e["type"], e.get("column_name") or "", str(e.get("amo_value"))) for e in entries)

    assert told(mine) == told(theirs)
    assert mine[0] == theirs[0]
