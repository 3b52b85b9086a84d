"""Conformance of the simulator: what third-party clients read from it, compared with the simulator's own dump.

These clients were written against the real service by people who know nothing of the simulator.
"""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Mapping
from typing import Any

from harness import Account, BenchmarkError, main, show, simulated_account
from peers.environments import PEERS, driver, python_of

CLIENTS = {"aioamocrm": "aioamocrm_dump.py", "amocrm-api": "amocrm_api_dump.py", "amochka": "amochka_dump.py"}
KINDS = ("companies", "contacts", "leads", "tasks", "companies/notes", "contacts/notes", "leads/notes")
# What an answer holds only where `with` asks for it.
BY_REQUEST = ("_links", "_embedded", "source_id", "is_price_modified_by_robot")
Records = dict[int, dict[str, Any]]


def read_by(client: str, account: Account) -> dict[str, Records]:
    """The account's records as a client reads them, by kind and id.

    Raises:
        PeerUnavailableError: the client can't be installed.
        BenchmarkError: it failed, or gave a record twice.
    """
    command = [str(python_of(client)), str(driver(CLIENTS[client])), account.url]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise BenchmarkError(f"{client} failed: {done.stderr[-2000:]}")
    found: dict[str, Records] = {kind: {} for kind in KINDS}
    for line in done.stdout.splitlines():
        kind, record = json.loads(line)
        if record["id"] in found[kind]:
            raise BenchmarkError(f"{client} gave {kind} {record['id']} twice")
        found[kind][record["id"]] = record
    return found


def truth(account: Account) -> dict[str, Records]:
    """The simulator's own dump, by kind and id."""
    found: dict[str, Records] = {kind: {} for kind in KINDS}
    for kind, record in account.dump(*KINDS):
        found[kind][record["id"]] = record
    return found


def differences(read: Mapping[str, Records], true: Mapping[str, Records]) -> list[str]:
    """What a client read otherwise than the dump has it; links and `_embedded` depend on `with` and are left out."""
    found = []
    for kind in KINDS:
        for missing in true[kind].keys() - read[kind].keys():
            found.append(f"{kind} {missing} is missing")
        for extra in read[kind].keys() - true[kind].keys():
            found.append(f"{kind} {extra} is not in the dump")
        for key in true[kind].keys() & read[kind].keys():
            for field, value in true[kind][key].items():
                if field in BY_REQUEST:
                    continue
                got = read[kind][key].get(field)
                # Clients take the documented oddity of an empty list where an object is meant as nothing.
                if got != value and not (got is None and value == []):
                    found.append(f"{kind} {key} {field}: {got!r} instead of {value!r}")
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Each client against one account."""
    companies = 30 if options.small else 600
    told = []
    with simulated_account(companies=companies, rps=0, token="any", plain=False) as account:
        true = truth(account)
        total = sum(len(records) for records in true.values())
        for client in CLIENTS:
            found = differences(read_by(client, account), true)
            told.append({"client": PEERS[client][0], "records": total, "differences": len(found), "first": found[:5]})
    rows = [[t["client"], t["records"], t["differences"]] for t in told]
    show("Read by third-party clients", ["client", "records compared", "differences"], rows)
    return {"companies": companies, "clients": told}


if __name__ == "__main__":
    main("conformance", __doc__, measure)
