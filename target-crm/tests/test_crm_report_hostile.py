"""A report made of hostile names and of a metrics file that anybody may have written."""

from __future__ import annotations

import json
import math
import stat

import pytest
from click.testing import CliRunner

from target_crm.admin import main

HOSTILE = "</title><script>alert(1)</script><img src=x onerror=alert(2)>$\\frac{{7*7}}\x07\u202e"
METRICS = {
    "requests": 5,
    "requests_without_batching": 9,
    "duration_seconds": 1,
    "requests_by_stream": {HOSTILE: 5},
    "requests_per_second_series": [1, 2],
    "records_series": {HOSTILE: [1, 2]},
    "seconds_waiting_for_api": 1,
}


def report(crm, tmp_path, metrics, language="en"):
    (tmp_path / "m.json").write_text(metrics if isinstance(metrics, str) else json.dumps(metrics))
    line = ["--database-url", crm.url, "--crm-schema", crm.schema, "report", "--last", "--lang", language]
    line += ["--html", str(tmp_path / "r.html"), "--metrics-file", str(tmp_path / "m.json")]
    return CliRunner().invoke(main, line)


@pytest.mark.parametrize("language", ["en", "ru"])
def test_hostile_names_in_the_metrics_are_text_in_the_drawings(crm, tmp_path, language):
    crm.sync("contacts", {"id": 1, "last_name": HOSTILE.replace("\x07", "")})
    done = report(crm, tmp_path, METRICS, language)
    assert done.exit_code == 0, done.output
    page = (tmp_path / "r.html").read_text()
    assert "<script>alert" not in page
    assert "<img src=x" not in page
    assert "&lt;script&gt;" in page


@pytest.mark.parametrize(
    "metrics",
    [
        [1],
        "{",
        "[" * 100_000,
        {"requests": HOSTILE},
        {"requests_per_second_series": HOSTILE},
        {"requests_per_second_series": [HOSTILE]},
        {"requests": -5},
        {"requests_by_stream": {"contacts": -5}},
        {"duration_seconds": 1e300},
        {"requests_by_stream": {str(n): 1 for n in range(5000)}},
    ],
    ids=["list", "not JSON", "deep", "text", "series", "item", "negative", "negative stream", "large", "many streams"],
)
def test_a_file_that_holds_no_metrics_is_refused_in_one_sentence(crm, tmp_path, metrics):
    crm.load([])
    done = report(crm, tmp_path, metrics)
    assert done.exit_code == 1
    assert "does not hold metrics of tap-amocrm" in done.output
    assert len(done.output.strip().splitlines()) == 1
    assert not (tmp_path / "r.html").exists()


@pytest.mark.parametrize(
    "metrics",
    [
        {"requests_by_stream": {"contacts": 1}},
        dict.fromkeys(METRICS),
        {"requests_per_second_series": [n % 8 for n in range(200_000)]},
    ],
    ids=["only streams", "nulls", "two days of seconds"],
)
def test_metrics_that_are_short_or_long_are_drawn(crm, tmp_path, metrics):
    crm.load([])
    assert report(crm, tmp_path, metrics).exit_code == 0
    assert (tmp_path / "r.html").stat().st_size < 300_000


def test_not_a_number_in_the_metrics_is_refused(crm, tmp_path):
    crm.load([])
    assert report(crm, tmp_path, {"duration_seconds": math.nan}).exit_code == 1


def test_only_the_owner_may_read_a_report(crm, tmp_path):
    crm.load([])
    (tmp_path / "r.html").write_text("of yesterday")
    (tmp_path / "r.html").chmod(0o644)
    assert report(crm, tmp_path, {}).exit_code == 0
    assert stat.S_IMODE((tmp_path / "r.html").stat().st_mode) == 0o600
