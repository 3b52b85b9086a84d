"""Every page of the review page over a large journal: 100,000 open conflicts, ten million entries.

Each page is asked for over HTTP as a browser would, by the real command on a separate database. The size is chosen
by `--conflicts` and `--changes`; what is measured is the time until the whole answer is there. The database has the
extension pg_trgm, as docs/review.md recommends: without it, a search by text reads all open conflicts.
"""

from __future__ import annotations

import argparse
import os
import re
import statistics
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import HTTPCookieProcessor, OpenerDirector, build_opener

import psycopg
from harness import BIN, BenchmarkError, console, main, postgres, show

LIMIT_MS = 100.0
RUNS = 200
COLUMNS = ("last_name", "first_name", "position", "phone", "email")
COMPANIES, MOST_CONTACTS = 2000, 200_000
# Rows that a usual night changes.
NIGHT = 200
# The preview of an undo runs the undo and rolls it back: it takes as long as what it does, and has no limit.
PREVIEW = "what undoing a usual night would change"
METRICS_TOKEN = "token-of-the-monitor"


def sizes(options: argparse.Namespace) -> dict[str, int]:
    """How many of each."""
    conflicts = 500 if options.small else options.conflicts
    changes = 20_000 if options.small else options.changes
    return {"conflicts": conflicts, "changes": changes, "contacts": min(max(conflicts, 1000), MOST_CONTACTS)}


