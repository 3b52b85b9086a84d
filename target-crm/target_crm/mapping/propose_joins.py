"""Join tables for a proposed mapping: which table links the rows of two streams, where no column does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from target_crm.mapping.catalogue import LiveColumn
from target_crm.mapping.found_tables import Found, split_words
from target_crm.mapping.propose import Proposed, default_values

# What amoCRM's records of a stream link to, and by which property.
RELATIONS = {
    "contacts": (("companies", "company_id"),),
    "leads": (("companies", "company_id"), ("contacts", "_embedded.contacts[].id")),
}
# A table with more columns is not a mere link.
_MOST_COLUMNS = 10


@dataclass
class ProposedJoin:
    """A join table of one stream."""

    name: str
    table: Found
    parent: str
    target: str
    source: str
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def words(self) -> dict[str, Any]:
        """As a mapping writes it."""
        written: dict[str, Any] = {
            "table": self.table.full_name,
            "parent": self.parent,
            "target": self.target,
            "from": self.source,
            "link": self.name,
        }
        return written | ({"defaults": self.defaults} if self.defaults else {})


def propose_joins(proposals: Sequence[Proposed], tables: Iterable[Found]) -> dict[str, list[ProposedJoin]]:
    """For each stream the join tables by which its rows are linked; relations that a column holds have none."""
    by_stream = {proposed.stream: proposed for proposed in proposals}
    used = {proposed.table.full_name for proposed in proposals}
    used |= {one.table.full_name for proposed in proposals for one in proposed.sets}
    free = [table for table in tables if table.full_name not in used and len(table.columns) <= _MOST_COLUMNS]
    found: dict[str, list[ProposedJoin]] = {}
    for stream, relations in RELATIONS.items():
        for other, source in relations:
            owner, target = by_stream.get(stream), by_stream.get(other)
            if owner is None or target is None or _is_linked(owner, other, by_stream):
                continue
            candidates = list(_joins(owner.table, target.table, free, other, source))
            if len(candidates) == 1:
                found.setdefault(stream, []).append(candidates[0])
    return found


def _is_linked(owner: Proposed, other: str, by_stream: Mapping[str, Proposed]) -> bool:
    """Whether a column points to the other stream's table, be it for another stream that shares it."""
    linked = {source["link"] for source in owner.columns.values() if isinstance(source.get("link"), str)}
    return any(by_stream[name].table is by_stream[other].table for name in linked if name in by_stream)


def unlinked(
    proposals: Sequence[Proposed], joins: Mapping[str, Sequence[ProposedJoin]]
) -> Iterator[tuple[str, str, str]]:
    """Relations of amoCRM for which no column and no join table was found: stream, other stream, why."""
    mapped = {proposed.stream: proposed for proposed in proposals}
    for stream, relations in RELATIONS.items():
        for other, _ in relations:
            if stream not in mapped or other not in mapped or _is_linked(mapped[stream], other, mapped):
                continue
            if other not in {join.name for join in joins.get(stream, ())}:
                yield (
                    stream,
                    other,
                    f"no column of {mapped[stream].table.full_name} points to {mapped[other].table.full_name}; "
                    "a join table is named under through",
                )


def _joins(owner: Found, target: Found, free: Iterable[Found], name: str, source: str) -> Iterator[ProposedJoin]:
    for table in free:
        parent, other = _pointing(table, owner), _pointing(table, target)
        if parent is None or other is None or parent == other:
            continue
        defaults = default_values(table, {parent, other, table.key})
        filled = {parent, other, *defaults}
        if all(not column.required or column.name in filled for column in table.columns.values()):
            yield ProposedJoin(name, table, parent, other, source, defaults)


def _pointing(table: Found, target: Found) -> str | None:
    """The one column by which a table points to another: by foreign key, or without one by name and type."""
    by_key = [c for c, to in table.facts.references.items() if to == (target.schema, target.name)]
    if by_key:
        return by_key[0] if len(by_key) == 1 else None
    key = target.columns.get(target.key)
    wanted = "_".join([*split_words(target.name)[-1:], "id"])
    column: LiveColumn | None = table.columns.get(wanted)
    same_kind = column is not None and key is not None and column.family == key.family
    return wanted if same_kind and wanted not in table.facts.references else None
