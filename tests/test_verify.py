"""The proof of completeness by the real commands: the tap reads everything, the target compares, nothing moves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BIN = Path(sys.executable).parent


def verify(made, *options, state=None, **settings):
    tap = [str(BIN / "tap-amocrm"), "--config", made._config("tap", {**made.tap, **settings}), "--verify"]
    if state is not None:
        tap += ["--state", str(state)]
    read = subprocess.run(tap, capture_output=True, text=True, timeout=120, check=False)
    assert read.returncode == 0, read.stderr[-2000:]
    config = made._config("target", made.target)
    command = [str(BIN / "target-crm-admin"), "--config", config, "verify", "--json", *options]
    done = subprocess.run(command, input=read.stdout, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout, done.stderr[-2000:]
    return done.returncode, json.loads(done.stdout), read.stdout


def by_stream(found):
    return {s["stream"]: {k: f["number"] for k, f in s["found"].items() if f["number"]} for s in found["streams"]}


def test_what_was_synced_verifies_until_one_record_changes_on_either_side(pair):
    made = pair(companies=60)
    made.sync()
    code, found, lines = verify(made, state=made.state)
    # Some headcounts of the simulator are in words: those are warnings, and nothing else is missing.
    assert {kind for kinds in by_stream(found).values() for kind in kinds} <= {"warnings"}
    states = [m["value"] for line in lines.splitlines() if (m := json.loads(line))["type"] == "STATE"]
    assert [set(state) for state in states] == [{"amocrm_run"}] * len(states)
    assert {s["stream"]: s["in_amocrm"] for s in found["streams"]}["companies"] == 60
    company, gone = sorted(made.dump()["companies"])[:2]
    made.sim.change("update", kind="companies", ids=[company], fields={"name": "Новое имя"})
    made.sim.change("delete", kind="companies", ids=[gone])
    code, found, _ = verify(made, state=made.state)
    assert code == 1
    companies = next(s for s in found["streams"] if s["stream"] == "companies")["found"]
    assert [e["amo_id"] for e in companies["stale"]["entries"]] == [company]
    assert [e["amo_id"] for e in companies["unmarked"]["entries"]] == [gone]
    made.sync()
    _, found, _ = verify(made)
    assert {kind for kinds in by_stream(found).values() for kind in kinds} == {"warnings", "deleted_with"}
    assert by_stream(found)["notes"].keys() == {"deleted_with"}
