"""Lists of target-crm-admin: how many there are, what fits a terminal, JSON, CSV, pipes, options behind the command."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
import review_data
from click.testing import CliRunner
from rich.text import Text

from target_crm.admin.main import main
from target_crm.presentation.columns import Col, fitting

BIN = Path(sys.executable).parent


@pytest.fixture
def admin(crm):
    def run(*arguments):
        line = ["--database-url", crm.url, "--crm-schema", crm.schema, *map(str, arguments)]
        done = CliRunner().invoke(main, line, catch_exceptions=False)
        assert done.exit_code == 0, done.output
        return done

    return run


def on_a_terminal(crm, width, *arguments):
    """What a real terminal of this width gets."""
    ours, theirs = pty.openpty()
    line = [BIN / "target-crm-admin", "--database-url", crm.url, "--crm-schema", crm.schema, *arguments]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": str(width)}
    done = subprocess.Popen(line, stdout=theirs, stderr=subprocess.DEVNULL, stdin=theirs, env=environment)
    os.close(theirs)
    seen = b""
    while True:
        try:
            part = os.read(ours, 65536)
        except OSError:
            break
        if not part:
            break
        seen += part
    os.close(ours)
    assert done.wait(60) == 0
    return [Text.from_ansi(line).plain.rstrip() for line in seen.decode().splitlines()]


def test_a_list_that_is_cut_says_how_many_there_are_and_how_to_go_on(crm, admin):
    review_data.fill_three_each(crm, 20)
    first = admin("conflicts").stdout
    (cut,) = [line for line in first.splitlines() if " of 60 conflicts" in line]
    assert cut.startswith("50 of 60 conflicts; next: --after ")
    rest = admin("conflicts", "--after", cut.split()[-1])
    assert "10 of 60 conflicts; these are the last" in rest.stdout
    assert len(json.loads(admin("conflicts", "--after", cut.split()[-1], "--json").stdout)) == 10


def test_in_json_and_csv_what_is_left_out_is_said_on_standard_error(crm, admin):
    review_data.fill_three_each(crm, 20)
    for form in ("--json", "--csv"):
        done = admin("conflicts", form, "--limit", 2)
        assert "2 of 60 conflicts; next: --after 2" in done.stderr
        assert "of 60" not in done.stdout


def test_at_80_columns_values_stay_whole_and_other_columns_go(crm):
    base, ours, theirs = (f"ПАО «Мебельная фабрика имени Двадцатилетия, {n}»" for n in ("Юг", "Север", "Запад"))
    crm.sync("companies", {"id": 5, "name": base})
    crm.execute("UPDATE companies SET name = %s", ours)
    crm.sync("companies", {"id": 5, "name": theirs})
    lines = on_a_terminal(crm, 80, "conflicts")
    assert max(len(line) for line in lines if line[:1] in "┏┃│└") <= 80
    cells = [[part.strip() for part in line.split("│")[1:-1]] for line in lines if line.startswith("│")]
    folded = ["".join(row[place] for row in cells).replace(" ", "") for place in range(len(cells[0]))]
    assert ours.replace(" ", "") in folded
    assert theirs.replace(" ", "") in folded
    (left,) = [line for line in lines if line.startswith("Too narrow for: ")]
    assert "run" in left
    wide = "\n".join(on_a_terminal(crm, 220, "conflicts"))
    assert "Too narrow" not in wide
    assert "companies.name" in wide


def test_a_pipe_gets_no_boxes_and_names_beside_ids(crm, admin):
    review_data.fill(crm)
    for arguments in (["conflicts"], ["status"], ["explain", "contacts", "amo:501"], ["undo", 2, "--preview"]):
        text = admin(*arguments).stdout
        assert not set("│┃━─┏┡└") & set(text), arguments
    text = admin("conflicts").stdout
    assert "Соколова Анна" in text
    assert "Contact · Position" in text


LISTS = {
    "conflicts": 5,
    "rejects": 2,
    "warnings": 1,
    "proposals": 0,
    "runs": 2,
    "rules": 0,
    "status": 2,
    "changes 2": 50,
    "written 2": None,
    "explain contacts amo:501": None,
}


def test_every_list_gives_json_and_csv(crm, admin):
    review_data.fill(crm)
    crm.execute("UPDATE sync_rejects SET error = '=cmd()'")
    for command, number in LISTS.items():
        json.loads(admin(*command.split(), "--json").stdout)
        rows = list(csv.DictReader(io.StringIO(admin(*command.split(), "--csv").stdout)))
        assert number is None or len(rows) == number or (command == "changes 2" and 0 < len(rows) <= number), command
        assert number == 0 or all(None not in row and None not in row.values() for row in rows), command
        assert not any(value.startswith(("=", "@")) for row in rows for value in row.values()), command


def test_changes_are_listed_with_names_and_values_before_and_after(crm, admin):
    crm.sync("contacts", {"id": 1, "last_name": "Иванов"})
    crm.sync("contacts", {"id": 1, "last_name": "Петров"})
    (change,) = csv.DictReader(
        io.StringIO(admin("changes", 2, "--column", "last_name", "--table", "contacts", "--csv").stdout)
    )
    assert (change["record"], change["field"]) == ("Петров", "Contact · Last name")
    assert (change["was"], change["became"]) == ("Иванов", "Петров")


def test_no_value_of_a_list_is_a_formula_in_a_spreadsheet(crm, admin):
    attacks = ["=1+1", "+7*1+cmd|'/C calc'!A0", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "\uff1d1+1", "\uff0bx"]
    plain = ["+7 (900) 123-45-67", "-5", "-1,234.50"]
    for names in ([""] * 9, [*attacks, *plain]):
        crm.sync("contacts", *({"id": number, "last_name": name or "x"} for number, name in enumerate(names)))
    out = admin("changes", 2, "--column", "last_name", "--table", "contacts", "--csv").stdout
    became = {row["became"] for row in csv.DictReader(io.StringIO(out))}
    assert became == {f"'{text}" for text in attacks} | set(plain)


def test_runs_are_listed_backwards_by_kind(crm, admin):
    for number in range(3):
        crm.sync("contacts", {"id": 1, "last_name": str(number)})
    admin("undo", 3)
    text = admin("runs", "--limit", 2).stdout
    assert "2 of 4 runs; next: --before 3" in text
    assert "1 run." in admin("runs", "--kind", "undo").stdout
    assert "target-crm-admin runs --before 4" in admin("status", "--limit", 1).stdout


def test_empty_lists_say_what_that_means(crm, admin):
    crm.sync("contacts", {"id": 1})
    said = {name: admin(name).stdout.strip() for name in ("conflicts", "rejects", "proposals", "warnings", "rules")}
    assert said == {
        "conflicts": "No conflict is open.",
        "rejects": "No reject is open.",
        "proposals": "No proposal is open.",
        "warnings": "No warning is open.",
        "rules": "No rules are stored.",
    }


def test_global_options_may_follow_the_subcommand_and_then_win(crm):
    crm.sync("contacts", {"id": 1})
    place = ["--database-url", crm.url, "--crm-schema", crm.schema]
    for line in (
        ["conflicts", *place],
        ["--crm-schema", "nosuch", "users", "list", *place],
        ["status", "--json", *place],
    ):
        done = CliRunner().invoke(main, line)
        assert done.exit_code == 0, done.output
        assert f"schema {crm.schema}" in done.stderr


def test_a_column_goes_only_when_the_least_widths_do_not_fit():
    columns = [Col("id", str, is_number=True), Col("text", str), Col("more", str, drop=1), Col("less", str, drop=2)]
    cells = [[Text("12345"), Text("x" * 50), Text("y" * 5), Text("z" * 5)]]
    assert fitting(columns, cells, 80) == [0, 1, 2, 3]
    assert fitting(columns, cells, 40) == [0, 1, 2]
    assert fitting(columns, cells, 30) == [0, 1]
    assert fitting(columns, cells, 5) == [0, 1]
