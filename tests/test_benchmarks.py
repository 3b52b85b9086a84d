"""The benchmarks still run, and the page holds nothing but what they measured."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"
RESULTS = BENCHMARKS / "results"
NAMES = [
    "design_note",
    "target_growth",
    "journal_cost",
    "scale",
    "scale_million",
    "fleet",
    "fleet_simulation",
    "amochka",
    "target_speed",
    "losses",
    "review_page",
    "start_up",
    "matching",
    "map_init",
    "tap_throughput",
    "tap_limit",
    "resume",
    "follow",
    "conformance",
]


@pytest.fixture(scope="module")
def page() -> Iterator[Any]:
    """The module that makes the page; its folder is on the path only for the import."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import page as module
    finally:
        sys.path.remove(str(BENCHMARKS))
    return module


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_a_small_run_measures_and_its_result_makes_a_page_with_its_plot(name, page, tmp_path):
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--small", "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    if "can't be installed" in done.stderr:
        pytest.skip(f"the package index can't be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["small"] is True
    assert result["benchmark"] == name
    text = page.page(tmp_path)
    assert page.SECTIONS[name][0] in text
    assert text.count("Not measured yet") == len(page.SECTIONS) - 1
    drawn = page.plots.draw_all(tmp_path, tmp_path / "images")
    assert len(drawn) == sum(plot.benchmark == name for plot in page.plots.PLOTS.values())
    assert all(f"(images/{file.name})" in text for file in drawn)
    for words in page.page_summary.LANGUAGES.values():
        assert page.page_summary.table_of(page.read(tmp_path), words).startswith("| ")
        picture = page.page_summary.freshness_of(page.read(tmp_path), words)
        assert picture.startswith("![") == (name == "follow")


@pytest.mark.slow
def test_of_2000_firms_none_is_merged_wrongly_or_twice_and_the_undo_leaves_no_trace(tmp_path):
    command = [sys.executable, BENCHMARKS / "matching.py", "--results", tmp_path]
    subprocess.run(command, capture_output=True, timeout=600, check=True)
    found = json.loads((tmp_path / "matching.json").read_text())
    assert (found["firms"], found["precision"], found["wrong"], found["duplicates"]) == (2000, 1.0, 0, 0)
    assert 0.98 <= found["recall"] < 1
    assert found["adopted"] + found["proposals"] == found["with_a_row"], "the rest are proposals"
    assert found["differs"] == []


def test_of_what_map_init_writes_19_of_20_are_right_and_4_of_5_columns_are_found(tmp_path):
    command = [sys.executable, BENCHMARKS / "map_init.py", "--small", "--results", tmp_path]
    subprocess.run(command, capture_output=True, timeout=600, check=True)
    found = json.loads((tmp_path / "map_init.json").read_text())
    assert len(found["schemas"]) == 11
    for name, one in found["schemas"].items():
        assert one["precision"] >= 0.95, f"{name} writes what is wrong: {one['wrong']}"
        assert one["recall"] >= 0.8, f"{name} lacks: {one['missed']}"


def test_every_benchmark_is_run_by_make_bench_and_has_a_section(page):
    code = "import run; print(*run.NAMES)"
    found = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert set(found.stdout.split()) == set(page.SECTIONS) == set(NAMES)


def test_the_page_is_what_the_committed_results_give(page):
    assert page.page(RESULTS) == (ROOT / "docs" / "benchmarks.md").read_text("utf-8")


def test_a_page_of_other_results_differs_from_the_committed_one(page, tmp_path):
    for file in RESULTS.glob("*.json"):
        (tmp_path / file.name).write_text(file.read_text("utf-8"), "utf-8")
    changed = tmp_path / "target_speed.json"
    result = json.loads(changed.read_text("utf-8"))
    result["records"] *= 2
    changed.write_text(json.dumps(result), "utf-8")
    assert page.page(tmp_path) != page.page(RESULTS)
    assert page.plots.digest(tmp_path, "target_speed") != page.plots.digest(RESULTS, "target_speed")


def test_the_committed_results_are_whole_runs():
    results = [json.loads(file.read_text("utf-8")) for file in RESULTS.glob("*.json")]
    assert [r["benchmark"] for r in results if r["small"]] == []


def test_the_plots_were_drawn_from_the_committed_results(page):
    for name, plot in page.plots.PLOTS.items():
        if (RESULTS / f"{plot.benchmark}.json").exists():
            assert page.plots.drawn_from(page.IMAGES / name) == page.plots.digest(RESULTS, plot.benchmark), name


@pytest.mark.parametrize("readme", ["README.md", "README.ru.md"])
def test_the_short_table_of_a_readme_is_what_the_committed_results_give(page, readme):
    summary = page.page_summary
    text = (ROOT / readme).read_text("utf-8")
    found, words = page.read(RESULTS), summary.LANGUAGES[readme]
    assert summary.put(text, summary.TABLE, summary.table_of(found, words)) == text
    assert summary.put(text, summary.FRESHNESS, summary.freshness_of(found, words)) == text
