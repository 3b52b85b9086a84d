"""Against amochka's PostgreSQL ETL, on an account where everything belongs to leads, since it loads nothing else.

A first run, a second without any change, and what becomes of manual edits when amoCRM changed another field.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ours
import psycopg
import psycopg.sql
from harness import TOKEN, Account, BenchmarkError, Postgres, main, median_of, postgres, run, show, simulated_account
from peers.environments import driver, python_of
from psycopg.conninfo import conninfo_to_dict

LATENCY_MS, RPS = 300, 7
STREAMS = ("users", "pipelines", "contacts", "leads", "notes", "tasks")
LONG_AGO = 1_775_000_000  # Unix seconds, before either way's window of recent changes
FIRST_LEAD = 30_000_001
FIRST_CONTACT = 20_000_001
EDITED = "исправлено вручную"


def hang_on_leads(account: Account, leads: int) -> None:
    """One contact, two notes and a task for each lead; plain names, since NUL would stop amochka's load."""
    then = {"created_at": LONG_AGO, "updated_at": LONG_AGO}
    for n in range(leads):
        lead, contact = FIRST_LEAD + n, FIRST_CONTACT + n
        names = {"name": f"Иван {n}", "first_name": "Иван", "last_name": str(n)}
        _change(account, "update", kind="contacts", ids=[contact], fields=names, touch=False)
        links = {"contacts": [{"id": contact, "is_main": True}], "companies": []}
        named = {"name": f"Сделка {n}", "_embedded": links}
        _change(account, "update", kind="leads", ids=[lead], fields=named, touch=False)
        note = {**then, "entity_id": lead, "note_type": "common", "params": {"text": f"Заметка {n}"}}
        _change(account, "create", kind="leads/notes", fields=note, count=2, updated_at=LONG_AGO)
        task = {**then, "entity_id": lead, "entity_type": "leads", "text": f"Дело {n}"}
        _change(account, "create", kind="tasks", fields=task, updated_at=LONG_AGO)


def _change(account: Account, action: str, **body: Any) -> None:
    account.control(action, body)


def amochka_run(account: Account, database: str, folder: Path, *, first: bool) -> dict[str, Any]:
    """One run of its ETL: a full one with migrations, or an incremental one."""
    given = conninfo_to_dict(database)
    token, env = folder / "token.json", folder / "amochka.env"
    token.write_text(json.dumps({"access_token": TOKEN, "expires_at": "4102444800"}))
    lines = {
        "ETL_DB_HOST": given["host"],
        "ETL_DB_PORT": given.get("port", 5432),
        "ETL_DB_NAME": given["dbname"],
        "ETL_DB_USER": given["user"],
        "ETL_DB_PASSWORD": "",
        "ETL_DB_SCHEMA": "public",
        "AMO_ACCOUNT_1_ID": 31_415_926,
        "AMO_ACCOUNT_1_NAME": "bench",
        "AMO_ACCOUNT_1_URL": account.url,
        "AMO_ACCOUNT_1_TOKEN_PATH": token,
        "AMO_ACCOUNT_1_MYBI_ACCOUNT_ID": 1,
        "AMO_ACCOUNT_1_CACHE_DIR": folder / "cache",
    }
    env.write_text("".join(f"{name}={value}\n" for name, value in lines.items()))
    command = [python_of("amochka"), driver("amochka_etl.py"), "--env", env]
    command += ["--entities", "pipelines,users,leads,contacts,tasks,notes"]
    return run([*command, "--migrate", "--full"] if first else command, cwd=folder).as_dict()


def our_run(account: Account, database: str, folder: Path, *, first: bool) -> dict[str, Any]:
    """One run of the pair at the limit; it continues from the state in the folder."""
    if first:
        ours.catalog_of(account, folder, STREAMS)
        account.forget_requests()
    took = ours.sync(account, database, folder, streams=STREAMS)
    return {"seconds": took["seconds"], "cpu_seconds": took["tap"]["cpu_seconds"] + took["target"]["cpu_seconds"]}


WAYS = {"amochka": amochka_run, "ours": our_run}
LEAD_NAMES = {"amochka": ("public", "amocrm_leads", "lead_id"), "ours": ("crm", "leads", "amo_id")}


def _lead_table(way: str) -> tuple[psycopg.sql.Identifier, psycopg.sql.Identifier]:
    schema, table, key = LEAD_NAMES[way]
    return psycopg.sql.Identifier(schema, table), psycopg.sql.Identifier(key)


def edit_by_hand(way: str, database: str, leads: list[int]) -> None:
    """A person types another name into these leads."""
    table, key = _lead_table(way)
    with psycopg.connect(database) as connection:
        statement = psycopg.sql.SQL("UPDATE {} SET name = %s WHERE {} = ANY(%s)").format(table, key)
        changed = connection.execute(statement, (EDITED, leads)).rowcount
        assert changed == len(leads)


