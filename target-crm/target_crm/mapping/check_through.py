"""Checks a table's join tables against the live database."""

from __future__ import annotations

from dataclasses import replace

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.findings import Findings
from target_crm.mapping.model import Table, Through


def check_through(
    findings: Findings, table: Table, through: Through, parent: LiveTable
) -> tuple[LiveTable, Through] | None:
    """A join table with what the mapping says of it, prepared for loading; None if it can't be used."""
    opened = findings.open(table, through.relation, through.line)
    if opened is None:
        return None
    live, facts = opened
    linked = findings.mapping.tables[through.link]
    for role, name, other in (("parent", through.parent, table), ("target", through.target, linked)):
        column = live.columns.get(name)
        if column is None:
            there = ", ".join(sorted(live.columns))
            findings.problem(
                through.line,
                f"table {live.name} has no column {name} ({role} of through {through.name}); it has {there}. Correct "
                "the name.",
            )
        elif column.generated:
            findings.problem(
                through.line,
                f"column {live.name}.{name} ({role} of through {through.name}) is filled by the database alone; name "
                "another.",
            )
        elif table.id in parent.columns or role == "target":
            findings.points_at(through.line, live, name, other, facts)
    if through.parent == through.target:
        findings.problem(through.line, f"through {through.name}: parent and target are one column; name two.")
    known = {through.parent, through.target, *through.defaults}
    for column in live.columns.values():
        if findings.is_planned(live, column.name):
            continue
        if column.required and column.name not in known and facts.primary == (column.name,):
            findings.problem(
                through.line,
                f"column {live.name}.{column.name}, the primary key, gets no value from the database; let it fill new "
                f"keys in ({findings.fill_key(live, column)}).",
            )
        elif column.required and column.name not in known:
            findings.problem(
                through.line,
                f"column {live.name}.{column.name} is NOT NULL without a default and nothing fills it; give it a "
                f"value under the defaults of through {through.name}.",
            )
    for name in sorted({through.parent, through.target} & through.defaults.keys()):
        findings.problem(
            through.default_lines.get(name, through.line),
            f"column {name} is used by through {through.name} already; remove it from defaults.",
        )
    key = facts.primary[0] if len(facts.primary) == 1 else None
    return live, replace(through, key=key, defaults=findings.defaults(through, live, facts))
