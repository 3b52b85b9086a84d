"""States that nobody wrote on purpose: one sentence each, or a part of them made again."""

from __future__ import annotations

import copy
import json
import subprocess

import pytest
from bent_api import read
from singer_sdk.singerlib.json import deserialize_json

from tap_amocrm.errors import StateError


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "it is empty"),
        ("null", "must hold a JSON object"),
        ("[]", "must hold a JSON object"),
        ('"x"', "must hold a JSON object"),
        ('{"bookmarks": {', "is not valid JSON"),
        ('{"bookmarks": {}}\n{"bookmarks": {}}', "line 2"),
        ('{"bookmarks": null}', "The state's bookmarks is 'None' and must be an object"),
        ('{"type": "STATE", "value": {"bookmarks": {}}}', "wrapped in a STATE message"),
        ('{"singer_state": {"bookmarks": {}}}', "wrapped in a state of Meltano"),
    ],
)
def test_a_state_file_that_holds_no_state_is_one_sentence(start, text, said):
    tap = start()
    file = tap.folder / "broken.json"
    file.write_text(text)
    done = subprocess.run(
        [*tap.command(), "--state", str(file)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert said in done.stderr
    assert "[E_STATE]" in done.stderr
    assert "Traceback" not in done.stderr
    assert tap.sim.stats["requests"] == 0


@pytest.mark.parametrize(
    "odd",
    [
        {"replication_key_value": "yesterday"}, {"replication_key_value": 1_767_225_600},
        {"replication_key_value": [1]}, {"replication_key_value": "P1D"}, {"replication_key_value": "9" * 24},
        {"walked": "x"}, {"walked": [1]},
        {"settling": "xy"}, {"settling": ["a", "b"]}, {"settling": [float("inf"), 1]}, {"seen": 5},
        {"seen": [{}]}, {"scope": [1]}, {"scope": 5}, {"replication_key": ["updated_at"]},
    ],
)  # fmt: skip
def test_a_bookmark_that_cannot_be_read_names_its_place(bent, odd):
    state = {"bookmarks": {"contacts": {"replication_key": "updated_at", **odd}}}
    (name,) = odd
    with pytest.raises(StateError, match=rf"bookmarks\.contacts\.{name}"):
        raise read(bent, state).error


@pytest.mark.parametrize("odd", ["x", [], None, 5])
def test_a_bookmark_that_is_not_an_object_names_its_place(bent, odd):
    with pytest.raises(StateError, match=r"bookmarks\.contacts"):
        raise read(bent, {"bookmarks": {"contacts": odd}}).error


@pytest.mark.parametrize("value", ["0001-01-01T00:00:00Z", "2026-01-01", "2100-01-01T00:00:00Z"])
def test_a_bookmark_far_away_reads_what_it_says_or_all(bent, value):
    state = read(bent).state
    state["bookmarks"]["contacts"]["replication_key_value"] = value
    assert len(read(bent, state).names()) == 30


NOW = 1_780_000_000
ODD = {
    "definitions": ["x", {"users": []}, {"users": {"ids": []}}, {"users": {"read_at": "x", "ids": []}},
                    {"users": {"read_at": NOW, "ids": 5}}, {"users": {"read_at": NOW, "ids": [{}]}}],
    "lists": ["x", {"contacts": "x"}, {"contacts": [1]}, {"contacts": ["a", "b"]}],
    "honours": ["x", {"filter[id] of contacts": "no"}],
    "totals": ["x", {"tasks": "many"}],
    "scope": ["x", {"digest": 5}],
    "requests": ["x", []],
}  # fmt: skip


@pytest.mark.parametrize(("part", "odd"), [(part, odd) for part, values in ODD.items() for odd in values])
def test_memory_that_cannot_be_read_is_made_again_with_a_warning(bent, caplog, part, odd):
    state = copy.deepcopy(read(bent).state)
    state["tap_amocrm"][part] = odd
    bent.ahead = 600
    bent.change(5)
    done = read(bent, json.loads(json.dumps(state)), definitions_lifetime=3600)
    assert done.names()[5] == "changed"
    assert f"tap_amocrm can't be read ({part})" in caplog.text


@pytest.mark.parametrize("odd", ["x", [], 5])
def test_memory_that_is_not_an_object_is_made_again(bent, odd):
    state = read(bent).state
    state["tap_amocrm"] = odd
    bent.change(5)
    assert read(bent, state).names()[5] == "changed"


@pytest.mark.parametrize("odd", ["1.5", "1e300"])
def test_a_state_with_a_fraction_is_read_as_the_sdk_gives_it(bent, odd):
    state = read(bent).state
    state["tap_amocrm"]["lists"]["contacts"] = ["odd", 1]
    bent.change(5)
    done = read(bent, deserialize_json(json.dumps(state).replace('"odd"', odd)))
    assert done.error is None
    assert done.names()[5] == "changed"