def edits_left(way: str, database: str, leads: list[int]) -> int:
    """How many of these leads still have the name that the person typed."""
    table, key = _lead_table(way)
    with psycopg.connect(database) as connection:
        statement = psycopg.sql.SQL("SELECT count(*) FROM {} WHERE {} = ANY(%s) AND name = %s").format(table, key)
        row = connection.execute(statement, (leads, EDITED)).fetchone()
    assert row is not None
    return int(row[0])


def loaded(way: str, database: str) -> dict[str, int]:
    """Rows of leads, contacts, tasks and notes in the way's tables."""
    names = {
        "amochka": {
            k: ("public", f"amocrm_{t}")
            for k, t in zip(KINDS, ("leads", "contacts", "tasks", "leads_notes"), strict=True)
        },
        "ours": {k: ("crm", k) for k in KINDS},
    }[way]
    found = {}
    with psycopg.connect(database) as connection:
        for kind, table in names.items():
            statement = psycopg.sql.SQL("SELECT count(*) FROM {}").format(psycopg.sql.Identifier(*table))
            row = connection.execute(statement).fetchone()
            assert row is not None
            found[kind] = int(row[0])
    return found


KINDS = ("leads", "contacts", "tasks", "notes")


def one(way: str, leads: int, server: Postgres, latency: int) -> dict[str, Any]:
    """First run, second run, manual edits and a change in amoCRM, third run."""
    sizes = {"companies": 0, "leads": leads, "contacts": leads, "notes": 0, "tasks": 0}
    edited = [FIRST_LEAD + n for n in range(min(20, leads))]
    with (
        simulated_account(**sizes, latency=latency, rps=RPS) as account,
        tempfile.TemporaryDirectory(prefix="bench-") as base,
    ):
        hang_on_leads(account, leads)
        folder, database = Path(base), server.fresh()
        taken: dict[str, Any] = {}
        for step in ("first", "second", "third"):
            if step == "third":
                edit_by_hand(way, database, edited)
                _change(account, "update", kind="leads", ids=edited[::2], fields={"price": 777})
            account.forget_requests()
            server.forget_statements(database)
            before = sum(server.row_versions(database).values())
            taken[step] = WAYS[way](account, database, folder, first=step == "first")
            taken[step] |= {"traffic": account.traffic(), "statements": server.statements(database)}
            taken[step]["row_versions"] = sum(server.row_versions(database).values()) - before
        kept = {"changed_in_amocrm": edited[::2], "unchanged_in_amocrm": edited[1::2]}
        taken["edits"] = {
            name: {"made": len(ids), "kept": edits_left(way, database, ids)} for name, ids in kept.items()
        }
        taken["loaded"] = loaded(way, database)
    return taken


def stops_at(leads: int, server: Postgres) -> bool:
    """Whether amochka's load stops at that many leads, since all IDs of their contacts are in one address.

    Raises:
        BenchmarkError: it stopped for another reason.
    """
    sizes = {"companies": 0, "leads": leads, "contacts": leads, "notes": 0, "tasks": 0}
    with simulated_account(**sizes, rps=0) as account, tempfile.TemporaryDirectory(prefix="bench-") as base:
        hang_on_leads(account, leads)
        try:
            amochka_run(account, server.fresh(), Path(base), first=True)
        except BenchmarkError as error:
            if "414" not in str(error):
                raise
            return True
    return False


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Both ways in turns; then whether amochka can take an account twice as large."""
    leads, latency = (12, 10) if options.small else (200, LATENCY_MS)
    found: dict[str, list[dict[str, Any]]] = {way: [] for way in WAYS}
    with postgres() as server:
        for _ in range(options.runs):
            for way in WAYS:
                found[way].append(one(way, leads, server, latency))
        stops = stops_at(2 * leads, server)
    result = {
        "latency_ms": latency,
        "rps_limit": RPS,
        "leads": leads,
        "version": "0.7.0",
        "ways": found,
        "stops_at_twice_the_leads": stops,
    }
    _print(result)
    return result


def _print(result: Mapping[str, Any]) -> None:
    rows = []
    for way, runs in result["ways"].items():
        for step in ("first", "second"):
            row = [f"{way}, {step} run", median_of(runs, step, "traffic", "requests"), median_of(runs, step, "seconds")]
            rows.append([*row, median_of(runs, step, "statements"), median_of(runs, step, "row_versions")])
    show(f"{result['leads']} leads", ["", "requests", "seconds", "statements", "row versions"], rows)
    edits = [
        [
            way,
            *(
                f"{median_of(runs, 'edits', n, 'kept'):.0f} of {median_of(runs, 'edits', n, 'made'):.0f}"
                for n in ("unchanged_in_amocrm", "changed_in_amocrm")
            ),
        ]
        for way, runs in result["ways"].items()
    ]
    show("Edits by hand kept", ["", "record unchanged", "record changed"], edits)


if __name__ == "__main__":
    main("amochka", __doc__, measure)
