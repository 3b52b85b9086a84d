"""What a proposed mapping leaves out, and why: for a person to complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from target_crm.mapping.found_tables import Found
from target_crm.mapping.propose import Proposed
from target_crm.mapping.propose_joins import ProposedJoin, unlinked
from target_crm.mapping.words import TABLES

# Stream, what is left out, why and what can be done.
LeftOut = tuple[str, str, str]

_LEFT_OUT = {
    "wait": "the column is NOT NULL; they are kept until the linked record comes, and left out if they name none "
    "(required: wait)",
    "skip": "the column is NOT NULL; they are left out (required: skip)",
}


def left_out(
    proposals: Sequence[Proposed], joins: Mapping[str, Sequence[ProposedJoin]], tables: Iterable[Found]
) -> list[LeftOut]:
    """All that the proposal could not map, stream by stream."""
    mapped = {proposed.stream for proposed in proposals}
    found: list[LeftOut] = [
        (stream, "all", "no table is called so; name one under streams, or leave the stream under ignore")
        for stream in TABLES
        if stream not in mapped
    ]
    found += [(stream, f"link to {other}", why) for stream, other, why in unlinked(proposals, joins)]
    known = list(tables)
    for proposed in proposals:
        found += _of_stream(proposed)
        found += _target_tables(proposed, {p.stream: p.table for p in proposals}, known)
    return found


def _of_stream(proposed: Proposed) -> Iterator[LeftOut]:
    table = proposed.table
    for name, why in proposed.doubtful.items():
        yield proposed.stream, name, f"it {why.removeprefix(f'column {table.name}.{name} ')}"
    if proposed.match_only:
        return
    for name, tenants in proposed.tenants.items():
        if name not in proposed.defaults:
            yield (
                proposed.stream,
                name,
                f"it names a row of {tenants}, which has none or several; write one under defaults",
            )
    for name, given in proposed.columns.items():
        if "required" in given:
            yield proposed.stream, f"records without {name}", _LEFT_OUT[given["required"]]
    for name in proposed.unmapped:
        if table.columns[name].required and name not in proposed.defaults and name not in proposed.tenants:
            yield proposed.stream, name, "it is NOT NULL and nothing is known to fill it; write it under defaults"


def _target_tables(proposed: Proposed, streams: Mapping[str, Found], tables: Iterable[Found]) -> Iterator[LeftOut]:
    """Notes and tasks whose records are in a table of links to several others."""
    if proposed.stream not in ("notes", "tasks"):
        return
    if any(given.get("from") == "entity_id" for given in proposed.columns.values()):
        return
    own, others = (
        proposed.table,
        {(t.schema, t.name) for s, t in streams.items() if s not in ("notes", "tasks", "users")},
    )
    # A table called after this one is the likeliest (noteTarget before attachment).
    for table in sorted(tables, key=lambda one: not one.name.startswith(own.name)):
        to = set(table.facts.references.values())
        if (own.schema, own.name) in to and to & others and table.full_name != own.full_name:
            yield (
                proposed.stream,
                "link to their records",
                f"it is in the table {table.full_name}, one column for each kind of record; a view or a trigger of "
                "yours can fill it",
            )
            return
    yield proposed.stream, "link to their records", f"no column of {own.full_name} points to them"
