"""The packages as a user gets them: built, checked, installed into their own environments, and run there."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

import psycopg
import pytest
from interpreters import interpreters, make_environment, uv

from amocrm_sim.testing import SimulatorServer
from target_crm.extras import EXTRAS

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("packages")]
ROOT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent
PACKAGES = ("tap-amocrm", "target-crm", "amocrm-sim")
PAIR = ("tap-amocrm", "target-crm")
PYTHONS = interpreters()
LOWEST, NEWEST = min(PYTHONS, key=lambda v: int(v[2:])), max(PYTHONS, key=lambda v: int(v[2:]))


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """Wheel and source distribution of each package, in one folder."""
    folder = tmp_path_factory.mktemp("dist")
    for package in PACKAGES:
        done = uv("build", "--quiet", "--out-dir", folder, ROOT / package)
        if "Failed to fetch" in done.stderr or "error sending request" in done.stderr:
            pytest.skip("the package index can't be reached")
        assert done.returncode == 0, done.stderr
    return folder


def wheel(dist, package):
    (found,) = dist.glob(f"{package.replace('-', '_')}-*.whl")
    return found


def names_in(file):
    if file.suffix == ".whl":
        return zipfile.ZipFile(file).namelist()
    with tarfile.open(file) as archive:
        return archive.getnames()


def metadata(file):
    with zipfile.ZipFile(file) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def extras_of(file):
    """The extras of a wheel: the names of the packages that each brings."""
    found = metadata(file)
    extras = {extra: set() for extra in found.get_all("Provides-Extra", ())}
    for requirement in found.get_all("Requires-Dist", ()):
        if extra := re.search(r"extra == '([\w-]+)'", requirement):
            extras[extra[1]].add(re.match(r"[\w-]+", requirement)[0])
    return extras


def commands_of(file):
    """The commands that a wheel installs."""
    with zipfile.ZipFile(file) as archive:
        (name,) = [n for n in archive.namelist() if n.endswith(".dist-info/entry_points.txt")]
        return re.findall(r"^([\w-]+) = ", archive.read(name).decode(), re.MULTILINE)


@pytest.mark.parametrize("package", PAIR)
def test_all_brings_what_every_other_extra_brings(dist, package):
    extras = extras_of(wheel(dist, package))
    extras.pop("s3", None)  # the driver of one kind of store, with its vendor's SDK: who has such a store adds it
    assert extras.pop("all") == set().union(*extras.values())


def test_the_extras_that_the_commands_ask_for_are_those_of_the_package(dist):
    extras = extras_of(wheel(dist, "target-crm"))
    assert EXTRAS.keys() == extras.keys() - {"all"}
    for extra, modules in EXTRAS.items():
        brought = {name.replace("-", "_") for name in extras[extra]}
        assert set(modules) <= brought | {"psycopg_pool"}, extra


def test_twine_finds_nothing_wrong(dist):
    files = sorted(dist.glob("*.whl")) + sorted(dist.glob("*.tar.gz"))
    assert len(files) == 6
    done = subprocess.run([BIN / "twine", "check", "--strict", *files], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_every_wheel_and_source_distribution_carries_the_licence(dist):
    for file in [*dist.glob("*.whl"), *dist.glob("*.tar.gz")]:
        assert [n for n in names_in(file) if n.endswith("/LICENSE")], file.name
    for package in PACKAGES:
        assert (ROOT / package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@pytest.mark.parametrize("package", PACKAGES)
def test_the_metadata_says_who_where_and_for_which_pythons(dist, package):
    found = metadata(wheel(dist, package))
    assert found["Version"] == "0.2.0"
    assert found["License-Expression"] == "MIT"
    assert found["Author"] or found["Author-email"]
    urls = found.get_all("Project-URL")
    assert urls
    assert all(url.partition(", ")[2].startswith("https://") for url in urls)
    classifiers = found.get_all("Classifier")
    for minor in range(10, 15):
        assert f"Programming Language :: Python :: 3.{minor}" in classifiers


@pytest.mark.parametrize("package", PACKAGES)
def test_the_page_on_the_package_index_has_no_link_that_only_a_clone_can_follow(dist, package):
    text = metadata(wheel(dist, package)).get_payload()
    assert "# " + package in text
    assert [link for link in re.findall(r"\]\(([^)\s]+)", text) if not link.startswith("https://")] == []


def run(program, *arguments, **options):
    line = [str(program), *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, **options)


def bare_environment(**more):
    """As a service manager starts a command: hardly anything is set."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "TMPDIR") if name in os.environ}
    return {**kept, **more}


