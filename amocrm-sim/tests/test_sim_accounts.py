"""Several accounts in one process: each with its own address, ID, token, content and limit."""

from __future__ import annotations

import requests

from amocrm_sim.testing import SimulatorServer


def ask(url: str, path: str, token: str) -> requests.Response:
    return requests.get(f"{url}/api/v4/{path}", headers={"Authorization": f"Bearer {token}"}, timeout=30)


def test_each_account_has_its_own_id_token_and_records():
    with SimulatorServer(accounts=3, companies=5, rps=0) as sim:
        told = [ask(url, "account", f"sim-token-{n}").json() for n, url in enumerate(sim.urls, 1)]
        assert [a["id"] for a in told] == [31_415_926, 31_415_927, 31_415_928]
        assert len({a["subdomain"] for a in told}) == 3
        assert ask(sim.urls[1], "account", "sim-token-1").status_code == 401
        pages = [ask(url, "companies", f"sim-token-{n}").json() for n, url in enumerate(sim.urls, 1)]
        companies = [page["_embedded"]["companies"] for page in pages]
        assert {c["account_id"] for c in companies[2]} == {31_415_928}
        assert len({tuple(c["name"] for c in of_one) for of_one in companies}) == 3


def test_every_list_of_an_account_bears_its_id():
    with SimulatorServer(account_id=77, companies=2, rps=0) as sim:
        for path in ("leads/pipelines", "companies/custom_fields", "events", "webhooks"):
            (records,) = ask(sim.url, path, "sim-token").json()["_embedded"].values()
            assert {r["account_id"] for r in records if "account_id" in r} == {77}, path


def test_one_account_at_its_limit_leaves_the_others_alone():
    with SimulatorServer(accounts=2, companies=2, rps=2) as sim:
        statuses = [ask(sim.urls[0], "account", "sim-token-1").status_code for _ in range(4)]
        assert 429 in statuses
        assert ask(sim.urls[1], "account", "sim-token-2").status_code == 200
        assert sim.account(1).stats["refusals"] == 0
        assert sim.account(0).stats["refusals"] > 0


def test_a_change_of_one_account_is_none_of_another():
    with SimulatorServer(accounts=2, companies=2, rps=0) as sim:
        (made,) = sim.account(1).change("create", kind="companies", fields={"name": "Новая"})
        assert made in sim.account(1).truth("companies")
        assert made not in sim.account(0).truth("companies")


def test_the_command_serves_several_accounts_one_port_after_another():
    with SimulatorServer(process=True, accounts=2, companies=2, rps=0) as sim:
        assert [ask(url, "account", f"sim-token-{n}").status_code for n, url in enumerate(sim.urls, 1)] == [200, 200]
