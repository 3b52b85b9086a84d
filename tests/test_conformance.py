"""Third-party clients, written against the real service, read from the simulator what its dump holds."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(scope="module")
def conformance() -> Iterator[Any]:
    """The benchmark's module; its folder is on the path only for the import."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import conformance as module
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


@pytest.fixture(scope="module")
def account(conformance: Any) -> Iterator[Any]:
    """An account whose contacts and notes fill more than one page, with the service's own shapes."""
    with conformance.simulated_account(companies=100, rps=0, token="any", plain=False) as running:
        yield running


def read(conformance: Any, client: str, account: Any) -> Any:
    from_peers = sys.modules[conformance.python_of.__module__]
    try:
        return conformance.read_by(client, account)
    except from_peers.PeerUnavailableError as error:
        pytest.skip(f"the package index can't be reached: {error}")


@pytest.mark.parametrize("client", ["aioamocrm", "amocrm-api", "amochka"])
def test_a_client_reads_every_record_as_the_dump_has_it(conformance: Any, account: Any, client: str) -> None:
    true = conformance.truth(account)
    assert len(true["contacts"]) > 250
    assert conformance.differences(read(conformance, client, account), true) == []


def test_a_record_that_changed_after_it_was_read_shows_as_a_difference(conformance: Any, account: Any) -> None:
    before = read(conformance, "aioamocrm", account)
    company = min(before["companies"])
    account.control("update", {"kind": "companies", "ids": [company], "fields": {"name": "Другое имя"}, "touch": False})
    assert [d.split(":")[0] for d in conformance.differences(before, conformance.truth(account))] == [
        f"companies {company} name"
    ]


def test_a_record_that_was_deleted_after_it_was_read_shows_as_a_difference(conformance: Any, account: Any) -> None:
    before = read(conformance, "aioamocrm", account)
    task = max(before["tasks"])
    account.control("delete", {"kind": "tasks", "ids": [task]})
    assert conformance.differences(before, conformance.truth(account)) == [f"tasks {task} is not in the dump"]
