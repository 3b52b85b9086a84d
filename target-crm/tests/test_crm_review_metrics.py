"""`/metrics` of the review page: for a monitor that has the token, without a session."""

from __future__ import annotations

import pytest
import requests
from review_server import serving

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError

TOKEN = "a-token-of-the-monitor"


def asked(served, header=None):
    headers = {"Authorization": header} if header is not None else {}
    return requests.get(f"{served.url}/metrics", headers=headers, timeout=30, allow_redirects=False)


def test_whoever_has_the_token_reads_the_metrics_without_a_session(crm):
    crm.sync("contacts", {"id": 1})
    with serving({**crm.config, "metrics_token": TOKEN}) as served:
        answer = asked(served, f"Bearer {TOKEN}")
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/openmetrics-text; version=1.0.0; charset=utf-8"
    assert f'target_crm_last_run_succeeded{{schema="{crm.schema}"}} 1.0' in answer.text
    assert f'target_crm_open{{schema="{crm.schema}",kind="proposals"}} 0.0' in answer.text
    assert answer.text.endswith("# EOF\n")
    assert "set-cookie" not in answer.headers


def test_nobody_else_does(crm):
    crm.sync("contacts", {"id": 1})
    with serving({**crm.config, "metrics_token": TOKEN}) as served:
        headers = (None, "", "Bearer", f"Bearer {TOKEN}x", f"Bearer {TOKEN[:-1]}", f"Basic {TOKEN}", "Bearer \xe9")
        answers = [asked(served, header) for header in headers]
        token_of_the_page = asked(served, f"Bearer {served.access.token}")
    assert {answer.status_code for answer in (*answers, token_of_the_page)} == {401}
    assert not any("target_crm_" in answer.text for answer in answers)


def test_without_the_setting_there_are_no_metrics_not_even_for_an_empty_token(crm):
    crm.sync("contacts", {"id": 1})
    with serving(crm.config) as served:
        assert {asked(served, header).status_code for header in (None, "Bearer ", "Bearer None")} == {404}


def test_before_the_first_load_the_metrics_are_empty(crm):
    with serving({**crm.config, "metrics_token": TOKEN}) as served:
        answer = asked(served, f"Bearer {TOKEN}")
    assert (answer.status_code, answer.text[-6:]) == (200, "# EOF\n")


@pytest.mark.parametrize("token", ["short", "with a blank in it all", "кириллица-кириллица"])
def test_a_token_that_is_easy_to_guess_or_no_header_can_carry_is_refused(token):
    with pytest.raises(ConfigError, match="metrics_token"):
        Settings.from_config({"metrics_token": token})


@pytest.mark.parametrize("url", ["crm.example", "ftp://crm.example", "https://user:pw@crm.example", "https://"])
def test_an_address_that_is_not_one_is_refused_without_showing_it(url):
    with pytest.raises(ConfigError) as caught:
        Settings.from_config({"public_url": url})
    assert "pw" not in str(caught.value)
