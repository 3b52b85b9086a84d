"""docs/other-loaders.md: the default account into loaders of others, record by record."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from amocrm_sim.testing import SimulatorServer

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("loaders")]
ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
# That many notes that the content of one is plain text.
SIZES = {"companies": 30, "notes": 600}
# docs/other-loaders.md, target-duckdb.
AS_TEXT = {"notes": {"params": "json.dumps(params)"}}


def program(loader):
    """How a loader is started; its environment is made once and kept in .cache."""
    sys.path.insert(0, str(ROOT / "benchmarks"))
    try:
        from peers.environments import PeerUnavailableError, python_of

        python = python_of(loader)
    except PeerUnavailableError as error:
        pytest.skip(f"{loader} can't be installed: {error}")
    finally:
        sys.path.remove(str(ROOT / "benchmarks"))
    return [str(python), str(python.parent / loader)]


def read(sim, folder, state=None, only=(), **settings):
    """What the tap says of an account, or of some streams: its messages, and the last state."""
    config = folder / "tap.json"
    given = {"api_url": sim.url, "access_token": "sim-token", "requests_per_second": 1000, **settings}
    config.write_text(json.dumps(given))
    line = [BIN / "tap-amocrm", "--config", config]
    if only:
        catalog = json.loads(subprocess.run([*line, "--discover"], capture_output=True, check=True).stdout)
        for stream in catalog["streams"]:
            (root,) = [part["metadata"] for part in stream["metadata"] if not part["breadcrumb"]]
            root["selected"] = stream["tap_stream_id"] in only
        (folder / "catalog.json").write_text(json.dumps(catalog))
        line += ["--catalog", folder / "catalog.json"]
    if state is not None:
        (folder / "state.json").write_text(json.dumps(state))
        line += ["--state", folder / "state.json"]
    done = subprocess.run(line, capture_output=True, text=True, timeout=200, check=True)
    states = [m["value"] for m in map(json.loads, done.stdout.splitlines()) if m["type"] == "STATE"]
    return done.stdout, states[-1]


def keys_of(messages):
    """The keys of the records by stream, one for each message."""
    found = defaultdict(list)
    for message in map(json.loads, messages.splitlines()):
        if message["type"] == "RECORD":
            record = message["record"]
            found[message["stream"]].append((record["account_id"], str(record["id"])))
    return found


def load(loader, config, messages, folder):
    """Run a loader over messages; it must end well."""
    file = folder / f"{loader}.json"
    file.write_text(json.dumps(config))
    line = [*program(loader), "--config", str(file)]
    done = subprocess.run(line, input=messages, capture_output=True, text=True, timeout=280, check=False)
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture(scope="module")
def messages(tmp_path_factory):
    with SimulatorServer(process=True, rps=0, **SIZES) as sim:
        return read(sim, tmp_path_factory.mktemp("read"))[0]


def test_no_key_comes_twice_in_a_run(messages):
    for stream, keys in keys_of(messages).items():
        assert len(keys) == len(set(keys)), stream


def test_target_jsonl_holds_every_record(messages, tmp_path):
    load("target-jsonl", {"destination_path": str(tmp_path), "do_timestamp_file": False}, messages, tmp_path)
    for stream, keys in keys_of(messages).items():
        lines = (tmp_path / f"{stream}.jsonl").read_text("utf-8").split("\n")
        found = [json.loads(line) for line in lines if line]
        assert [(r["account_id"], str(r["id"])) for r in found] == keys, stream


def test_target_csv_holds_every_record(messages, tmp_path):
    csv.field_size_limit(10_000_000)
    load("target-csv", {"output_path": str(tmp_path)}, messages, tmp_path)
    for stream, keys in keys_of(messages).items():
        with (tmp_path / f"{stream}.csv").open(encoding="utf-8", newline="") as lines:
            found = [(int(row["account_id"]), row["id"]) for row in csv.DictReader(lines)]
        assert sorted(found) == sorted(keys), stream


def test_target_duckdb_holds_every_record_where_the_content_of_notes_comes_as_text(messages, tmp_path):
    assert any('"params":"' in line for line in messages.splitlines()), "the account has no note of plain text"
    with SimulatorServer(process=True, rps=0, **SIZES) as sim:
        mapped = read(sim, tmp_path, stream_maps=AS_TEXT)[0]
    file = tmp_path / "account.duckdb"
    load("target-duckdb", {"filepath": str(file), "default_target_schema": "amo"}, mapped, tmp_path)
    code = (
        "import duckdb, json, sys; c = duckdb.connect(sys.argv[1]); "
        "print(json.dumps({s: c.execute(f'SELECT account_id::bigint, id::text FROM amo.{s}').fetchall() "
        "for s in sys.argv[2:]}))"
    )
    expected = keys_of(messages)
    line = [program("target-duckdb")[0], "-c", code, str(file), *expected]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    found = {stream: sorted(map(tuple, rows)) for stream, rows in json.loads(done.stdout).items()}
    assert found == {stream: sorted(keys) for stream, keys in expected.items()}


def sqlalchemy_url(url):
    """The URL as SQLAlchemy takes it: a socket's folder is a parameter of it, too."""
    parts = {name: str(value) for name, value in conninfo_to_dict(url).items() if value is not None}
    user, name = parts.pop("user", "postgres"), parts.pop("dbname", "postgres")
    password = f":{parts.pop('password')}" if parts.get("password") else ""
    query = "&".join(f"{key}={value}" for key, value in parts.items())
    return f"postgresql+psycopg://{user}{password}@/{name}?{query}"


