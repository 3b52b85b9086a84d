"""STATE leaves when all that came before it is committed, not earlier and not later."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

COMMAND = str(Path(sys.executable).parent / "target-crm")


def state(n):
    return json.dumps({"type": "STATE", "value": {"n": n}})


def test_the_last_state_leaves_at_the_end(crm):
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1}), state(1), state(2)]
    assert [json.loads(s) for s in crm.load(lines)][-1] == {"n": 2}


def test_a_state_in_the_middle_leaves_with_the_batch_before_it(crm):
    lines = [crm.schema_message("contacts")]
    for n in range(30):
        lines += [*crm.messages("contacts", {"id": n + 1}), state(n + 1)]
    states = [json.loads(s)["n"] for s in crm.load(lines, batch_size_rows=10)]
    assert states == sorted(states)
    assert states[-1] == 30
    assert len(states) > 1


def test_no_state_leaves_when_what_came_before_it_could_not_be_committed(crm):
    crm.sync("contacts", {"id": 1})
    crm.execute("ALTER TABLE contacts ADD CONSTRAINT broken CHECK (last_name <> 'Плохой') NOT VALID")
    lines = [
        crm.schema_message("contacts"),
        *crm.messages("contacts", {"id": 2, "last_name": "Плохой"}),
        state(1),
    ]
    config = Path(crm.folder) / "config.json"
    config.write_text(json.dumps({**crm.config, "on_bad_record": "fail"}))
    done = subprocess.run(
        [COMMAND, "--config", str(config)], input="\n".join(lines), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Stream contacts, record 2:" in done.stderr


def test_nothing_but_states_goes_to_standard_output(crm):
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", {"id": 1}), state(1)]
    for settings in ({}, {"dry_run": True}):
        config = Path(crm.folder) / "config.json"
        config.write_text(json.dumps({**crm.config, **settings}))
        done = subprocess.run(
            [COMMAND, "--config", str(config)], input="\n".join(lines), capture_output=True, text=True, check=True
        )
        assert [json.loads(line) for line in done.stdout.splitlines()] == ([] if settings else [{"n": 1}])
