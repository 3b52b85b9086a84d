"""The demo's account, changed on both sides as the demo does it; its conflict is settled in a browser by keyboard."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import psycopg
import pytest
from psycopg.rows import dict_row
from review_server import serving

ROOT = Path(__file__).resolve().parents[1]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
)
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)"),
    pytest.mark.xdist_group("browser"),
    # A key that is pressed while a busy machine still swaps the page is lost, as it is for a person.
    pytest.mark.may_repeat(times=2),
]


@pytest.fixture
def demo():
    sys.path.insert(0, str(ROOT / "demo"))
    try:
        import demo as module
    finally:
        sys.path.remove(str(ROOT / "demo"))
    return module


@pytest.fixture
def database(database_url):
    """A database of its own: the demo's schema is always `crm`."""
    with psycopg.connect(database_url, autocommit=True) as connection:
        connection.execute("DROP DATABASE IF EXISTS demo WITH (FORCE)")
        connection.execute("CREATE DATABASE demo")
        yield database_url.replace("@/postgres?", "@/demo?")
        connection.execute("DROP DATABASE demo WITH (FORCE)")


def settled(page, what):
    page.wait_for_function("text => document.querySelector('main').innerText.includes(text)", arg=what, timeout=60_000)


def test_the_demos_conflict_is_resolved_by_keyboard_and_taken_back(demo, pair, database):
    account = pair(companies=30, contacts=90, leads=10, notes=20, tasks=10)
    account.target = {"database_url": database, "crm_schema": "crm"}
    account.sync()
    changed = demo.change_both_sides(demo.Account(account.sim.url), database)
    account.sync()
    assert demo.show_outcome(database, changed)
    with psycopg.connect(database, autocommit=True, row_factory=dict_row) as crm, serving(account.target) as served:

        def name():
            return crm.execute("SELECT first_name FROM crm.contacts WHERE id = %s", (changed["disputed"],)).fetchone()

        with playwright.sync_playwright() as play:
            browser = play.chromium.launch(executable_path=CHROMIUM, args=FLAGS.split())
            page = browser.new_context(locale="en").new_page()
            page.goto(served.entrance)
            page.keyboard.press("q")
            settled(page, "First name")
            page.keyboard.press("a")
            settled(page, "Resolved: 1.")
            assert name() == {"first_name": changed["name"]}
            journal = crm.execute(
                "SELECT e.* FROM crm.sync_changes AS e JOIN crm.sync_runs AS r ON r.id = e.run_id "
                "WHERE r.kind = 'resolve'"
            ).fetchall()
            assert [(e["row_id"], e["new_value"]) for e in journal] == [(str(changed["disputed"]), changed["name"])]
            page.keyboard.press("u")
            settled(page, "Rolled back")
            assert name() == {"first_name": f"Renamed by hand at {changed['stamp']}"}
            browser.close()
