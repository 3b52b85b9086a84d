"""People of the review page: each enters by their own name and password, and decisions keep the name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import requests
import review_data
from click.testing import CliRunner
from review_server import Browser, plain, serving

from target_crm.admin.main import main
from target_crm.config.settings import Settings
from target_crm.operations.passwords import hashed, is_password
from target_crm.operations.session import open_session
from target_crm.operations.users import add_user, change_password, remove_user

COMMAND = str(Path(sys.executable).parent / "target-crm-admin")
PASSWORD, OTHER = "очень длинный пароль", "ещё один длинный пароль"


def users(crm, *arguments, text=""):
    line = ["--database-url", crm.url, "--crm-schema", crm.schema, "users", *arguments]
    return CliRunner().invoke(main, line, input=text)


def session(crm):
    return open_session(Settings.from_config(crm.config))


@pytest.fixture
def served(crm):
    """A page without data, and one person who may enter."""
    crm.load([])
    with session(crm) as found:
        add_user(found, "Светлана Белова", PASSWORD)
    with serving(crm.config) as page:
        yield page


def entered(served, name="Светлана Белова", password=PASSWORD):
    browser = Browser(served.url)
    browser.send("/enter", {"name": name, "password": password})
    return browser


def may_enter(browser):
    return browser.get("/runs").status_code == 200


def test_the_command_adds_lists_changes_and_removes_people_and_shows_no_password(crm):
    crm.load([])
    added = users(crm, "add", " Иван   Петров ", text=PASSWORD + "\n")
    assert (added.exit_code, added.stdout) == (0, "Иван Петров may enter the review page.\n")
    (kept,) = crm.execute("SELECT * FROM sync_users")
    assert (kept["login"], kept["name"]) == ("иван петров", "Иван Петров")
    assert is_password(PASSWORD, kept["password"])
    assert PASSWORD not in kept["password"]
    assert "already" in users(crm, "add", "ИВАН ПЕТРОВ", text=OTHER).stderr
    assert users(crm, "passwd", "иван петров", text=OTHER + "\r\n").exit_code == 0
    assert is_password(OTHER, crm.execute("SELECT password FROM sync_users")[0]["password"])
    listed = users(crm, "list", "--json").stdout
    assert "Иван Петров" in listed
    assert "scrypt" not in listed
    assert "Did you mean Иван Петров" in users(crm, "remove", "Иван Петро").stderr
    assert users(crm, "remove", "Иван Петров").exit_code == 0
    assert crm.execute("SELECT * FROM sync_users") == []


@pytest.mark.parametrize("password", ["short", ""])
def test_a_password_that_is_too_short_is_refused(crm, password):
    crm.load([])
    done = users(crm, "add", "Иван", text=password + "\n")
    assert done.exit_code == 1
    assert "10 to 1000 characters" in done.stderr
    assert crm.execute("SELECT * FROM sync_users") == []


def test_a_decision_keeps_the_name_of_who_entered_by_it_and_nobody_else_takes_it(crm, served):
    review_data.fill(crm)
    browser, token = entered(served, "светлана белова"), served.enter()
    browser.post("/name", {"name": "Кто-то другой", "back": "/"})
    browser.settle(2, "amo")
    token.post("/name", {"name": "Светлана  белова", "back": "/"})
    token.settle(3, "amo")
    decided = crm.execute("SELECT made_by FROM sync_runs WHERE kind = 'resolve' ORDER BY id")
    assert [run["made_by"] for run in decided] == ["Светлана Белова", None]
    assert "Светлана Белова" in browser.text("/decisions")


@pytest.mark.parametrize(
    ("name", "password"), [("Светлана Белова", OTHER), ("Светлана", PASSWORD), ("", PASSWORD), ("Светлана Белова", "")]
)
def test_a_wrong_name_or_password_does_not_let_in(served, name, password):
    assert not may_enter(entered(served, name, password))


def test_guesses_at_peoples_passwords_are_slowed_down(served):
    codes = [
        Browser(served.url).send("/enter", {"name": f"Светлана {n}", "password": OTHER}).status_code for n in range(7)
    ]
    assert codes == [401] * 5 + [429] * 2


def test_another_password_and_removal_end_the_sessions_under_the_name(crm, served):
    first, token = entered(served), served.enter()
    assert may_enter(first)
    with session(crm) as found:
        change_password(found, "Светлана Белова", OTHER)
    assert not may_enter(first)
    second = entered(served, password=OTHER)
    assert may_enter(second)
    with session(crm) as found:
        remove_user(found, "Светлана Белова")
    assert not may_enter(second)
    assert may_enter(token)


def test_the_shared_password_lets_in_others_but_not_under_a_persons_name(crm, served):
    with serving(crm.config, OTHER) as shared:
        assert not may_enter(entered(shared, password=OTHER))
        assert may_enter(entered(shared, "Олег", OTHER))
        assert may_enter(entered(shared))


def test_the_door_asks_for_name_and_password_only_where_somebody_has_one(crm, served):
    assert "Your name Password Log in" in plain(Browser(served.url).get("/enter").text)
    crm.execute("DELETE FROM sync_users")
    with serving(crm.config) as bare:
        assert "Password" not in plain(Browser(bare.url).get("/enter").text)


def test_other_machines_are_served_without_a_shared_password_where_people_have_their_own(crm, served):
    line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "serve", "--port", "0"]
    child = subprocess.Popen(
        [*line, "--host", "0.0.0.0", "--allow-remote"], stdout=subprocess.PIPE, text=True, env=os.environ
    )
    try:
        address = next(found[1] for text in child.stdout if (found := re.search(r"(http://\S+)/$", text.strip())))
        url = f"http://127.0.0.1:{address.rpartition(':')[2]}"
        assert requests.get(url, timeout=30).status_code == 401
        browser = Browser(url)
        browser.send("/enter", {"name": "Светлана Белова", "password": PASSWORD})
        assert may_enter(browser)
    finally:
        child.terminate()
        child.communicate(timeout=30)


def test_hashes_differ_for_the_same_password_and_say_their_cost():
    assert hashed(PASSWORD) != hashed(PASSWORD)
    assert hashed(PASSWORD).startswith("scrypt$16384$8$5$")
    assert not is_password(PASSWORD, None)
    assert not is_password(PASSWORD, "scrypt$x")
    assert is_password("пароль й", hashed("пароль й"))
