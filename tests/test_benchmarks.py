"""The benchmarks still run, and the page holds nothing but what they measured."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BENCHMARKS = ROOT / "benchmarks"


@pytest.mark.parametrize("name", ["tap_throughput", "tap_limit", "target_speed", "conformance"])
def test_a_small_run_measures_and_writes_its_result(name, tmp_path):
    command = [sys.executable, BENCHMARKS / f"{name}.py", "--small", "--results", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    if "can't be installed" in done.stderr:
        pytest.skip(f"the package index can't be reached: {done.stderr[-300:]}")
    assert done.returncode == 0, done.stderr[-2000:]
    result = json.loads((tmp_path / f"{name}.json").read_text())
    assert result["small"] is True
    assert result["benchmark"] == name
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import page
    finally:
        sys.path.remove(str(BENCHMARKS))
    text = page.page(tmp_path)
    assert page.SECTIONS[name][0] in text
    assert text.count("Not measured yet") == len(page.SECTIONS) - 1


def test_the_page_is_what_the_committed_results_give():
    command = [sys.executable, "-c", "import page; print(page.page(page.HERE / 'results'), end='')"]
    made = subprocess.run(command, cwd=BENCHMARKS, capture_output=True, text=True, check=True).stdout
    assert made == (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