def install(dist, folder, version, resolution):
    wheels = [wheel(dist, "tap-amocrm"), wheel(dist, "target-crm")]
    return make_environment(folder / "venv", PYTHONS[version], "--resolution", resolution, *wheels)


@pytest.fixture(scope="module", params=[(LOWEST, "lowest-direct"), (NEWEST, "highest")], ids="-".join)
def installed(request, dist, tmp_path_factory):
    """The bin of a fresh environment with the pair's two wheels and no extra."""
    return install(dist, tmp_path_factory.mktemp("environment"), *request.param)


@pytest.fixture(scope="module")
def account():
    sizes = {"companies": 5, "contacts": 10, "leads": 5, "notes": 5, "tasks": 5}
    with SimulatorServer(process=True, rps=0, **sizes) as sim:
        yield sim


@pytest.mark.parametrize("version", sorted(PYTHONS.keys() - {LOWEST, NEWEST}))
def test_the_pair_starts_on_every_other_python_of_this_machine(version, dist, tmp_path):
    found = install(dist, tmp_path, version, "highest")
    for command in ("tap-amocrm", "target-crm"):
        assert "0.2.0" in run(found / command, "--version").stdout


def test_every_command_says_the_version(installed, dist):
    commands = [command for package in PAIR for command in commands_of(wheel(dist, package))]
    assert {"tap-amocrm", "target-crm"} < set(commands)
    for command in commands:
        done = run(installed / command, "--version")
        assert done.returncode == 0, done.stderr
        assert re.search(r"\bv?0\.2\.0\b", done.stdout + done.stderr), command


def test_the_pair_loads_into_a_server_without_any_extra(installed, account, database_url, tmp_path):
    schema = f"packages_{os.getpid()}"
    (tmp_path / "tap.json").write_text(json.dumps({"api_url": account.url, "access_token": "sim-token"}))
    (tmp_path / "target.json").write_text(json.dumps({"database_url": database_url, "crm_schema": schema}))
    read = run(installed / "tap-amocrm", "--config", tmp_path / "tap.json", env=bare_environment())
    assert read.returncode == 0, read.stderr
    target = installed / "target-crm"
    loaded = run(target, "--config", tmp_path / "target.json", input=read.stdout, env=bare_environment())
    assert loaded.returncode == 0, loaded.stderr
    with psycopg.connect(database_url, autocommit=True) as connection:
        rows = connection.execute(f"SELECT count(*) FROM {schema}.contacts").fetchone()
        connection.execute(f"DROP SCHEMA {schema} CASCADE")
    assert rows == (10,)


def test_a_missing_extra_is_one_sentence_with_the_command_that_installs_it(installed, database_url, tmp_path):
    config = tmp_path / "target.json"
    config.write_text(json.dumps({"database_url": database_url, "crm_schema": "none_such"}))
    admin = installed / "target-crm-admin"
    html = tmp_path / "x.html"
    lines = {"report": ["report", "--last", "--html", html], "review": ["serve"], "digest": ["digest"]}
    for extra, line in lines.items():
        done = run(admin, "--config", config, *line, env=bare_environment())
        assert done.returncode == 1
        remedy = rf"Install it: pip install 'target-crm\[{extra}\]'\.\n"
        assert re.fullmatch(rf"Error: The extra {extra} is not installed \(.* missing\)\. {remedy}", done.stderr)


def test_without_a_database_url_the_embedded_server_is_named_as_the_missing_extra(installed, tmp_path):
    done = run(installed / "target-crm", input='{"type": "STATE", "value": {}}\n', env=bare_environment(), cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert (
        "Set database_url, or install it (not on musl, such as Alpine): pip install 'target-crm[embedded]'"
        in done.stderr
    )
    assert not (tmp_path / ".crm").exists()
