"""What goes wrong before or around the reading ends in one clear message."""

from __future__ import annotations

import pytest
import requests


def errors(output):
    return [line for line in output.log.split("\n") if "| ERROR" in line or "| CRITICAL" in line]


def test_a_wrong_token_is_one_message_that_says_what_to_do_and_does_not_show_it(start):
    output = start().run(access_token="wr0ng-s3cret")
    assert output.code == 1
    (message,) = errors(output)
    assert "refuses the token (401" in message
    assert "tap-amocrm-login" in message
    assert "wr0ng-s3cret" not in output.log
    assert "Traceback" not in output.log


def test_an_unreachable_host_is_one_message_that_names_the_setting(start):
    output = start().run(api_url="http://127.0.0.1:1")
    assert output.code == 1
    (message,) = errors(output)
    assert "api_url or subdomain" in message
    assert "Traceback" not in output.log


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"child_strategy": "guess"}, "child_strategy"),
        ({"requests_per_second": 0}, "requests_per_second"),
        ({"api_url": "https://example.amocrm.ru", "requests_per_second": 8}, "requests_per_second"),
        ({"api_url": "example.amocrm.ru"}, "api_url"),
        ({"api_url": None}, "subdomain"),
        ({"page_size": 251}, "page_size"),
        ({"page_size": "many"}, "page_size"),
        ({"start_date": "yesterday"}, "start_date"),
        ({"responsible_user_ids": ["anna"]}, "responsible_user_ids"),
        ({"company_custom_field_id": 5}, "company_custom_field_value"),
        ({"max_concurrent_requests": 0}, "max_concurrent_requests"),
        ({"access_token": None}, "access_token"),
    ],
)
def test_a_wrong_setting_is_named_in_one_message(start, settings, named):
    output = start().run(**settings)
    assert output.code == 1
    (message,) = errors(output)
    assert named in message
    assert "Traceback" not in output.log


def test_a_secret_of_the_wrong_kind_is_not_shown(start):
    output = start().run(access_token=123454321)
    assert output.code == 1
    assert "access_token" in errors(output)[0]
    assert "123454321" not in output.log


def test_a_banned_address_stops_the_run_at_once_and_says_what_it_means(start):
    tap = start(rps=1)
    for _ in range(40):
        requests.get(f"{tap.sim.url}/api/v4/account", timeout=10)
    tap.sim.reset()
    output = tap.run()
    assert output.code == 1
    (message,) = errors(output)
    assert "403" in message
    assert "blocked" in message
    assert tap.sim.stats["requests"] <= 8


def test_a_plan_without_an_endpoint_gives_a_warning_and_an_empty_stream(start):
    tap = start(refuse=("leads/loss_reasons",), refuse_status=402)
    output = tap.run()
    assert output.code == 0
    assert "Stream loss_reasons stays empty" in output.log
    assert output.read["loss_reasons"] == 0
    assert output.ids("companies") == set(tap.sim.truth("companies"))


def test_a_token_without_admin_rights_still_brings_everything_but_users(start):
    tap = start(not_admin=True)
    output = tap.run()
    assert output.code == 0
    assert output.read["users"] == 0
    assert output.ids("contacts") == set(tap.sim.truth("contacts"))
