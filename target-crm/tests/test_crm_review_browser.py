"""The review page in a real browser: by keyboard alone, on a phone, with hostile names; checked with axe; pictures.

`--pictures DIR` keeps the pictures there (the README shows those in docs/images), else they go to a temporary folder.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import firms
import pytest
import review_data
from review_server import serving

from target_crm.errors import GuardError, TooManyRejectsError

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe-playwright-python is not installed")

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
    # A key that is pressed while a busy machine still swaps the page is lost, as it is for a person.
    pytest.mark.may_repeat(times=2),
]
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
COMMAND = str(Path(sys.executable).parent / "target-crm-admin")
PHONE = {"width": 390, "height": 844}
METRICS = {
    "duration_seconds": 62.4,
    "requests": 388,
    "requests_by_stream": {"contacts": 128, "notes": 96, "tasks": 81, "companies": 42, "leads": 30, "events": 11},
    "requests_without_batching": 4210,
    "requests_per_second_series": [4, 7, 7, 6, 7, 7, 7, 5, 7, 7, 7, 6, 7, 7, 4, 7, 7, 7, 7, 6],
    "records_series": {
        "contacts": [0, 900, 1900, 2950, 4000, 5100, 6000, 6400],
        "notes": [0, 0, 600, 2100, 3900, 5200, 7000, 8800],
        "companies": [0, 800, 1700, 2100, 2100, 2100, 2100, 2100],
    },
    "seconds_waiting_for_api": 141.8,
    "seconds_for_slots": 55.1,
    "seconds_for_answers": 3.4,
    "status_counts": {"200": 385, "429": 3},
    "waits_by_stream": {
        "contacts": {
            "answers": 128,
            "seconds_for_slots": 18.2,
            "answer_median": 0.31,
            "answer_p95": 0.74,
            "answer_slowest": 1.92,
            "refused": 2,
        },
        "notes": {
            "answers": 96,
            "seconds_for_slots": 13.9,
            "answer_median": 0.35,
            "answer_p95": 0.81,
            "answer_slowest": 1.2,
            "refused": 1,
        },
    },
}


@pytest.fixture(scope="module")
def chromium():
    with playwright.sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
        yield browser
        browser.close()


@pytest.fixture
def served(crm, tmp_path):
    review_data.fill(crm)
    plan = tmp_path / "plan.jsonl"
    records = crm.messages("contacts", review_data.contact(5, "Начальник смены"), {"id": 520, "last_name": "Гостева"})
    crm.load([crm.schema_message("contacts"), *records], dry_run=True, plan_file=str(plan))
    with serving({**crm.config, "plan_file": str(plan)}) as found:
        yield found


@pytest.fixture
def open_page(chromium, served):
    """A window in which the page is open; what its console says is an error."""
    contexts, said = [], []

    def start(language="ru", size=None, **options):
        context = chromium.new_context(viewport=size or {"width": 1200, "height": 860}, locale=language, **options)
        contexts.append(context)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
        page.goto(served.entrance)
        page.goto(served.url + "/conflicts")
        return page

    yield start
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def pictures(request, tmp_path):
    """Where pictures go."""
    kept = request.config.getoption("--pictures", default=None)
    folder = Path(kept) if kept else tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def settled(page, what):
    """Wait until the page says so."""
    page.wait_for_function("text => document.querySelector('main').innerText.includes(text)", arg=what)


def position(crm, amo_id):
    return crm.row("contacts", amo_id)["position"]


def test_a_conflict_is_resolved_and_taken_back_by_keyboard_alone(crm, open_page):
    page = open_page()
    page.keyboard.press("q")
    settled(page, "1 из 5")
    page.keyboard.press("n")
    settled(page, "2 из 5")
    settled(page, "Соколова Анна")
    page.keyboard.press("a")
    settled(page, "Решено: 1.")
    assert position(crm, 501) == "Руководитель отдела закупок"
    (entry,) = crm.execute(
        "SELECT e.* FROM sync_changes AS e JOIN sync_runs AS r ON r.id = e.run_id WHERE r.kind = 'resolve'"
    )
    assert (entry["column_name"], entry["new_value"]) == ("position", "Руководитель отдела закупок")
    page.keyboard.press("u")
    settled(page, "Отменено")
    assert position(crm, 501) == "Директор по закупкам и логистике"
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/2")
    settled(page, "Соколова Анна")
    page.keyboard.press("k")
    settled(page, "оставлено как в CRM")
    assert position(crm, 501) == "Директор по закупкам и логистике"


def test_thirty_conflicts_of_ten_records_are_resolved_in_fewer_than_45_key_presses(crm, chromium):
    """Field by field: the first seven records by a key for each field, the others as a whole."""
    review_data.fill_three_each(crm, 10)
    presses = 0
    with serving(crm.config) as served:
        page = chromium.new_context(locale="en").new_page()
        page.goto(served.entrance)

        def press(key):
            nonlocal presses
            presses += 1
            page.keyboard.press(key)

        page.goto(served.url + "/")
        press("q")
        for record in range(10):
            settled(page, f"{record * 3 + 1}\u2013{record * 3 + 3} of 30")
            if record >= 7:
                press("Shift+A" if record % 2 else "Shift+K")
                continue
            for key in ("a", "k", "a"):
                press(key)
        settled(page, "No conflicts: both sides agree.")
        page.context.close()
    assert presses < 45
    decided = [c["resolution"] for c in crm.conflicts()]
    assert len(decided) == 30
    # Seven records with amo, crm, amo; the eighth and the tenth as a whole from amoCRM, the ninth as in the CRM.
    assert (decided.count("amo"), decided.count("crm")) == (7 * 2 + 2 * 3, 7 + 3)


def test_the_first_page_leads_to_the_conflicts_by_one_key(open_page, served):
    page = open_page()
    page.goto(served.url + "/")
    settled(page, "Разобрать конфликты: 5")
    page.keyboard.press("q")
    settled(page, "1 из 5")


def test_another_value_is_typed_by_keyboard_in_any_layout(crm, open_page):
    page = open_page()
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/3")
    # On a Russian keyboard the key E gives another letter.
    page.dispatch_event("body", "keydown", {"code": "KeyE", "key": "у", "bubbles": True})
    page.keyboard.type("Инженер-конструктор")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    settled(page, "ваше значение сохранено")
    assert position(crm, 502) == "Инженер-конструктор"


def test_letters_typed_into_a_field_decide_nothing(crm, open_page):
    page = open_page()
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/3")
    page.focus("#another")
    page.keyboard.type("aakknu")
    assert page.url.endswith("/conflicts/3")
    assert crm.execute("SELECT count(*) AS n FROM sync_runs WHERE kind = 'resolve'")[0]["n"] == 0


def test_shortcuts_can_be_switched_off(crm, open_page):
    page = open_page()
    page.keyboard.press("?")
    page.uncheck("#keys-on")
    page.keyboard.press("Escape")
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/3")
    page.keyboard.press("a")
    page.wait_for_timeout(500)
    assert page.url.endswith("/conflicts/3")
    assert crm.execute("SELECT count(*) AS n FROM sync_runs WHERE kind = 'resolve'")[0]["n"] == 0


def test_after_a_decision_focus_and_screen_reader_are_at_the_next_conflict(open_page):
    page = open_page("en")
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/2")
    page.keyboard.press("k")
    settled(page, "the CRM's value was kept")
    # Focus and announcement follow the new content a moment later.
    page.wait_for_function("() => document.activeElement.tagName === 'H1'")
    assert "Петров Иван" in page.evaluate("document.activeElement.innerText")
    said = "text => document.querySelector('#said').innerText === text"
    page.wait_for_function(said, arg="Conflict 2: the CRM's value was kept.")
    assert page.title().startswith("Conflict 3")


def test_everything_is_reached_by_tab(open_page):
    page = open_page("en")
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/2")
    reached = []
    for _ in range(30):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("(document.activeElement.innerText || document.activeElement.name || '').trim()"))
    for wanted in (
        "Skip to content",
        "Runs",
        "Keep the CRM's value K",
        "Use amoCRM's value A",
        "value",
        "Save this value",
        "Skip N",
    ):
        assert any(r.replace("\n", " ").replace("  ", " ") == wanted for r in reached), (wanted, reached)


def test_it_works_without_scripts(crm, open_page):
    page = open_page("en", java_script_enabled=False)
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/2")
    page.get_by_role("button", name="Use amoCRM's value").click()
    assert "amoCRM's value was saved" in page.inner_text("main")
    assert position(crm, 501) == "Руководитель отдела закупок"
    page.get_by_role("button", name="Undo").click()
    assert position(crm, 501) == "Директор по закупкам и логистике"


def test_hostile_names_do_not_run(crm, chromium):
    hostile = "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script>"
    for name in (hostile, hostile + "2"):
        crm.sync("contacts", {"id": 1, "last_name": name})
        crm.execute("UPDATE contacts SET last_name = %s", hostile + "1")
    crm.sync("leads", {"id": 5, "name": hostile, "price": hostile}, {"id": hostile})
    paths = (
        "/conflicts",
        "/conflicts/1",
        "/runs/1",
        "/runs/2",
        "/rejects",
        "/warnings",
        "/records?table=contacts&key=1",
    )
    with serving(crm.config) as served:
        page = chromium.new_context().new_page()
        page.goto(served.entrance)
        for path in paths:
            page.goto(served.url + path)
            page.wait_for_timeout(100)
            assert page.title() != "owned", path
            assert page.locator("main img").count() == 0
            assert "<img src=x" in page.content().replace("&lt;", "<")
        page.context.close()


PATHS = (
    "/",
    "/cards",
    "/conflicts",
    "/conflicts/2",
    "/runs",
    "/runs/2",
    "/runs/2/undo",
    "/decisions",
    "/plan",
    "/rules",
    "/rejects",
    "/warnings",
    "/records",
    "/records?table=contacts&key=501",
)
WIDTHS = (1440, 1280, 390)
NOON = "2027-01-01T12:00:00+00:00"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_axe_finds_nothing_and_nothing_is_cut_off_at_any_width(open_page, language, scheme):
    page = open_page(language, color_scheme=scheme)
    home = page.url.partition("/conflicts")[0]
    for path in PATHS:
        page.goto(home + path)
        if path == "/rejects":
            page.locator("summary").first.click()
        for width in WIDTHS:
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, f"{path} at {width}"
            found = axe.Axe().run(page)
            assert found.response["violations"] == [], f"{path} at {width}: {found.generate_report()}"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_axe_finds_nothing_on_what_went_wrong_and_what_was_discarded(crm, open_page, language, scheme):
    """Loads that guards stopped, values that were left out, a reject that is discarded."""
    gone = [
        {"id": f"contacts{n}", "entity_type": "contacts", "entity_id": 501 + n, "deleted_at": NOON} for n in range(5)
    ]
    with pytest.raises(GuardError):
        crm.sync("deleted_records", *gone)
    with pytest.raises(TooManyRejectsError):
        crm.sync("leads", *({"id": f"x{n}", "name": f"Ремонт {n}"} for n in range(4)), max_bad_records=2)
    page = open_page(language, color_scheme=scheme)
    home = page.url.partition("/conflicts")[0]

    def check():
        for width in (WIDTHS[0], WIDTHS[-1]):
            page.set_viewport_size({"width": width, "height": 900})
            assert page.evaluate("() => document.documentElement.scrollWidth") <= width, f"{page.url} at {width}"
            found = axe.Axe().run(page)
            assert found.response["violations"] == [], f"{page.url} at {width}: {found.generate_report()}"

    for path in ("/", "/runs/4", "/runs/5", "/warnings?table=leads&column=price&code=W_NOT_A_NUMBER"):
        page.goto(home + path)
        check()
    page.goto(home + "/rejects?resolved=1")
    settled(page, {"en": "All records", "ru": "Все записи"}[language])
    page.locator("input[name=reason]").first.fill("тест")
    page.locator("form[action='/rejects/drop'] button").first.click()
    settled(page, {"en": "Discarded: 1.", "ru": "Не будет загружаться: 1."}[language])
    check()
    page.goto(home + "/rejects?resolved=1")
    check()


def test_axe_finds_nothing_before_a_decision_in_bulk_and_in_the_list_of_keys(open_page):
    page = open_page()
    assert page.get_by_role("button", name="Взять из amoCRM").is_disabled()
    page.get_by_label("Все найденные (5)").check()
    page.get_by_role("button", name="Взять из amoCRM").click()
    settled(page, "конфликтов: 5")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    assert axe.Axe().run(page).response["violations"] == []


@pytest.mark.parametrize("language", ["en", "ru"])
def test_records_are_matched_by_keyboard_alone_and_axe_finds_nothing(crm, chromium, language):
    crm = firms.crm_of_firms(crm)(["name"])
    for name in ("Ромашка", "Лютик"):
        for city in ("Тверь", "Москва", "Санкт-Петербург"):
            firms.typed(crm, name=name, city=city)
    firms.sync(crm, *(firms.record(n, name=name, city="Тверь") for n, name in ((1, "Ромашка"), (2, "Лютик"))))
    with serving(crm.config) as served:
        page = chromium.new_page(locale=language)
        page.goto(served.entrance)
        page.goto(served.url + "/proposals")

        def check():
            for width in WIDTHS:
                page.set_viewport_size({"width": width, "height": 900})
                assert page.evaluate("() => document.documentElement.scrollWidth") <= width
                assert axe.Axe().run(page).response["violations"] == []

        check()
        page.keyboard.press("q")
        settled(page, "Ромашка")
        check()
        page.keyboard.press("n")
        settled(page, "Лютик")
        page.keyboard.press("2")
        settled(page, {"en": "Matched.", "ru": "Сопоставлено."}[language])
        assert crm.row("firm", 2)["city"] == "Москва"
        check()
        page.keyboard.press("u")
        settled(page, "Лютик")
        assert firms.tied(crm) == {}
        page.keyboard.press("a")
        settled(page, {"en": "Added as a new record.", "ru": "Добавлено как новая запись."}[language])
        page.keyboard.press("k")
        settled(page, {"en": "The record will not be loaded.", "ru": "Запись не будет загружаться."}[language])
        assert [p["resolution"] for p in crm.rows("sync_proposals", "id")] == ["ignored", "insert"]
        page.close()


@pytest.mark.parametrize("path", PATHS)
def test_on_a_phone_nothing_is_cut_off(open_page, path):
    page = open_page(size=PHONE, has_touch=True, is_mobile=True)
    page.goto(page.url.partition("/conflicts")[0] + path)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
    small = page.eval_on_selector_all(
        "main button, main a.button", "all => all.filter(e => e.getBoundingClientRect().height < 40).length"
    )
    assert small == 0


def test_a_conflict_is_resolved_by_touch_on_a_phone(crm, open_page):
    page = open_page(size=PHONE, has_touch=True, is_mobile=True)
    page.get_by_role("link", name="Соколова Анна").tap()
    settled(page, "Конфликт 2")
    page.get_by_role("button", name="Взять из amoCRM").tap()
    settled(page, "взято значение amoCRM")
    assert position(crm, 501) == "Руководитель отдела закупок"


def test_back_in_the_browser_shows_what_is_true_now(open_page):
    page = open_page("en")
    page.goto(page.url.partition("/conflicts")[0] + "/conflicts/2")
    page.keyboard.press("k")
    settled(page, "the CRM's value was kept")
    page.go_back()
    settled(page, "is already resolved")
    assert page.url.endswith("/conflicts/2")


def test_pictures_of_the_page_and_the_report(crm, open_page, chromium, served, pictures, tmp_path):
    crm.execute("UPDATE contacts SET last_name = 'Соколова-Мирская' WHERE amo_id = 501")
    crm.sync("contacts", {**review_data.contact(0, "Руководитель отдела закупок"), "last_name": "Соколова-Орлова"})
    page = open_page("en", {"width": 1100, "height": 760})
    home = page.url.partition("/conflicts")[0]
    page.goto(home)
    page.screenshot(path=pictures / "review-home.png")
    page.goto(f"{home}/cards/contacts/{crm.row('contacts', 501)['id']}")
    page.screenshot(path=pictures / "review.png")
    page.goto(home + "/conflicts/2")
    russian = open_page("ru", PHONE)
    russian.goto(page.url)
    russian.screenshot(path=pictures / "review-phone.png")
    metrics, report = tmp_path / "metrics.json", tmp_path / "report.html"
    metrics.write_text(json.dumps(METRICS))
    line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "report", "2", "--html", str(report)]
    subprocess.run([*line, "--metrics-file", str(metrics)], check=True, env=os.environ, timeout=120)
    window = chromium.new_page(viewport={"width": 1100, "height": 860})
    window.goto(report.as_uri())
    window.screenshot(path=pictures / "report.png")
    window.evaluate("() => document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    window.locator(".plots").screenshot(path=pictures / "report-plots.png")
    assert axe.Axe().run(window).response["violations"] == []
    window.close()
    for name in ("review.png", "review-home.png", "review-phone.png", "report.png", "report-plots.png"):
        assert re.match(rb"\x89PNG", (pictures / name).read_bytes()[:4])
        assert (pictures / name).stat().st_size > 20_000


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("language", ["en", "ru"])
def test_the_report_is_readable_at_any_width(crm, chromium, served, tmp_path, language, scheme):
    report, metrics = tmp_path / "report.html", tmp_path / "metrics.json"
    metrics.write_text(json.dumps(METRICS))
    line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "report", "2", "--html", str(report)]
    line += ["--lang", language, "--metrics-file", str(metrics)]
    subprocess.run(line, check=True, env=os.environ, timeout=120)
    window = chromium.new_page(color_scheme=scheme)
    window.goto(report.as_uri())
    window.evaluate("() => document.querySelectorAll('details').forEach((part) => { part.open = true; })")
    for width in WIDTHS:
        window.set_viewport_size({"width": width, "height": 900})
        assert window.evaluate("() => document.documentElement.scrollWidth") <= width
        assert axe.Axe().run(window).response["violations"] == []
    window.close()
