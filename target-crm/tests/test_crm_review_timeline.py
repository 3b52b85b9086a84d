"""A record's timeline: amoCRM's changes with their authors, manual edits, decisions; a value put back."""

from __future__ import annotations

import re

import pytest
import review_data
from review_desk import at_desk
from review_server import hidden, plain


@pytest.fixture
def desk(crm):
    with at_desk(crm) as found:
        yield found


def address(desk, amo_id):
    return f"/records/contacts/{desk.crm.row('contacts', amo_id)['id']}"


def history_of(desk, amo_id):
    page = desk.browser.get(address(desk, amo_id)).text
    return plain("<main>" + page[page.index('<h2 id="history">') :])


def test_an_edit_by_hand_is_seen_between_the_loads_that_met_it(desk):
    text = history_of(desk, 503)
    desk.crm.execute("UPDATE contacts SET position = 'Вручную' WHERE amo_id = 503")
    assert "edited by hand" not in text
    desk.crm.sync("contacts", review_data.contact(2, "Финансист"))
    text = history_of(desk, 503)
    assert re.search(r"after \d+ \w+ \d{4}, \d\d:\d\d edited by hand Position Главный бухгалтер Вручную", text)
    desk.browser.settle(desk.conflict(503), "amo")
    text = history_of(desk, 503)
    assert re.search(r"between .* and .* edited by hand Position Главный бухгалтер Вручную", text)


def test_a_change_from_amocrm_names_its_author_and_a_decision_its_maker(desk):
    assert "load № 2 Светлана Белова Position Бухгалтер Главный бухгалтер" in history_of(desk, 503)
    desk.browser.post("/name", {"name": "Ольга", "back": "/"})
    desk.browser.settle(desk.conflict(501), "amo")
    assert f"decision № {desk.last_run()} Ольга Position" in history_of(desk, 501)


def test_a_value_is_put_back_and_that_can_be_undone(desk):
    page = desk.browser.get(address(desk, 503)).text
    form = page[page.index('name="entry"') - 200 :]
    fields = {name: hidden(form, name) for name in ("entry", "seen")}
    answer = desk.browser.post(address(desk, 503), fields)
    assert "The earlier value was restored." in plain(answer.text)
    assert desk.position(503) == "Бухгалтер"
    desk.browser.post(f"/runs/{desk.last_run()}/undo", {})
    assert desk.position(503) == "Главный бухгалтер"


def test_a_value_that_was_changed_meanwhile_is_not_put_back(desk):
    page = desk.browser.get(address(desk, 503)).text
    fields = {name: hidden(page[page.index('name="entry"') - 200 :], name) for name in ("entry", "seen")}
    desk.crm.execute("UPDATE contacts SET position = 'Только что' WHERE amo_id = 503")
    answer = desk.browser.post(address(desk, 503), fields)
    assert "Nothing was saved" in plain(answer.text)
    assert desk.position(503) == "Только что"