def test_target_postgres_has_a_column_for_each_custom_field_and_marks_links_that_are_gone(database_url, tmp_path):
    schema = f"columns_{os.getpid()}"
    config = {"sqlalchemy_url": sqlalchemy_url(database_url), "default_target_schema": schema}
    only = ("companies", "leads", "lead_contacts")
    with (
        SimulatorServer(process=True, rps=0, companies=20) as sim,
        psycopg.connect(database_url, autocommit=True) as db,
    ):

        def rows(statement):
            return db.execute(sql.SQL(statement).format(s=sql.Identifier(schema))).fetchall()

        def linked():
            return set(rows("SELECT lead_id::bigint, contact_id::bigint FROM {s}.lead_contacts WHERE NOT is_deleted"))

        def embedded():
            return {(i, c["id"]) for i, r in sim.truth("leads").items() for c in r["_embedded"]["contacts"]}

        try:
            first, state = read(sim, tmp_path, None, only, custom_fields="columns")
            load("target-postgres", config, first, tmp_path)
            kinds = dict(
                db.execute(
                    "SELECT column_name, data_type FROM information_schema.columns "
                    "WHERE table_schema = %s AND table_name = 'companies' AND column_name LIKE 'cf!_%%' ESCAPE '!'",
                    [schema],
                ).fetchall()
            )
            assert len(kinds) == 32
            names = ("cf_phone", "cf_filial", "cf_ploshchad_m2", "cf_osnovana", "cf_postoyannyy", "cf_rekvizity")
            assert [kinds[name] for name in names] == ["ARRAY", "text", "numeric", "date", "boolean", "jsonb"]
            assert linked() == embedded()
            lead = min(lead for lead, _ in embedded())
            wish = {"field_id": 702_005, "field_name": "Желания", "field_type": "textarea", "values": [{"value": "да"}]}
            changed = {"custom_fields_values": [wish], "_embedded": {"contacts": []}}
            sim.change("update", kind="leads", ids=[lead], fields=changed)
            load("target-postgres", config, read(sim, tmp_path, state, only, custom_fields="columns")[0], tmp_path)
            assert rows(f"SELECT cf_pozhelaniya FROM {{s}}.leads WHERE id = {lead}") == [("да",)]
            assert linked() == embedded()
        finally:
            db.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))


def test_meltano_lands_raw_tables_by_target_postgres_full_then_incremental(database_url, tmp_path):
    schema = f"raw_{os.getpid()}"
    for name in ("meltano.yml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for package in ("tap-amocrm", "target-crm"):
        (tmp_path / package).symlink_to(ROOT / package)
    with SimulatorServer(process=True, rps=0, **SIZES) as sim, psycopg.connect(database_url, autocommit=True) as db:
        environment = {
            **os.environ,
            "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
            "NO_COLOR": "1",
            "TAP_AMOCRM_API_URL": sim.url,
            "TAP_AMOCRM_ACCESS_TOKEN": "sim-token",
            "TAP_AMOCRM_REQUESTS_PER_SECOND": "500",
            "TARGET_POSTGRES_SQLALCHEMY_URL": sqlalchemy_url(database_url),
            "TARGET_POSTGRES_DEFAULT_TARGET_SCHEMA": schema,
        }

        def run():
            done = subprocess.run(
                [BIN / "meltano", "run", "tap-amocrm", "target-postgres"],
                cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=500, check=False,
            )  # fmt: skip
            text = done.stdout + done.stderr
            if re.search(r"Failed to download|Could not connect|dns error", text):
                pytest.skip("the package index can't be reached: Meltano installs the plugins from it")
            assert done.returncode == 0, text[-3000:]

        def rows(statement):
            return db.execute(sql.SQL(statement).format(s=sql.Identifier(schema))).fetchall()

        try:
            run()
            notes = ("companies/notes", "contacts/notes", "leads/notes")
            kinds = {**{name: (name,) for name in ("companies", "contacts", "leads", "tasks")}, "notes": notes}
            for stream, names in kinds.items():
                found = {key for (key,) in rows(f"SELECT id FROM {{s}}.{stream}")}
                assert found == {key for name in names for key in sim.truth(name)}, stream
            contact = min(sim.truth("contacts"))
            sim.change("update", kind="contacts", ids=[contact], fields={"first_name": "Renamed"})
            before = len(rows("SELECT id FROM {s}.contacts"))
            run()
            assert rows(f"SELECT first_name FROM {{s}}.contacts WHERE id = {contact}") == [("Renamed",)]
            assert len(rows("SELECT id FROM {s}.contacts")) == before
            sim.change("delete", kind="contacts", ids=[contact])
            run()
            assert rows(f"SELECT entity_type FROM {{s}}.deleted_records WHERE entity_id = {contact}") == [("contacts",)]
            gone = rows("SELECT id, _sdc_deleted_at IS NOT NULL FROM {s}.contacts WHERE is_deleted")
            assert gone == [(contact, True)]
            living = {key for (key,) in rows("SELECT id FROM {s}.contacts WHERE is_deleted IS NOT TRUE")}
            assert living == set(sim.truth("contacts"))
        finally:
            db.execute(sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema)))
