"""`run_pair` by itself: bookmarks, secrets, what failed and why, and commands that stay loaded."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from fleet import BIN, PAIR, SIZES, Fleet

from amocrm_sim.testing import SimulatorServer

RUN = "print(run_pair(plan.accounts[name], plan))"


@pytest.fixture
def fleet(database_url, tmp_path):
    with SimulatorServer(process=True, accounts=2, rps=0, **SIZES) as sim:
        sims = {"north": sim.account(0), "south": sim.account(1)}
        made = Fleet(database_url, tmp_path, sims, {"north": "sim-token-1", "south": "sim-token-2"})
        yield made
        made.close()


def runs(process):
    """Whether a process is there and has not ended."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def call(fleet, account, code=RUN, plan=None, **variables):
    """Run code beside run_pair, as an orchestrator's task does; what it said."""
    file = fleet.write_plan(**{"warm": False, **(plan or {})})
    script = (
        "import os, sys, time\nfrom pathlib import Path\nfrom filelock import FileLock\nfrom accounts import *\n"
        f"from pair import *\nplan, name = read_plan(Path({str(file)!r})), sys.argv[1]\n" + code
    )
    path = os.pathsep.join((str(BIN), os.environ["PATH"]))
    done = subprocess.run(
        [sys.executable, "-c", script, account],
        env={**os.environ, "PATH": path, "PYTHONPATH": str(PAIR), **variables},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return done.stdout + done.stderr


@pytest.mark.parametrize("warm", [False, True])
def test_a_pair_goes_on_from_its_bookmark_and_says_what_it_cost(fleet, warm):
    said = call(fleet, "north", f"{RUN}\n{RUN}", {"warm": warm})
    assert said.count("'requests'") == 2, said
    assert fleet.counts("north") == SIZES
    runs = fleet.rows("north", "SELECT status, counts->>'new', counts->>'inserted' FROM sync_runs ORDER BY id")
    assert [status for status, *_ in runs] == ["succeeded", "succeeded"]
    before = fleet.sims["north"].stats["requests"]
    (company,) = fleet.sims["north"].change("create", kind="companies", fields={"name": "Новая"})
    call(fleet, "north", plan={"warm": warm})
    assert fleet.rows("north", f"SELECT name FROM companies WHERE amo_id = {company}") == [("Новая",)]
    assert fleet.sims["north"].stats["requests"] - before < before


def test_a_bookmark_in_the_database_is_as_old_as_the_rows(fleet):
    plan = {"state_backend": "database", "warm": True}
    said = call(fleet, "north", f"{RUN}\n{RUN}", plan)
    assert said.count("'requests'") == 2, said
    assert not list((fleet.folder / "state").glob("*north.json"))
    first = fleet.sims["north"].stats["requests"]
    (company,) = fleet.sims["north"].change("create", kind="companies", fields={"name": "Новая"})
    call(fleet, "north", plan=plan)
    assert fleet.rows("north", f"SELECT name FROM companies WHERE amo_id = {company}") == [("Новая",)]
    assert fleet.sims["north"].stats["requests"] - first < first / 2
    # A database that is lost takes the bookmark with it: the next run reads everything.
    with psycopg.connect(fleet.url, autocommit=True) as connection:
        connection.execute("DROP SCHEMA crm_north CASCADE")
    said = call(fleet, "north", plan=plan)
    assert fleet.counts("north") == {**SIZES, "companies": SIZES["companies"] + 1}
    assert "W_STATE_GAP" not in said


def test_a_loaded_command_serves_account_after_account_each_with_its_own_secrets(fleet):
    twice = "for each in (*plan.accounts.values(), *plan.accounts.values()):\n"
    code = f"{twice}    run_pair(each, plan, lambda _: None)\nprint('done')"
    said = call(fleet, "north", code, {"warm": True})
    assert said.endswith("done\n"), said
    assert {name: fleet.counts(name) for name in fleet.sims} == {"north": SIZES, "south": SIZES}
    assert fleet.rows("north", "SELECT DISTINCT amo_account_id FROM companies") == [(31_415_926,)]
    assert fleet.rows("south", "SELECT DISTINCT amo_account_id FROM companies") == [(31_415_927,)]


def test_a_loaded_command_that_is_killed_is_one_error_and_the_next_run_starts_it_again(fleet):
    code = (
        "import signal, threading\n"
        "plan.accounts[name].tap['requests_per_second'] = 7\n"
        "commands = pair_commands(plan)\n"
        "def kill():\n"
        "    while 'tap-amocrm' not in commands._loaded: time.sleep(.05)\n"
        "    time.sleep(1.5); commands._loaded['tap-amocrm']._server.kill()\n"
        "threading.Thread(target=kill, daemon=True).start()\n"
        "try: run_pair(plan.accounts[name], plan)\n"
        "except PairError as error: print('first:', error)\n"
        "run_pair(plan.accounts[name], plan, lambda _: None); print('second: done')"
    )
    said = call(fleet, "north", code, {"warm": True})
    assert "first: tap-amocrm of account north ended with code -9" in said, said
    assert said.endswith("second: done\n"), said
    assert fleet.counts("north") == SIZES


def test_nothing_stays_behind_when_the_process_that_keeps_the_commands_ends(fleet):
    code = f"{RUN}\nfor each in pair_commands(plan)._loaded.values(): print('PID', each._server.pid)"
    said = call(fleet, "north", code, {"warm": True})
    servers = [int(line.split()[1]) for line in said.splitlines() if line.startswith("PID")]
    assert len(servers) == 2
    deadline = time.monotonic() + 10
    while any(map(runs, servers)):
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.parametrize("warm", [False, True])
def test_a_pair_tells_which_half_failed_and_why_without_the_secret(fleet, warm):
    fleet.secret("north", "TAP_AMOCRM_ACCESS_TOKEN", "token-that-has-expired")
    said = call(fleet, "north", plan={"warm": warm})
    assert "tap-amocrm of account north ended with code 1" in said
    assert "amoCRM refuses the token" in said
    assert "token-that-has-expired" not in said
    fleet.secret("north", "TAP_AMOCRM_ACCESS_TOKEN", "sim-token-1")
    fleet.secret("north", "TARGET_CRM_DATABASE_URL", fleet.url_of("nowhere"))
    said = call(fleet, "north", plan={"warm": warm})
    assert "target-crm of account north ended with code 1" in said
    assert "nowhere" in said
    assert "password-of-crm" not in said


def test_secrets_come_from_variables_files_or_a_command_and_no_other_accounts_are_passed_on(fleet):
    fleet.settings["south"]["secrets"] = {"TAP_AMOCRM_ACCESS_TOKEN": "TOKEN_OF_SOUTH"}
    show = "print(environment(plan.accounts[name], plan, Path('m')))"
    said = call(fleet, "north", show, TOKEN_OF_SOUTH="token-of-south", TAP_AMOCRM_SUBDOMAIN="stray")
    assert "sim-token-1" in said
    assert "token-of-south" not in said
    assert "stray" not in said
    printing = 'import sys; print(\'{"TAP_AMOCRM_ACCESS_TOKEN": "from-the-store-%s"}\' % sys.argv[1])'
    plan = {"secrets_command": [sys.executable, "-c", printing, "{account}"]}
    assert "from-the-store-north" in call(fleet, "north", show, plan)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        ({"variable": "TOKEN_NOBODY_SET"}, "The environment variable TOKEN_NOBODY_SET of account north is not set."),
        ({"folder": "nowhere"}, "Secrets of account north can't be read from"),
        ({"command": ["false"]}, "Secrets of account north: false failed or printed no JSON object"),
        ({"file": "PGPASSWORD"}, "Secrets of account north: PGPASSWORD are not settings of tap-amocrm or target-crm."),
    ],
)
def test_a_secret_that_is_missing_is_one_message(fleet, spoil, message):
    plan = {}
    if "variable" in spoil:
        fleet.settings["north"]["secrets"] = {"TAP_AMOCRM_ACCESS_TOKEN": spoil["variable"]}
    if "file" in spoil:
        fleet.secret("north", spoil["file"], "x")
    if "folder" in spoil:
        plan["secrets_dir"] = spoil["folder"]
    if "command" in spoil:
        plan["secrets_command"] = spoil["command"]
    assert message in call(fleet, "north", plan=plan)


