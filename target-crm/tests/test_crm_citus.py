"""On a cluster of Citus by schema (TEST_CITUS_URL): what docs/scaling.md says of statements, nodes and time zones."""

from __future__ import annotations

import re
import time

import psycopg
import pytest
from crm_life import life, phones
from psycopg import sql
from psycopg.conninfo import make_conninfo
from servers import TEST_CITUS_URL

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.errors import DatabaseError
from target_crm.operations.session import open_session
from target_crm.operations.undo import undo

pytestmark = pytest.mark.skipif(TEST_CITUS_URL is None, reason="TEST_CITUS_URL names no cluster")
ROWS = 20_000
LARGE = ("contacts", "contact_phones", "sync_keys", "sync_changes")


class Plans:
    """The plan of each statement of loads that reads or writes tables, as Citus explains it just before."""

    def __init__(self, crm, monkeypatch):
        self.found: dict[str, str] = {}
        execute = psycopg.Cursor.execute

        def explained(cursor, query, params=None, **more):
            text = query.as_bytes(cursor.connection) if isinstance(query, sql.Composable) else query
            text = text.decode() if isinstance(text, bytes) else text
            if crm.schema in text and re.match(r"\s*(SELECT|INSERT|UPDATE|DELETE|WITH)\b", text):
                with cursor.connection.transaction():
                    plan = psycopg.Cursor(cursor.connection)
                    execute(plan, f"EXPLAIN (COSTS OFF) {text}".encode(), params)
                    self.found[text] = "\n".join(line for (line,) in plan.fetchall())
            return execute(cursor, query, params, **more)

        monkeypatch.setattr(psycopg.Cursor, "execute", explained)

    def that_move_a_table(self):
        """Statements with a part that leaves its node and reads a table of the CRM beside no staged record."""
        return [(text, plan) for text, plan in self.found.items() if any(map(_is_whole, _parts(plan)))]


def _parts(plan):
    """The parts of a plan whose rows are sent on, each with its lines."""
    lines = plan.split("\n")
    for number, line in enumerate(lines):
        if "Distributed Subplan" in line:
            depth = len(line) - len(line.lstrip())
            inner = []
            for following in lines[number + 1 :]:
                if len(following) - len(following.lstrip()) <= depth and following.strip():
                    break
                inner.append(following)
            yield "\n".join(inner)


def _is_whole(part):
    """Whether a part reads a table and neither writes it nor meets staged records, keys, or a limit."""
    if re.search(r"sync_stage_|intermediate_result|Index Cond|Update on|Insert on|Delete on|Limit", part):
        return False
    return bool(re.search(rf"Scan .*on ({'|'.join((*LARGE, 'companies', 'leads', 'notes', 'tasks'))})_\d+", part))


def test_no_statement_of_loads_moves_a_table_of_the_crm(crm, monkeypatch):
    plans = Plans(crm, monkeypatch)
    life(crm)
    assert len(plans.found) > 100
    assert plans.that_move_a_table() == []


def rows_read_through(crm):
    """How many rows of the large tables have been read by reading the whole table, on all workers."""
    tables = "|".join(LARGE)
    query = (
        "SELECT coalesce(sum(seq_tup_read), 0) FROM pg_stat_user_tables "
        f"WHERE schemaname = '{crm.schema}' AND relname ~ '^({tables})_[0-9]+$'"
    )
    crm.execute("SELECT run_command_on_workers('SELECT pg_stat_clear_snapshot()')")
    return sum(int(row["result"]) for row in crm.execute("SELECT result FROM run_command_on_workers(%s)", query))


def settled(crm):
    """The same once the sessions of the load have reported: they do so when they end, or a second after."""
    before, deadline = -1, time.monotonic() + 15
    while (now := rows_read_through(crm)) != before and time.monotonic() < deadline:
        before = now
        time.sleep(1.5)
    return now


def test_a_batch_of_ten_reads_ten_records_of_twenty_thousand(crm, monkeypatch):
    crm.sync("contacts", *({"id": n, "last_name": "до", **phones(f"+7916{n:07d}")} for n in range(1, ROWS + 1)))
    for table in LARGE:
        crm.execute(f"ANALYZE {table}")

    def ten(first, word):
        records = ({"id": n, "last_name": word, **phones(f"+7495{n:07d}")} for n in range(first, first + 10))
        # Old entries of the journal are looked for once in a run, in all of it.
        counts = crm.sync("contacts", *records, journal_retention_days=0)
        return counts["inserted"], counts["updated"]

    before = settled(crm)
    assert ten(ROWS - 4, "после") == (5, 5)
    assert settled(crm) - before < ROWS / 10
    plans = Plans(crm, monkeypatch)
    assert ten(ROWS, "снова") == (4, 6)
    assert len(plans.found) > 20
    assert plans.that_move_a_table() == []


