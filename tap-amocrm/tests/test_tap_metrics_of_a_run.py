"""Metrics say whose they are, and leave out what was not counted."""

from __future__ import annotations

import json


def test_metrics_name_the_run_that_the_messages_name_and_its_limit(start, tmp_path):
    tap, file = start(companies=20), tmp_path / "metrics.json"
    output = tap.run(metrics_file=str(file), requests_per_second=150)
    metrics = json.loads(file.read_text())
    assert metrics["run_id"] == output.state["amocrm_run"]["id"]
    assert metrics["requests_per_second"] == 150


def test_where_nothing_was_read_by_parents_the_cost_without_batching_is_not_known(start, tmp_path):
    tap, file = start(companies=20), tmp_path / "metrics.json"
    tap.run(metrics_file=str(file))
    assert json.loads(file.read_text())["requests_without_batching"] is None
