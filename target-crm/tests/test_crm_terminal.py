"""Every table of the commands shows values as they are: never taken for rich's markup, never obeyed by the terminal."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from rich.console import Console

from target_crm.admin import main
from target_crm.plan.journal import Plan
from target_crm.plan.text import plan_block
from target_crm.presentation.terminal import Table, visible

HOSTILE = {
    "closing tag": "x [/b] y",
    "styles": "[red]x[/red][vip]",
    "link": "[link=https://evil.example]y[/link]",
    "open bracket": "[",
    "backslash": "a\\[b]",
    "emoji code": ":skull: x",
    "escape": "a\x1b[2J\x1b]0;owned\x07b",
    "c1": "a\x9b31mb",
    "right to left": "a\u202eb",
    "backspaces": "a\b\b\bfake",
    "line end": "a\nrun 99 succeeded",
}
OBEYED = ("\x1b", "\x9b", "\x07", "\b", "\u202e")


@pytest.fixture
def admin(crm):
    def run(*arguments):
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, *map(str, arguments)]
        done = CliRunner().invoke(main, line, catch_exceptions=False)
        assert not [c for c in OBEYED if c in done.output]
        return done

    return run


@pytest.fixture
def hostile(crm):
    """A CRM whose every text is hostile: kept edits, conflicts, rejects, journal."""
    for number, value in enumerate(HOSTILE.values(), 1):
        crm.sync("contacts", {"id": number, "last_name": value, "first_name": value})
    crm.execute("UPDATE contacts SET last_name = last_name || ' [/hand] [bold]'")
    newer = [{"id": n, "last_name": f"{v}2", "first_name": f"{v}[/i]"} for n, v in enumerate(HOSTILE.values(), 1)]
    bad = [{"id": {"x": value}} for value in HOSTILE.values()]
    crm.sync("contacts", *newer, *bad)
    return crm


def commands(folder, crm):
    file = folder / "plan.jsonl"
    newest = [
        {"id": n, "last_name": f"{v}3", "first_name": f"{v}4[/u]", "position": v}
        for n, v in enumerate(HOSTILE.values(), 1)
    ]
    lines = [crm.schema_message("contacts"), *crm.messages("contacts", *newest, {"id": {"[/b]": "\x1b"}})]
    file.write_text("\n".join(lines) + "\n")
    yield ["status"]
    yield ["conflicts"]
    yield ["rejects"]
    yield ["plan", file]
    yield ["undo", 2, "--preview"]
    yield ["psql", "-c", "SELECT last_name AS \"[/b]\", '[vip]' FROM contacts"]
    for number in range(1, len(HOSTILE) + 1):
        yield ["explain", "contacts", f"amo:{number}"]


def test_every_table_of_the_commands_survives_hostile_values(hostile, admin, tmp_path):
    for arguments in commands(tmp_path, hostile):
        done = admin(*arguments)
        assert done.exit_code == 0, (arguments, done.output)


def test_what_looks_like_markup_is_shown(hostile, admin, tmp_path):
    for arguments in (["conflicts"], ["psql", "-c", "SELECT last_name FROM contacts"]):
        said = admin(*arguments).output
        for part in ("[/b]", "[red]x[/red][vip]", ":skull:", "[bold]"):
            assert part in said, (arguments, part)


def test_names_in_errors_are_not_obeyed(crm, admin):
    crm.sync("contacts", {"id": 1})
    for arguments in (["explain", "[/x]\x1b[31m", "y"], ["explain", "contacts", "[/x]\x1b[31m"]):
        done = admin(*arguments)
        assert done.exit_code == 1
        assert "[/x]\\x1b[31m" in done.output


def test_json_holds_no_character_that_a_terminal_obeys(hostile, admin):
    found = json.loads(admin("conflicts", "--json").stdout)
    assert any("\x9b" in str(c["amo_value"]) for c in found), "programs get the value itself"


VALUE = st.one_of(st.text(max_size=30), st.sampled_from([*HOSTILE.values(), None, 5, ["[/b]"], {"[/k]": "[/v]"}]))


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(VALUE, min_size=3, max_size=3), st.text(max_size=20))
def test_a_plan_of_any_values_is_printed(values, name):
    cell = {"table_name": name, "row_id": name, "column_name": name}
    whole = {"table_name": name, "row_id": name, "column_name": "*", "old_value": None}
    keys = ("base_value", "crm_value", "amo_value")
    plan = Plan(
        counts={name: {"read": 1, name or "x": 2}},
        changes=[{**cell, "old_value": values[0], "new_value": values[1]}, {**whole, "new_value": {name: values[2]}}],
        kept=[{**cell, **dict(zip(keys, values, strict=True))}],
        conflicts=[{**cell, **dict(zip(keys, values, strict=True))}],
        rejects=[{"stream": name, "error": str(values[0]), "record": str(values[1])}],
    )
    text = plan_block(plan, "")
    assert text.endswith("Nothing was written.")
    assert not [c for c in text if c != "\n" and visible(c) != c]


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=2, max_size=2), st.text(max_size=20))
def test_a_table_of_any_texts_is_printed_as_they_are(texts, heading):
    console = Console(width=400, record=True, file=open("/dev/null", "w"))  # noqa: SIM115, PTH123
    table = Table("column", heading, title=heading)
    table.add_row(*texts)
    console.print(table)
    assert "[/b]" not in "".join(texts) or "[/b]" in console.export_text()
