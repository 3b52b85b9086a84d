"""docs/architecture.md: what it names exists where it says."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "architecture.md").read_text("utf-8")
LINKS = re.findall(r"\[`([\w.]+)`\]\(\.\./([\w/.-]+\.py)\)", PAGE)
FOLDERS = re.findall(r'\["([a-z_]+)/(?:<br>[^"]*)?"\]', PAGE)


def names_in(file):
    """Functions, classes with their methods, and tables that a module defines."""
    found = set()
    for node in ast.parse(file.read_text("utf-8")).body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found.add(node.name)
        if isinstance(node, ast.ClassDef):
            found |= {f"{node.name}.{part.name}" for part in node.body if isinstance(part, ast.FunctionDef)}
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            found.add(node.target.id)
    return found


@pytest.mark.parametrize(("name", "path"), LINKS, ids=[name for name, _ in LINKS])
def test_a_function_of_a_record_s_way_is_where_the_page_says(name, path):
    assert name in names_in(ROOT / path)


def test_the_way_has_steps_in_both_packages():
    assert {path.partition("/")[0] for _, path in LINKS} == {"tap-amocrm", "target-crm"}


@pytest.mark.parametrize("folder", FOLDERS)
def test_a_folder_of_the_drawing_exists(folder):
    assert any((ROOT / package / folder).is_dir() for package in ("tap-amocrm/tap_amocrm", "target-crm/target_crm"))
