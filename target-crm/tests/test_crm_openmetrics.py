"""`status --openmetrics`: what Prometheus reads."""

from __future__ import annotations

import re

from click.testing import CliRunner

from target_crm.admin.main import main


def metrics_of(crm):
    """The samples by name and labels; the text must be one of the format."""
    options = ["--database-url", crm.url, "--crm-schema", crm.schema]
    done = CliRunner().invoke(main, [*options, "status", "--openmetrics"], catch_exceptions=False)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[-1] == "# EOF"
    found = {}
    for line in lines[:-1]:
        if not line.startswith("# "):
            name, labels, value = re.fullmatch(r'(\w+)\{((?:\w+="[^"]*",?)+)\} (\S+)', line).groups()
            assert f"# TYPE {name} gauge" in lines
            found[name, labels] = float(value)
    return found


def test_before_the_first_load_there_is_nothing_to_measure(crm):
    assert metrics_of(crm) == {}


def test_after_a_load_time_open_issues_and_gaps_are_gauges(crm):
    crm.sync("contacts", {"id": 1, "first_name": "Anna", "position": "Engineer"})
    crm.execute("UPDATE contacts SET position = 'By hand'")
    crm.sync("contacts", {"id": 1, "first_name": "Anna", "position": "Director"}, {"id": "no number"})
    (row,) = crm.execute("SELECT extract(epoch FROM finished_at)::float AS at FROM sync_runs ORDER BY id DESC LIMIT 1")
    (conflicts,) = crm.execute("SELECT count(*) AS n FROM sync_conflicts")
    own = f'schema="{crm.schema}"'
    found = metrics_of(crm)
    time = found["target_crm_last_complete_sync_timestamp_seconds", f'{own},account_id="77"']
    assert abs(time - row["at"]) < 0.01
    assert found["target_crm_sync_overdue", f'{own},account_id="77"'] == 0
    assert found["target_crm_last_run_succeeded", own] == 1
    assert found["target_crm_open", f'{own},kind="rejects"'] == 1
    assert found["target_crm_open", f'{own},kind="conflicts"'] == conflicts["n"]
    assert found["target_crm_gaps", own] == 0
