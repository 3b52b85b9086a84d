"""Join tables for a proposed mapping: which table links the rows of two streams, where no column does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from target_crm.mapping.found_tables import Found, pointing
from target_crm.mapping.propose import Proposed, default_values, lacking_key_default

# What amoCRM's notes and tasks belong to.
_ABOUT = ("companies", "contacts", "leads")
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
    when_entity: str | None = None

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
        written |= {"when_entity": self.when_entity} if self.when_entity else {}
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
    for stream in ("notes", "tasks"):
        owner = by_stream.get(stream)
        if owner is not None and not owner.is_about_records:
            targets = {other: by_stream[other].table for other in _ABOUT if other in by_stream}
            found[stream] = list(_of_records(owner.table, targets, free))
    return found


def _of_records(owner: Found, targets: Mapping[str, Found], free: Sequence[Found]) -> Iterator[ProposedJoin]:
    """The join tables of notes or tasks, one for each kind of record; of several that one which is called so."""
    for other, target in targets.items():
        found = list(_joins(owner, target, free, other, "entity_id", when_entity=other))
        called = [join for join in found if join.table.name.lower().startswith(owner.name.lower())]
        if len(called or found) == 1:
            yield (called or found)[0]


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


def _joins(
    owner: Found, target: Found, free: Iterable[Found], name: str, source: str, when_entity: str | None = None
) -> Iterator[ProposedJoin]:
    for table in free:
        parent, other = pointing(table, owner), pointing(table, target)
        if parent is None or other is None or parent == other:
            continue
        defaults = default_values(table, {parent, other, table.key})
        filled = {parent, other, *defaults, *([table.key] if lacking_key_default(table) else [])}
        if all(not column.required or column.name in filled for column in table.columns.values()):
            yield ProposedJoin(name, table, parent, other, source, defaults, when_entity)
