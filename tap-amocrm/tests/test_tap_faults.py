"""Faulty answers: the data is complete and the run green; with the server gone a clear error, and all comes later."""

from __future__ import annotations

import pytest
from survived import survived

ENTITIES = ("companies", "contacts", "leads")


def missing(tap, output):
    """Ids that the account has and the output lacks, by stream."""
    truth = {kind: set(tap.sim.truth(kind)) for kind in (*ENTITIES, "tasks")}
    truth["notes"] = set().union(*(tap.sim.truth(f"{e}/notes") for e in ENTITIES))
    lost = {k: sorted(v - output.ids(k)) for k, v in truth.items() if v - output.ids(k)}
    survived("faulty answers of the server", tap.sim.stats["faults"], records=sum(map(len, lost.values())))
    return lost


def test_with_five_percent_of_all_faults_nothing_is_missing(start):
    tap = start(companies=600, faults="all=0.05")
    output = tap.run(page_size=50)
    assert output.code == 0, output.log[-2000:]
    assert missing(tap, output) == {}
    assert sum(tap.sim.stats["faults"].values()) > 10


@pytest.mark.parametrize("kind", ["500", "502", "504", "reset", "cut", "html200", "429", "gzip", "204"])
def test_each_kind_of_fault_in_the_middle_of_the_pages_is_asked_again(start, kind):
    tap = start(companies=100)
    tap.sim.control("faults", script={str(n): kind for n in range(15, 60, 9)})
    output = tap.run(page_size=25)
    assert output.code == 0, output.log[-2000:]
    assert missing(tap, output) == {}
    assert tap.sim.stats["faults"][kind] >= 4


def test_a_server_that_goes_away_ends_in_a_clear_error_and_the_next_run_completes(start):
    tap = start(companies=200)
    tap.sim.control("faults", script={str(n): "502" for n in range(20, 2000)})
    first = tap.run(page_size=25)
    assert first.code == 1
    assert "gave no usable answer after" in first.log
    assert "Traceback" not in first.log
    tap.sim.simulator.faults.script.clear()
    second = tap.run(first.state, page_size=25)
    assert second.code == 0
    for stream, records in first.records.items():
        second.records[stream] = {**records, **second.records[stream]}
    assert missing(tap, second) == {}


def test_retry_after_is_kept(start):
    tap = start(companies=20)
    tap.sim.control("faults", script={"5": "429"})
    assert tap.run(max_concurrent_requests=1).code == 0
    requests = tap.sim.requests
    refused = next(n for n, r in enumerate(requests) if r["status"] == 429)
    assert requests[refused + 1]["at"] - requests[refused]["at"] >= 1.0


def test_twenty_expired_tokens_in_a_run_do_no_harm(start):
    tap = start(companies=400)
    tap.sim.control("expire_tokens", requests=list(range(5, 205, 10)))
    output = tap.run(
        page_size=25,
        access_token=None,
        client_id="sim-client",
        client_secret="sim-secret",
        redirect_uri="http://127.0.0.1/",
        authorization_code="sim-code",
    )
    assert output.code == 0, output.log[-2000:]
    lost = missing(tap, output)
    survived("tokens that expire during a run", tap.sim.control("expire_tokens")["issued"] - 1, records=len(lost))
    assert lost == {}
    assert tap.sim.control("expire_tokens")["issued"] >= 20
