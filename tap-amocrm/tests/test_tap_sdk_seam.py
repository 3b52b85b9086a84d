"""What the tap touches of the Singer SDK beyond its public API: where a new SDK differs, these tests name the place."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
from collections import Counter
from importlib.metadata import version
from pathlib import Path

import pytest
from bent_api import read
from singer_sdk import Stream, Tap

import tap_amocrm
from tap_amocrm import sdk_seam
from tap_amocrm.declarations import BY_NAME
from tap_amocrm.streams import STREAMS, stream_class
from tap_amocrm.tap import TapAmoCRM

PACKAGE = Path(tap_amocrm.__file__).parent
ROOT = PACKAGE.parents[1]


@pytest.mark.parametrize("place", sdk_seam.SEAM)
def test_the_sdk_still_has_what_the_seam_touches(place):
    module, _, path = place.partition(":")
    found = importlib.import_module(module)
    for name in path.split("."):
        assert hasattr(found, name), f"singer-sdk {version('singer-sdk')} has no {place} any more"
        found = getattr(found, name)
    if sdk_seam.SEAM[place] is not None:
        parameters = ", ".join(inspect.signature(found).parameters)
        assert parameters == sdk_seam.SEAM[place], f"singer-sdk {version('singer-sdk')} has changed {place}"


def test_a_tap_still_has_the_attributes_that_the_seam_touches():
    tap = TapAmoCRM(config={"subdomain": "x", "access_token": "t"})
    assert [name for name in sdk_seam.SEAM_ATTRIBUTES if not hasattr(tap, name)] == []


def test_the_pinned_sdk_is_one_that_the_seam_was_tested_with():
    pinned = re.search(r"^singer-sdk==(.*)$", (ROOT / "constraints.txt").read_text("utf-8"), re.MULTILINE)[1]
    assert pinned in sdk_seam.TESTED_WITH


def private_imports(file):
    """Names that a module imports from the SDK and that are not public."""
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("singer_sdk"):
            names = [*node.module.split("."), *(alias.name for alias in node.names)]
            yield from (f"{node.module}.{name}" for name in names if name.startswith("_"))


def test_no_other_module_imports_private_names_of_the_sdk():
    found = {f.name: names for f in PACKAGE.rglob("*.py") if (names := list(private_imports(f)))}
    assert set(found) == {"sdk_seam.py"}


@pytest.mark.parametrize("cls", [TapAmoCRM, *STREAMS], ids=lambda cls: cls.__name__)
def test_no_other_class_overrides_private_methods_of_the_sdk(cls):
    sdk = {name for base in (Stream, Tap) for name in dir(base) if name.startswith("_") and not name.startswith("__")}
    ours = [
        base
        for base in cls.__mro__
        if base.__module__.startswith("tap_amocrm") and base.__module__ != sdk_seam.__name__
    ]
    shared = {name for base in ours for name in vars(base) if name in sdk and not name.startswith("_abc")}
    assert shared == set()


def upper(record):
    return None if record["id"] % 2 else {**record, "name": record["name"].upper()}


class Upper(stream_class(BY_NAME["contacts"])):
    """A stream that a user of the tap has changed."""

    def post_process(self, row, context=None):
        del context
        return upper(row)


def test_post_process_of_a_subclass_is_honoured(bent, monkeypatch):
    streams = [Upper if s.name == "contacts" else s for s in STREAMS]
    monkeypatch.setattr("tap_amocrm.tap.STREAMS", streams)
    names = {r["id"]: r["name"] for r in read(bent).records["contacts"]}
    assert names == {i: f"N{i}" for i in range(2, 31, 2)}


class Fewer(stream_class(BY_NAME["contacts"])):
    """A stream with its own way of giving records."""

    def get_records(self, context):
        yield from (r for r in super().get_records(context) if r["id"] < 4)


def test_get_records_of_a_subclass_is_honoured(bent, monkeypatch):
    monkeypatch.setattr("tap_amocrm.tap.STREAMS", [Fewer if s.name == "contacts" else s for s in STREAMS])
    assert [r["id"] for r in read(bent).records["contacts"]] == [1, 2, 3]


@pytest.fixture
def lines(start):
    """The METRIC lines of a run, and the run's own metrics."""
    tap = start(companies=60)
    file = tap.folder / "metrics.json"
    log = tap.run(metrics_file=str(file)).log
    points = [json.loads(found) for found in re.findall(r"METRIC: (\{.*\})", log)]
    return points, json.loads(file.read_text())


def test_each_request_is_in_the_metric_lines_of_the_sdk(lines):
    points, metrics = lines
    timed = Counter(p["tags"]["stream"] for p in points if p["metric"] == "http_request_duration")
    counted = Counter()
    for point in points:
        if point["metric"] == "http_request_count":
            counted[point["tags"]["stream"]] += point["value"]
    assert timed == counted == metrics["requests_by_stream"]


def test_the_duration_of_a_stream_includes_its_requests(lines):
    points, _ = lines
    durations = {p["tags"]["stream"]: p["value"] for p in points if p["metric"] == "sync_duration"}
    for point in points:
        if point["metric"] == "http_request_duration" and point["tags"]["stream"] in durations:
            assert durations[point["tags"]["stream"]] >= point["value"]
    assert set(durations) >= {"users", "contacts", "notes"}
