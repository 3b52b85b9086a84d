"""How much of a mapping `map --init` writes by itself, for eleven kinds of CRM: precision and recall.

The tables are fixtures of the target's tests, each with the mapping that a person would write. A table, a column with
its source, a related or join table and a fixed value for a tenant count one each.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from typing import Any

import psycopg
import yaml
from harness import BIN, HERE, main, postgres, run, show
from ours import target_config

SCHEMAS = HERE.parent / "target-crm" / "tests" / "data" / "map_init"
Item = tuple[str, ...]


def expected(file: Path) -> set[Item]:
    """What a person would write."""
    found: set[Item] = set()
    for stream, part in yaml.safe_load(file.read_text("utf-8")).items():
        found.add((stream, "table", part["table"]))
        found |= {(stream, "column", name, source) for name, source in part.get("columns", {}).items()}
        found |= {(stream, "set", table, item) for table, item in part.get("sets", {}).items()}
        for table, others in part.get("through", {}).items():
            found |= {(stream, "through", table, other) for other in ([others] if isinstance(others, str) else others)}
        found |= {(stream, "default", name) for name in part.get("defaults", ())}
    return found


def _source(given: Any) -> str:
    """By what a source is called in the expectations: its first path or field."""
    if isinstance(given, str):
        return given
    first = given.get("from", given.get("field"))
    return str(first[0] if isinstance(first, list) else first)


def written(mapping: dict[str, Any], wanted: set[Item]) -> set[Item]:
    """What the proposed mapping says. Defaults count where one is expected: the others only fill NOT NULL columns."""
    found: set[Item] = set()
    for stream, part in mapping["streams"].items():
        found.add((stream, "table", part["table"].rpartition(".")[2]))
        found |= {(stream, "column", name, _source(given)) for name, given in part.get("columns", {}).items()}
        for one in part.get("sets", {}).values():
            found.add((stream, "set", one["table"].rpartition(".")[2], one["item"]))
        for one in part.get("through", {}).values():
            found.add((stream, "through", one["table"].rpartition(".")[2], one["link"]))
        found |= {(stream, "default", name) for name in part.get("defaults", ())} & wanted
    return found


def measure(options: argparse.Namespace) -> dict[str, Any]:
    """`map --init` on each schema, beside its expected mapping."""
    schemas: dict[str, Any] = {}
    with postgres() as server, tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for ddl in sorted(SCHEMAS.glob("*.sql")):
            url, mapping = server.fresh(), folder / f"{ddl.stem}.yaml"
            with psycopg.connect(url) as connection:
                connection.execute(ddl.read_text("utf-8").encode())
            took = run(
                [BIN / "target-crm-admin", "--config", target_config(url, folder), "map", "--init", "-o", mapping]
            )
            wanted = expected(ddl.with_suffix(".yaml"))
            found = written(yaml.safe_load(mapping.read_text("utf-8")), wanted)
            right = wanted & found
            schemas[ddl.stem] = {
                "expected": len(wanted), "written": len(found), "right": len(right),
                "precision": round(len(right) / len(found), 3), "recall": round(len(right) / len(wanted), 3),
                "wrong": sorted(map(" ".join, found - wanted)), "missed": sorted(map(" ".join, wanted - found)),
                "seconds": took.seconds,
            }  # fmt: skip
    total = {key: sum(one[key] for one in schemas.values()) for key in ("expected", "written", "right")}
    total |= {
        "precision": round(total["right"] / total["written"], 3),
        "recall": round(total["right"] / total["expected"], 3),
    }
    columns = ("expected", "written", "right", "precision", "recall")
    rows = [(name, *(one[key] for key in columns)) for name, one in [*schemas.items(), ("all", total)]]
    show("What map --init finds", ("schema", *columns), rows)
    return {"schemas": schemas, "total": total}


if __name__ == "__main__":
    main("map_init", __doc__, measure)