def fill(url: str, size: dict[str, int]) -> None:
    """A CRM with contacts, a journal of many runs (the last one holds half of it), conflicts and rejects."""
    given = {**os.environ, "TARGET_CRM_DATABASE_URL": url}
    nothing = '{"type": "STATE", "value": {}}'  # a load of it makes the tables
    subprocess.run(
        [BIN / "target-crm", "--config", "ENV"], input=nothing, text=True, env=given, check=True, capture_output=True
    )
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
        connection.execute("SET search_path = crm; SET synchronous_commit = off; SET maintenance_work_mem = '1GB'")
        connection.execute(
            "INSERT INTO companies (name, amo_account_id, amo_id) "
            "SELECT 'ООО ' || n, 1, n FROM generate_series(1, %s) AS n",
            (COMPANIES,),
        )
        connection.execute(
            "INSERT INTO contacts (company_id, first_name, last_name, position, amo_account_id, amo_id, raw_fields) "
            "SELECT c.id, 'Имя ' || n, 'Фамилия ' || n, 'вручную ' || n, 1, n, jsonb_build_object('amo', "
            "jsonb_build_object('id', n, 'updated_by', 5), 'amo_values', jsonb_build_object('position', 'было ' || n)) "
            "FROM generate_series(1, %s) AS n JOIN companies AS c ON c.amo_id = n %% %s + 1",
            (size["contacts"], COMPANIES),
        )
        connection.execute(
            "INSERT INTO sync_runs (status, started_at, finished_at, account_ids, counts) SELECT 'succeeded', "
            "now() - (%s - n) * interval '1 hour', now() - (%s - n) * interval '1 hour' + interval '1 minute', '{1}', "
            "jsonb_build_object('contacts', jsonb_build_object('updated', n)) FROM generate_series(1, %s) AS n",
            (RUNS, RUNS, RUNS),
        )
        _journal(connection, size)
        connection.execute(
            "INSERT INTO sync_conflicts (run_id, table_name, row_id, column_name, base_value, crm_value, amo_value) "
            "SELECT %s, 'contacts', t.id::text, 'position', to_jsonb('было ' || t.amo_id), to_jsonb(t.position), "
            "to_jsonb('стало ' || t.amo_id) FROM generate_series(1, %s) AS n JOIN contacts AS t ON t.amo_id = n",
            (RUNS, size["conflicts"]),
        )
        connection.execute(
            "INSERT INTO sync_rejects (run_id, stream, record, code, args, error) SELECT %s, 'leads', "
            "jsonb_build_object('id', 'x' || n)::text, 'E_KEY_NOT_A_NUMBER', "
            "jsonb_build_object('property', 'id', 'value', 'x' || n), 'id must be a whole number.' "
            "FROM generate_series(1, %s) AS n",
            (RUNS, size["conflicts"] // 10),
        )
        _usual_night(connection, size)
        _waiting(connection, size)
        connection.execute("VACUUM ANALYZE")


def _usual_night(connection: psycopg.Connection[Any], size: dict[str, int]) -> None:
    """The last run wrote one column of few rows, which still hold it."""
    connection.execute(
        "INSERT INTO sync_runs (status, started_at, finished_at, account_ids, counts) SELECT 'succeeded', "
        "now() - interval '1 minute', now(), '{1}', jsonb_build_object('contacts', jsonb_build_object('updated', %s))",
        (NIGHT,),
    )
    connection.execute(
        "INSERT INTO sync_changes (run_id, table_name, row_id, column_name, old_value, new_value) "
        "SELECT %s, 'contacts', t.id::text, 'first_name', to_jsonb('Прежнее имя'::text), to_jsonb(t.first_name) "
        "FROM contacts AS t WHERE t.amo_id > %s",
        (RUNS + 1, size["contacts"] - NIGHT),
    )


def _waiting(connection: psycopg.Connection[Any], size: dict[str, int]) -> None:
    """Values that were left out, and records that a person is to match."""
    connection.execute(
        "INSERT INTO sync_warnings (run_id, stream, account_id, amo_id, table_name, row_id, column_name, value, code, "
        "args) SELECT %s, 'leads', 1, n, 'leads', NULL, CASE n %% 2 WHEN 0 THEN 'price' ELSE 'closed_at' END, "
        "to_jsonb('много'::text), 'W_NOT_A_NUMBER', jsonb_build_object('value', 'много') FROM generate_series(1, %s) n",
        (RUNS, size["conflicts"] // 10),
    )
    connection.execute(
        "INSERT INTO sync_proposals (run_id, stream, account_id, amo_id, record, candidates, rule) SELECT %s, "
        "'companies', 1, 1000000 + c.amo_id, json_build_object('id', 1000000 + c.amo_id, 'name', c.name), "
        "ARRAY[c.id::text], 'name' FROM companies AS c",
        (RUNS,),
    )


def _journal(connection: psycopg.Connection[Any], size: dict[str, int]) -> None:
    """Written as runs write it: column after column. The index on rows is made afterwards, which is faster."""
    connection.execute("DROP INDEX sync_changes_row")
    per_run = size["changes"] // 2 // (RUNS - 1)
    for first, last, entries in ((1, RUNS - 1, per_run), (RUNS, RUNS, size["changes"] - per_run * (RUNS - 1))):
        for place, column in enumerate(COLUMNS):
            connection.execute(
                "INSERT INTO sync_changes (run_id, table_name, row_id, column_name, old_value, new_value) "
                "SELECT r, 'contacts', t.id::text, %s, to_jsonb('было ' || n), to_jsonb('стало ' || n) "
                "FROM generate_series(%s::int, %s) AS r, generate_series(%s::int, %s, %s) AS n "
                "JOIN contacts AS t ON t.amo_id = n %% %s + 1",
                (column, first, last, place, entries - 1, len(COLUMNS), size["contacts"]),
            )
    connection.execute("CREATE INDEX sync_changes_row ON sync_changes (row_id, table_name, id)")


@contextmanager
def serving(url: str) -> Iterator[tuple[str, OpenerDirector, float]]:
    """The command, started and entered: its address, a browser with a session, seconds until it served."""
    started = time.perf_counter()
    child = subprocess.Popen(
        [BIN / "target-crm-admin", "--database-url", url, "serve", "--port", "0"],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "TARGET_CRM_METRICS_TOKEN": METRICS_TOKEN},
    )
    assert child.stdout is not None
    try:
        address = next((m[0] for line in child.stdout if (m := re.search(r"http://\S+token=\S+", line))), None)
        if address is None:
            raise BenchmarkError("target-crm-admin serve did not start")
        seconds = time.perf_counter() - started
        browser = build_opener(HTTPCookieProcessor())
        browser.open(address, timeout=60).read()
        browser.addheaders.append(("Authorization", f"Bearer {METRICS_TOKEN}"))
        yield "http://" + urlsplit(address).netloc, browser, seconds
    finally:
        child.terminate()
        child.wait(30)


def pages(url: str) -> dict[str, str]:
    """What is asked for: lists, filters, one of each, and pages far inside."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "SELECT (SELECT percentile_disc(0.5) WITHIN GROUP (ORDER BY id) FROM crm.sync_conflicts), "
            "(SELECT row_id FROM crm.sync_conflicts ORDER BY id LIMIT 1), "
            "(SELECT max(id) FROM crm.sync_changes WHERE run_id = %s), (SELECT min(id) FROM crm.sync_proposals), "
            "(SELECT row_id FROM crm.sync_changes WHERE run_id = %s LIMIT 1)",
            (RUNS, RUNS + 1),
        ).fetchone()
    assert row is not None
    middle, record, last, proposal, changed = row
    return {
        "home": "/",
        "a card": "/cards",
        "records that changed last": "/records",
        "a record by its name": f"/records?q={quote('Фамилия 77')}",
        "a record by a name that many have": f"/records?q={quote('Фамилия')}",
        "a record by a phone that nobody has": f"/records?q={quote('+7 916 000-00-00')}",
        "a record by an e-mail that nobody has": "/records?q=nobody@example.com",
        "conflicts": "/conflicts",
        "conflicts, the newest first": "/conflicts?sort=newest",
        "conflicts by record": "/conflicts?sort=record",
        "conflicts by record, half way": f"/conflicts?sort=record&after={middle}",
        "conflicts by field, half way": f"/conflicts?sort=column&after={middle}",
        "conflicts that hold a text": f"/conflicts?q={quote('стало 777')}",
        "conflicts of a name": f"/conflicts?q={quote('Фамилия 777')}",
        "conflicts with resolved ones": "/conflicts?resolved=1",
        "conflicts of a run": f"/conflicts?run_id={RUNS}",
        "the card of a conflict half way": f"/cards/contacts/{record}",
        "warnings": "/warnings",
        "warnings of a field": "/warnings?table=leads&column=price&code=W_NOT_A_NUMBER",
        "matches": "/proposals",
        "a match": f"/proposals/{proposal}",
        "decisions": "/decisions",
        "standing rules": "/rules",
        "conflicts of a column": "/conflicts?table=contacts&column=position",
        "conflicts by a rule that none fits": "/conflicts?rule=same_but_spelling",
        "conflicts, half way": f"/conflicts?after={middle}",
        "one conflict": f"/conflicts/{middle}",
        "runs": "/runs",
        "runs that changed a table": "/runs?table=contacts",
        "the largest run": f"/runs/{RUNS}",
        "its changes, half way": f"/runs/{RUNS}?table=contacts&column=phone&after={last // 2}",
        "its changes of all columns": f"/runs/{RUNS}?all=1",
        "a record": f"/records/contacts/{record}",
        "a record by its number": "/records?table=contacts&key=1",
        "a record that a usual night changed": f"/records/contacts/{changed}",
        "the run of a usual night": f"/runs/{RUNS + 1}",
        PREVIEW: f"/runs/{RUNS + 1}/undo",
        "rejects": "/rejects",
        "rejects of a run, closed ones too": f"/rejects?run_id={RUNS}&resolved=1",
        "a rule's preview": "/rules?cell=contacts%7Cposition&condition=same_but_spelling&take=amo",
        "names for a link": "/choices?table=contacts&column=company_id&q=77",
        "the plan": "/plan",
        "metrics for a monitor": "/metrics",
    }


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """Fill, serve, ask; milliseconds by page: the first answer, the median of the others, the slowest of all."""
    size = sizes(options)
    with postgres() as server:
        url = server.fresh()
        console.print(f"filling: {size}")
        fill(url, size)
        found: dict[str, dict[str, float]] = {}
        with serving(url) as (address, browser, seconds):
            for name, path in pages(url).items():
                taken = []
                for _ in range(max(options.runs * 4, 5)):
                    started = time.perf_counter()
                    with browser.open(address + path, timeout=120) as answer:
                        text = answer.read().decode()
                    taken.append((time.perf_counter() - started) * 1000)
                    if not any(sign in text for sign in ("<main", "# EOF", '["')):
                        raise BenchmarkError(f"{path} is not a page")
                found[name] = {
                    "first_ms": round(taken[0], 1),
                    "median_ms": round(statistics.median(taken[1:]), 1),
                    "slowest_ms": round(max(taken), 1),
                }
    found = dict(sorted(found.items(), key=lambda page: -page[1]["median_ms"]))
    show(
        f"The review page over {size['conflicts']:,} open conflicts and {size['changes']:,} entries of the journal",
        ("page", "first, ms", "median, ms", "slowest, ms"),
        [(name, *times.values()) for name, times in found.items()],
    )
    return {
        "size": size,
        "start_seconds": round(seconds, 1),
        "limit_ms": LIMIT_MS,
        "pages": found,
        "all_under_limit": all(times["median_ms"] < LIMIT_MS for name, times in found.items() if name != PREVIEW),
    }


if __name__ == "__main__":
    main("review_page", __doc__, measure, conflicts=100_000, changes=10_000_000)
