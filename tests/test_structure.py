"""How both packages are laid out: which folder may import which, no circles, and nothing too long to read."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# From the top to the bottom: a folder (or a file beside the folders) imports only what is below it.
ORDER = {
    "target_crm": (
        "cli", "admin", "verify", "target", "input_load", "digest", "setup", "report", "web", "operations", "plan",
        "load", "singer_io", "matching", "merge", "sql", "database", "records", "mapping", "normalise", "config",
        "extras", "errors", "problems", "presentation", "files", "__init__",
    ),
    "tap_amocrm": (
        "cli", "tap", "following", "downloads", "streams", "run_context", "hooks", "planning", "reading", "singer_io",
        "bookmarks", "api", "auth", "http", "config", "state", "positions", "declarations", "errors_page", "errors",
        "error_codes", "sdk_seam", "moments", "shapes", "__init__",
    ),
}  # fmt: skip
# Arrows that still go up, by package: they only become fewer.
UPWARDS: dict[str, set[tuple[str, str]]] = {
    "target_crm": set(),
    "tap_amocrm": set(),
}  # fmt: skip
# Classes that are still too long: they only become fewer.
LONG: dict[str, set[str]] = {"target_crm": set(), "tap_amocrm": set()}
MOST_LINES = {"file": 500, "class": 250, "function": 60}
PACKAGES = list(ORDER)


@cache
def modules(package: str) -> dict[str, ast.Module]:
    """The package's modules by their dotted name."""
    (folder,) = ROOT.glob(f"*/{package}")
    return {
        ".".join((package, *path.relative_to(folder).with_suffix("").parts)).removesuffix(".__init__"): ast.parse(
            path.read_text("utf-8")
        )
        for path in folder.rglob("*.py")
    }


def imported(package: str, tree: ast.Module, types_too: bool = False) -> Iterator[str]:
    """The package's own modules that a module imports, also where only a function does; not for types alone."""
    known = modules(package)
    for_types = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in for_types and not types_too:
            continue
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == package:
            for name in node.names:
                inner = f"{node.module}.{name.name}"
                yield inner if inner in known else node.module
        elif isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name in known)


def room(package: str, module: str) -> str:
    """The folder of a module, or its file beside the folders."""
    return module.removeprefix(package).lstrip(".").partition(".")[0] or "__init__"


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_between_folders_go_down_alone(package):
    floors = {name: floor for floor, name in enumerate(reversed(ORDER[package]))}
    arrows = {
        (room(package, module), room(package, other))
        for module, tree in modules(package).items()
        for other in imported(package, tree)
    }
    up = {(here, there) for here, there in arrows if here != there and floors[here] < floors[there]}
    assert up == UPWARDS[package]


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_one_another_in_a_circle(package):
    trees = modules(package).items()
    graph = {module: set(imported(package, tree, types_too=True)) - {module} for module, tree in trees}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("package", PACKAGES)
def test_files_classes_and_functions_can_be_read_in_one_go(package):
    long = set()
    for module, tree in modules(package).items():
        parts = [("file", module, 1, max((node.end_lineno or 0 for node in tree.body), default=0))]
        for node in ast.walk(tree):
            if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
                kind = "class" if isinstance(node, ast.ClassDef) else "function"
                parts.append((kind, f"{module}.{node.name}", node.lineno, node.end_lineno or 0))
        long |= {name for kind, name, first, last in parts if last - first >= MOST_LINES[kind]}
    assert long == LONG[package]
