"""The report: one page that holds what the tables hold, and nothing hostile gets through."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

COMMAND = str(Path(sys.executable).parent / "target-crm-admin")
METRICS = {
    "duration_seconds": 5.2,
    "requests": 30,
    "requests_by_stream": {"contacts": 20, "notes": 9, "account": 1},
    "requests_without_batching": 400,
    "requests_per_second_series": [5, 7, 7, 7, 4],
    "records_series": {"contacts": [0, 250, 500], "notes": [0, 0, 100]},
    "seconds_waiting_for_api": 9.1,
}


@pytest.fixture
def report(crm, tmp_path):
    def write(*options):
        file = tmp_path / "report.html"
        line = [COMMAND, "--database-url", crm.url, "--crm-schema", crm.schema, "report", "--html", str(file), *options]
        done = subprocess.run(line, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return file.read_text("utf-8")

    return write


def test_the_page_holds_the_runs_counts_conflicts_and_rejects(crm, report):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"}, {"id": 2, "last_name": "Орлов"})
    crm.execute("UPDATE contacts SET last_name = 'Вручную' WHERE amo_id = 1")
    crm.load(
        [
            crm.schema_message("contacts"),
            *crm.messages("contacts", {"id": 1, "last_name": "Петров"}, {"id": 2, "last_name": "Соколов"}),
            crm.schema_message("leads"),
            *crm.messages("leads", {"id": 5, "price": "сто рублей"}),
        ]
    )
    page = report("--last")
    assert "Conflicts: 1" in page
    assert all(value in page for value in ("Иванов", "Вручную", "Петров", "Соколов"))
    assert "Rejects: 1" in page
    assert "price" in page
    (run,) = crm.execute("SELECT counts FROM sync_runs ORDER BY id DESC LIMIT 1")
    row = re.search(r'<th scope="row">contacts</th>(.*?)</tr>', page)[1]
    shown = [int(n.replace(",", "")) for n in re.findall(r'<td class="n">([\d,]+)</td>', row)]
    names = ("read", "inserted", "updated", "unchanged", "kept", "conflicts", "deleted", "restored", "rejected")
    assert shown == [run["counts"]["contacts"].get(name, 0) for name in names]


def test_one_run_is_chosen_by_its_number(crm, report):
    crm.sync("contacts", {"id": 1, "last_name": "Первый"})
    crm.sync("contacts", {"id": 1, "last_name": "Второй"})
    first = crm.execute("SELECT min(id) AS id FROM sync_runs")[0]["id"]
    assert f"<h1>Run {first}:" in report(str(first))


def test_plots_are_svg_with_text_alternatives(crm, report, tmp_path):
    crm.sync("contacts", {"id": 1})
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(METRICS))
    page = report("--last", "--metrics-file", str(file))
    drawings = re.findall(r"<svg .*?</svg>", page, re.DOTALL)
    assert len(drawings) == 5
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert next(e for e in root if e.tag.endswith("desc")).text
    assert "30 requests in 5 seconds, at most 7 in one; the limit is 7." in page
    assert "400 with one for each parent" in page
    ids = re.findall(r'\bid="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_hostile_names_are_text(crm, report):
    hostile = "<script>alert(1)</script><img src=x onerror=alert(2)>"
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.sync("contacts", {"id": 1, "last_name": hostile})
    page = report("--last")
    assert "<script" not in page
    assert "<img" not in page
    assert "&lt;script&gt;" in page


def test_the_page_needs_no_network(crm, report):
    crm.sync("contacts", {"id": 1})
    page = report("--last")
    assert not re.search(r'(?:src|href)="(?!#|data:)[^"]*"', re.sub(r"xlink:href", "x", page))
    assert "default-src 'none'" in page