@pytest.fixture
def workers_elsewhere(crm):
    """Workers whose sessions are in another time zone than the loader's: Citus gives the role's settings to all nodes,
    and the loader's own sessions set theirs."""
    database = sql.Identifier(crm.connection.info.dbname).as_string()
    crm.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET timezone = 'Asia/Vladivostok'")
    zones = crm.execute("SELECT result FROM run_command_on_workers('SHOW timezone')")
    assert {row["result"] for row in zones} == {"Asia/Vladivostok"}
    yield crm
    crm.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} RESET timezone")


def test_the_time_zone_of_the_workers_decides_nothing(workers_elsewhere):
    crm = workers_elsewhere
    crm.sync("contacts", {"id": 1, "last_name": "А", **phones("+79161234567", "+79031112233")})
    before = (crm.rows("contacts"), {r["value"] for r in crm.rows("contact_phones", "id")})
    crm.sync("contacts", {"id": 1, "last_name": "Б", **phones("+79161234567", "+74951234567")})
    (run,) = crm.execute("SELECT max(id) AS id FROM sync_runs")
    with open_session(Settings.from_config(crm.config)) as opened:
        done = undo(opened, run["id"])
    assert {name: c.left_edited for name, c in done.items() if c.left_edited} == {}
    assert {r["value"] for r in crm.rows("contact_phones", "id")} == before[1]
    assert crm.rows("contacts")[0]["raw_fields"] == before[0][0]["raw_fields"]
    assert crm.rows("contacts")[0]["amo_updated_at"] == before[0][0]["amo_updated_at"]


def test_a_record_that_a_constraint_refuses_is_rejected_alone(crm):
    crm.sync("leads", {"id": 1, "price": 1})
    crm.execute("ALTER TABLE leads ADD CONSTRAINT cheap CHECK (price < 1000)")
    crm.sync("leads", {"id": 1, "price": 7000}, {"id": 2, "price": 5000}, {"id": 3, "price": 5})
    assert [(r["amo_id"], int(r["price"])) for r in crm.rows("leads")] == [(1, 1), (3, 5)]
    rejects = crm.rows("sync_rejects", "id")
    assert sorted(r["amo_id"] for r in rejects) == [1, 2]
    assert {r["code"] for r in rejects} == {"E_DATABASE_CHECK"}


def test_what_a_node_refuses_is_reported_as_by_postgresql(crm):
    crm.sync("leads", {"id": 1, "price": 1})
    crm.execute("ALTER TABLE leads ADD COLUMN code text NOT NULL DEFAULT 'x'")
    crm.execute("CREATE UNIQUE INDEX leads_price ON leads (price)")
    crm.sync("leads", {"id": 2, "price": 1}, {"id": 3, "price": 3})
    (reject,) = crm.rows("sync_rejects", "id")
    assert reject["code"] == "E_DATABASE_UNIQUE"
    assert reject["args"] | {"message": ""} == reject["args"] | {
        "message": "", "table": "leads", "constraint": "leads_price", "key": "price = 1",
    }  # fmt: skip


def test_a_worker_is_refused_before_anything_is_written(crm):
    (worker,) = crm.execute("SELECT nodename, nodeport FROM pg_dist_node WHERE groupid > 0 ORDER BY nodeid LIMIT 1")
    url = make_conninfo(crm.url, host=worker["nodename"], port=worker["nodeport"], connect_timeout=3)
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        pytest.skip("the workers can't be reached from here")
    address = (
        f"postgresql://postgres:@/{crm.connection.info.dbname}?host={worker['nodename']}&port={worker['nodeport']}"
    )
    with pytest.raises(DatabaseError, match="is a worker of Citus"):
        crm.load([crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1})], database_url=address)
    assert crm.execute("SELECT to_regnamespace(%s) AS found", crm.schema) == [{"found": None}]


def test_temporary_tables_beside_a_schema_on_a_worker_are_refused(crm):
    crm.sync("contacts", {"id": 1})
    settings = Settings.from_config({**crm.config, "staging": "temporary"})
    with (
        Database(settings) as database,
        database.connect() as connection,
        pytest.raises(DatabaseError, match="staging"),
    ):
        database.use_staging(connection)
