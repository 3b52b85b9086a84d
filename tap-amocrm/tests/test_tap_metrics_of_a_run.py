"""Metrics say whose they are, and leave out what was not counted."""

from __future__ import annotations

import json

from tap_amocrm.http.waits import Waits


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


def test_a_run_under_a_low_limit_says_that_it_waited_for_slots_and_one_with_slow_answers_for_these(start, tmp_path):
    tap, file = start(companies=20), tmp_path / "metrics.json"
    tap.run(metrics_file=str(file), requests_per_second=7)
    limited = json.loads(file.read_text())
    assert limited["seconds_for_slots"] > 0.5 * limited["duration_seconds"] > limited["seconds_for_answers"]
    assert sum(s["answers"] for s in limited["waits_by_stream"].values()) == limited["requests"]
    assert limited["waits_by_stream"]["companies"]["seconds_for_slots"] > 0


def test_seconds_count_once_and_a_slot_goes_before_answers():
    now = [0.0]
    waits = Waits(lambda: now[0])
    with waits.for_answer():
        now[0] = 2.0
        with waits.for_slot(), waits.for_answer():
            now[0] = 5.0
        now[0] = 6.0
    now[0] = 9.0
    found = waits.document()
    assert (found["seconds_for_slots"], found["seconds_for_answers"]) == (3.0, 3.0)


def test_answers_and_refusals_are_counted_by_stream():
    waits = Waits()
    for seconds in range(1, 101):
        waits.answer("contacts", "200", float(seconds))
    waits.answer("notes", "429", 0.5)
    waits.answer("notes", "error", 0.0)
    waits.slot("contacts", 1.5)
    streams = waits.document()["waits_by_stream"]
    contacts = {
        "answer_median": 50.0,
        "answer_p95": 95.0,
        "answer_slowest": 100.0,
        "seconds_for_slots": 1.5,
        "refused": 0,
    }
    assert contacts.items() <= streams["contacts"].items()
    assert streams["notes"] == {
        "answers": 1,
        "seconds_for_slots": 0,
        "seconds_for_answers": 0.5,
        "answer_median": 0.5,
        "answer_p95": 0.5,
        "answer_slowest": 0.5,
        "refused": 2,
    }