def test_a_second_run_of_an_account_on_the_same_machine_is_refused(fleet):
    code = f"plan.state_dir.mkdir()\nwith FileLock(plan.state_dir / f'{{name}}.lock'):\n    {RUN}"
    assert "Another run of account north is under way." in call(fleet, "north", code)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("accounts: {north: {token: x}}", ("account north", "it takes id, secrets, tap, target")),
        ("accounts: {north: {}}\nexecuter: {celery: {}}", ("unknown key 'executer'",)),
        ("accounts: {north: {}}\nstate_backend: paper", ("state_backend 'paper'", "folder, database")),
        ("accounts: {north: {}}\npartitions: 0\nexecutor: {cron: {}}", ("partitions 0", "executor: expected one of")),
        ("accounts: {../north: {}}", ("account ../north", "letters, digits, - and _")),
        ("accounts:", ("names no accounts",)),
        ("accounts: [", ("can't be read as YAML",)),
    ],
)
def test_an_entry_of_the_accounts_file_that_is_wrong_is_named(fleet, document, words):
    file = fleet.folder / "wrong.yaml"
    file.write_text(document)
    said = call(fleet, "north", f"read_plan(Path({str(file)!r}))")
    for each in words:
        assert each in said


def test_an_accounts_partition_depends_on_its_name_alone(fleet):
    fleet.settings |= {f"account-{n}": {} for n in range(200)}
    code = "print(sorted(len(plan.partition(n)) for n in range(8)), sum(len(plan.partition(n)) for n in range(8)))"
    said = call(fleet, "north", code, {"partitions": 8})
    assert said.endswith("202\n")
    assert min(map(int, said.split("]")[0][1:].split(","))) > 10
    (number,) = call(fleet, "north", "print(part_of('north', 8))").split()
    fleet.settings = {"north": fleet.settings["north"]}
    assert (
        call(fleet, "north", f"print([a.name for a in plan.partition({number})])", {"partitions": 8}) == "['north']\n"
    )
