"""Files of the repository that tools read: they are valid, and agree with the packages and the pages."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "test.yml").read_text("utf-8"))
MATRIX = WORKFLOW["jobs"]["test"]["strategy"]["matrix"]
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))


def commands(job):
    return [step["run"] for step in WORKFLOW["jobs"][job]["steps"] if "run" in step]


def test_the_workflow_runs_what_has_to_pass():
    assert any(command.startswith("make test") for command in commands("test"))
    assert ".ci/run" in commands("clean-clone")


@pytest.mark.parametrize("package", ["tap-amocrm", "target-crm", "amocrm-sim"])
def test_the_workflow_begins_with_the_oldest_python_that_a_package_supports(package):
    needed = re.search(r'requires-python = ">=([\d.]+)"', (ROOT / package / "pyproject.toml").read_text("utf-8"))[1]
    assert MATRIX["python"] == [f"3.{minor}" for minor in range(int(needed.split(".")[1]), 15)]


def test_the_workflow_begins_with_the_oldest_postgresql_that_a_load_accepts():
    oldest = re.search(r"^PostgreSQL (\d+) or newer", (ROOT / "docs" / "database.md").read_text("utf-8"), re.MULTILINE)[
        1
    ]
    assert MATRIX["postgresql"] == [str(version) for version in range(int(oldest), 19)]


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_an_issue_asks_for_what_the_check_prints(form):
    fields = {field.get("id"): field for field in yaml.safe_load(form.read_text("utf-8"))["body"]}
    assert "tap-amocrm-check" in fields["check"]["attributes"]["label"]
    assert fields["check"]["validations"]["required"] is True


def test_the_hooks_run_what_make_lint_runs():
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text("utf-8"))["repos"][0]["hooks"]
    makefile = (ROOT / "Makefile").read_text("utf-8")
    for hook in hooks:
        program = hook["entry"].split()[0]
        assert program == "make" or f"$(BIN)/{program.removeprefix('.venv/bin/')}" in makefile, hook["id"]


def test_no_file_names_an_index_of_packages():
    files = [*(ROOT / ".github").rglob("*.yml"), ROOT / "constraints.txt", ROOT / ".ci" / "run", ROOT / "Makefile"]
    for file in files:
        assert not re.search(r"--(extra-)?index-url|--find-links|pypi\.|/simple", file.read_text("utf-8")), file


def test_the_changelog_has_a_section_and_a_date_for_each_release():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    releases = re.findall(r"^## \[(\d+\.\d+\.\d+)\] - (\d{4}-\d{2}-\d{2})$", text, re.MULTILINE)
    assert [version for version, _ in releases] == ["0.2.0", "0.1.0"]
    assert len(releases) == len(re.findall(r"^## ", text, re.MULTILINE))
    assert set(re.findall(r"^### (.+)$", text, re.MULTILINE)) <= {
        "Added",
        "Changed",
        "Deprecated",
        "Removed",
        "Fixed",
        "Security",
    }


@pytest.mark.parametrize("package", ["tap-amocrm", "target-crm", "amocrm-sim"])
def test_the_packages_have_the_version_of_the_last_release(package):
    last = re.search(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.MULTILINE)[1]
    assert f'version = "{last}"' in (ROOT / package / "pyproject.toml").read_text("utf-8")
