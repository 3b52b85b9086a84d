"""The report accepts only metrics of its own run, and draws that run's limit."""

from __future__ import annotations

import json

import pytest

from target_crm.config.settings import Settings
from target_crm.errors import ConfigError
from target_crm.operations.session import open_session
from target_crm.report.page import write_report

METRICS = {
    "run_id": "run-1",
    "requests_per_second": 200,
    "duration_seconds": 4.0,
    "requests": 12,
    "requests_by_stream": {"contacts": 12},
    "requests_without_batching": None,
    "requests_per_second_series": [6, 6],
}


@pytest.fixture
def report(crm, tmp_path):
    schema = json.loads(crm.schema_message("contacts"))
    schema["schema"]["x-amocrm-run"] = {"tap": "tap-amocrm", "id": "run-1", "start_state": None}
    state = {"type": "STATE", "value": {"amocrm_run": {"id": "run-1", "complete": True}}}
    crm.load([json.dumps(schema), *crm.messages("contacts", {"id": 1}), json.dumps(state)])

    def write(metrics):
        file, page = tmp_path / "metrics.json", tmp_path / "report.html"
        file.write_text(json.dumps(metrics))
        with open_session(Settings.from_config(crm.config)) as session:
            write_report(session, None, page, file)
        return page.read_text()

    return write


def test_metrics_of_the_run_are_drawn_with_its_own_limit(report):
    page = report(METRICS)
    assert "the limit is 200" in page
    assert "limit 7" not in page


@pytest.mark.parametrize("run_id", ["run-2", None])
def test_metrics_of_another_run_are_refused(report, run_id):
    with pytest.raises(ConfigError, match="metrics of a run other than run 1"):
        report({**METRICS, "run_id": run_id})


def test_json_that_is_not_metrics_is_refused(report):
    with pytest.raises(ConfigError, match="does not hold metrics of tap-amocrm"):
        report({"companies": {"read": 1}})


def test_a_figure_that_nobody_counted_is_left_out(report):
    assert "one for each parent" not in report(METRICS).lower()
    assert "per parent" not in report(METRICS).lower()
