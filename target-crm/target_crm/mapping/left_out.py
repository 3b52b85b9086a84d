"""What a proposed mapping leaves out, and why: for a person to complete."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from target_crm.mapping.found_tables import Found
from target_crm.mapping.propose import Proposed
from target_crm.mapping.propose_joins import RELATIONS, ProposedJoin, unlinked
from target_crm.mapping.words import TABLES

# Stream, what is left out, why and what can be done.
LeftOut = tuple[str, str, str]
_SINGULAR = {"companies": "company", "contacts": "contact", "leads": "lead"}


class RecordCounts(NamedTuple):
    """How many records streams have, and how many of them a value at a path."""

    records: Mapping[str, int] = {}
    filled: Mapping[tuple[str, str], int] = {}

    def would(self, stream: str, number: int, what: str) -> str:
        """How many records something would happen to, as the beginning of a sentence; nothing where it is unknown."""
        if not self.records.get(stream):
            return ""
        return f"{number} of {self.records[stream]} {stream} would {what}: "


_LEFT_OUT = {
    "wait": "the column is NOT NULL; they are kept until the linked record comes, and left out if they name none "
    "(required: wait)",
    "skip": "the column is NOT NULL; they are left out (required: skip)",
}


def left_out(
    proposals: Sequence[Proposed],
    joins: Mapping[str, Sequence[ProposedJoin]],
    tables: Iterable[Found],
    counts: RecordCounts,
) -> list[LeftOut]:
    """All that the proposal could not map, stream by stream; with the numbers of records where these are known."""
    mapped = {proposed.stream for proposed in proposals}
    found: list[LeftOut] = [
        (
            stream,
            "all",
            counts.would(stream, counts.records.get(stream, 0), "be left out")
            + "no table has such a name; name one under streams, or leave the stream under ignore",
        )
        for stream in TABLES
        if stream not in mapped
    ]
    sources = {(stream, other): path for stream, relations in RELATIONS.items() for other, path in relations}
    for stream, other, why in unlinked(proposals, joins):
        number = counts.filled.get((stream, sources[stream, other]), 0)
        found.append((stream, f"link to {other}", counts.would(stream, number, f"have no {_SINGULAR[other]}") + why))
    known = list(tables)
    for proposed in proposals:
        found += _of_stream(proposed, counts)
        if joins.get(proposed.stream):
            continue
        for stream, what, why in _target_tables(proposed, {p.stream: p.table for p in proposals}, known):
            number = counts.filled.get((stream, "entity_id"), 0)
            found.append((stream, what, counts.would(stream, number, "belong to no record") + why))
    return found


def counted_paths(proposals: Sequence[Proposed]) -> Iterator[tuple[str, str]]:
    """Streams and paths whose records tell how many would lack something."""
    for stream, relations in RELATIONS.items():
        yield from ((stream, path) for _, path in relations)
    yield from ((stream, "entity_id") for stream in ("notes", "tasks"))
    for proposed in proposals:
        yield from ((proposed.stream, str(given["from"])) for given in _required(proposed).values())


def _required(proposed: Proposed) -> dict[str, dict[str, Any]]:
    """The columns without which a record gets no row, as far as one property fills them."""
    return {
        name: given
        for name, given in proposed.columns.items()
        if "required" in given and isinstance(given.get("from"), str) and "when_entity" not in given
    }


def _of_stream(proposed: Proposed, counts: RecordCounts) -> Iterator[LeftOut]:
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
            stream, told = proposed.stream, ""
            if name in _required(proposed):
                lacking = counts.records.get(stream, 0) - counts.filled.get((stream, str(given["from"])), 0)
                told = counts.would(stream, lacking, "be left out")
            yield stream, f"records without {name}", told + _LEFT_OUT[given["required"]]
    for name in proposed.unmapped:
        if not table.columns[name].required or name in proposed.defaults or name in proposed.tenants:
            continue
        if name in table.own_values:
            remedy = "give it a default of the database, since it must differ from row to row"
        else:
            remedy = "write it under defaults"
        yield proposed.stream, name, f"it is NOT NULL and nothing is known to fill it; {remedy}"
    if proposed.stream in ("companies", "contacts"):
        yield from _without_items(proposed)


def _without_items(proposed: Proposed) -> Iterator[LeftOut]:
    """Phones and e-mails without a place."""
    for item, what in (("phone", "phones"), ("email", "e-mails")):
        held = any(source.get("transform") == item for source in proposed.columns.values())
        if not held and not any(one.item == item for one in proposed.sets):
            yield (
                proposed.stream,
                what,
                f"no column of {proposed.table.full_name} and no table that points to it is known to hold them; name a "
                "column under columns, or a related table under sets",
            )


def _target_tables(proposed: Proposed, streams: Mapping[str, Found], tables: Iterable[Found]) -> Iterator[LeftOut]:
    """Notes and tasks whose records are in a table of links to several others."""
    if proposed.stream not in ("notes", "tasks"):
        return
    if proposed.is_about_records:
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
                f"it is in the table {table.full_name}; a join table is named under through, with when_entity for "
                "each kind of record",
            )
            return
    yield proposed.stream, "link to their records", f"no column of {own.full_name} points to them"
