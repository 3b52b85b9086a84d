"""A record that waits for a decision beside the rows that it is like: what both hold, and where they agree."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timezone
from typing import Any

import msgspec
import psycopg

from target_crm.errors import RecordError
from target_crm.mapping.check import LiveTable
from target_crm.mapping.load import load_mapping
from target_crm.mapping.match_rules import kind_of
from target_crm.mapping.model import Column
from target_crm.matching.constraints import CONSTRAINT
from target_crm.merge.references import resolve
from target_crm.normalise import Context
from target_crm.normalise.match_keys import INN, match_keys
from target_crm.operations.proposals import live_of, own_row
from target_crm.operations.records import items_of
from target_crm.operations.session import Row, Session
from target_crm.presentation.formats import zone_of
from target_crm.presentation.values import is_empty
from target_crm.records.envelope import KeyReader
from target_crm.records.extractor import Extractor
from target_crm.sql.proposals import IGNORED
from target_crm.sql.spec import I, S

_FAULTS = (RecordError, msgspec.MsgspecError, ValueError)


@dataclass(frozen=True)
class Candidate:
    """A row that a record is like. `row` is None where it was deleted since; `is_taken`: another record has it now."""

    row_id: str
    row: Row | None
    is_taken: bool


@dataclass(frozen=True)
class Line:
    """A column, or a set of the mapping: what the record brings, and what each candidate holds, in their order."""

    column: str
    theirs: Any
    ours: tuple[Any, ...]
    # Whether the candidate's value counts as the same by the rules of matching.
    same: tuple[bool, ...]


@dataclass(frozen=True)
class Beside:
    """A proposal with its record and some of its candidates. `fingerprint` is that of all that is shown. `can_add`:
    the record can get a new row."""

    live: LiveTable
    candidates: list[Candidate]
    lines: list[Line]
    fingerprint: str
    can_add: bool


@dataclass
class _Read:
    """What the mapping takes out of one record: values by column, texts of phones and e-mails by set."""

    columns: dict[str, Any] = field(default_factory=dict)
    sets: dict[str, list[str]] = field(default_factory=dict)


def is_open(proposal: Row) -> bool:
    """Whether it may be decided on: also a record that was left out may come after all."""
    return proposal["resolved_at"] is None or proposal["resolution"] == IGNORED


def constraint_of(rule: str | None) -> str | None:
    """The unique constraint that refused the record; None where a rule of the mapping matched."""
    return rule.removeprefix(CONSTRAINT) if rule and rule.startswith(CONSTRAINT) else None


def beside(session: Session, proposal: Row, start: int = 0, most: int = 4) -> Beside:
    """Put the record of a proposal beside `most` of its candidates, those from the place `start` on.

    Raises:
        UnknownError: the record's stream is no longer mapped.
    """
    live, region = live_of(session, proposal["stream"]), _region(session)
    (read,) = _read(session, live, [proposal], region).values()
    keys = proposal["candidates"][start : start + most]
    rows = _rows(session, live, keys)
    candidates = [_candidate(live, key, rows.get(key)) for key in keys]
    lines = []
    for column in live.mapping.columns:
        values = tuple(live.value(c.row or {}, column.name) for c in candidates)
        theirs = read.columns.get(column.name)
        same = tuple(_same(live, column, theirs, ours, region) for ours in values)
        lines.append(Line(column.name, theirs, values, same))
    lines += _set_lines(session, live, read, candidates, region)
    filled = [line for line in lines if not all(map(is_empty, (line.theirs, *line.ours)))]
    can_add = not live.mapping.match_only and own_row(session, live, proposal) is None
    return Beside(live, candidates, filled, _fingerprint(proposal, candidates, filled), can_add)


def _region(session: Session) -> str:
    return load_mapping(session.settings.mapping_file).default_region or session.settings.default_region


def _candidate(live: LiveTable, key: str, row: Row | None) -> Candidate:
    taken = row is not None and not live.mapping.match_only and row.get(live.mapping.amo_id or "") is not None
    return Candidate(key, row, taken)


def _rows(session: Session, live: LiveTable, keys: Iterable[str]) -> dict[str, Row]:
    """Rows by their keys as JSON values; those that are gone are left out."""
    name = live.mapping.id
    statement = session.query(
        "records.sql", "read_rows", id=I(name), table=live.identifier, type=S(live.columns[name].type_sql)
    )
    try:
        with session.connection.transaction():
            found = session.rows(statement, sorted(keys))
    except psycopg.DataError:  # keys of a table that had other keys once
        found = []
    return {row["key"]: row["row"] for row in found}


def _read(session: Session, live: LiveTable, proposals: Sequence[Row], region: str) -> dict[int, _Read]:
    """What the mapping takes out of the records of one stream, by the numbers of their proposals; nothing of those
    that can't be read."""
    texts = session.rows(
        S("SELECT id, record::text AS text, zone FROM {} WHERE id = ANY(%s) ORDER BY id").format(
            session.control("sync_proposals")
        ),
        [proposal["id"] for proposal in proposals],
    )
    found: dict[int, _Read] = {}
    extractors: dict[str, tuple[KeyReader, Extractor]] = {}
    for row in texts:
        if row["zone"] not in extractors:
            context = Context(region, zone_of(row["zone"]) or timezone.utc)
            policy = session.settings.default_policy
            extractors[row["zone"]] = KeyReader(live, context, policy), Extractor(live, context)
        found[row["id"]] = _read_one(session, live, row["text"].encode(), *extractors[row["zone"]])
    return found


def _read_one(session: Session, live: LiveTable, text: bytes, keys: KeyReader, extractor: Extractor) -> _Read:
    try:
        record, _ = keys.see(text, 1)
    except _FAULTS:
        return _Read()
    found = extractor.extract([record], lambda *_: None)
    if not found.records:
        return _Read()
    parents = {one.mapping.stream: one for one in session.tables.values()}
    resolve(session.connection, session.settings.crm_schema, live, parents, found)
    values = {c.name: _plain(live, c, of[0]) for c, of in zip(live.mapping.columns, found.columns, strict=True)}
    items = {
        item_set.name: [item.value or item.comment or "" for item in of[0]]
        for item_set, of in zip(live.mapping.sets, found.items, strict=True)
    }
    return _Read(values, items)


def _plain(live: LiveTable, column: Column, value: Any) -> Any:
    """A value as the row would hold it: documents come as their text."""
    is_document = live.columns[column.name].family == "json" and isinstance(value, str)
    return json.loads(value) if is_document else value


def _set_lines(
    session: Session, live: LiveTable, read: _Read, candidates: Sequence[Candidate], region: str
) -> list[Line]:
    by_set: dict[str, list[list[str]]] = {item_set.name: [] for item_set in live.mapping.sets}
    for candidate in candidates:
        rows = {found.item_set.name: some for found, some in items_of(session, live, candidate.row_id)}
        for item_set in live.mapping.sets:
            roles = [item_set.columns[role] for role in ("value", "comment") if role in item_set.columns]
            texts = [next((str(r[c]) for c in roles if r.get(c)), "") for r in rows.get(item_set.name, ())]
            by_set[item_set.name].append(texts)
    lines = []
    for item_set in live.mapping.sets:
        theirs, ours = read.sets.get(item_set.name, []), by_set[item_set.name]
        same = tuple(
            bool(theirs) and _keys(item_set.item, theirs, region) == _keys(item_set.item, one, region) for one in ours
        )
        lines.append(Line(item_set.name, theirs, tuple(ours), same))
    return lines


def _keys(kind: str, values: Iterable[Any], region: str) -> set[str]:
    return {key for value in values for key in match_keys(kind, value, region)}


def _same(live: LiveTable, column: Column, theirs: Any, ours: Any, region: str) -> bool:
    if is_empty(theirs) or is_empty(ours):
        return False
    if theirs == ours or str(theirs) == str(ours):
        return True
    if column.source or not isinstance(theirs, (str, int)) or not isinstance(ours, (str, int, float)):
        return False
    kind = kind_of(column, live)
    keys = _keys(kind, [theirs], region)
    return bool(keys) and keys == _keys(kind, [ours], region)


def _fingerprint(proposal: Row, candidates: Sequence[Candidate], lines: Sequence[Line]) -> str:
    """What a form carries, so that a decision is made by what was seen."""
    rows = [(c.row_id, c.row is None, c.is_taken) for c in candidates]
    values = [(line.column, line.theirs, line.ours) for line in lines]
    told = json.dumps([proposal["rule"], proposal["candidates"], rows, values], default=str, ensure_ascii=False)
    return hashlib.blake2b(told.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()


def neighbour(session: Session, number: int, stream: str | None = None, *, back: bool = False) -> int | None:
    """The number of the next open proposal, or of the one before."""
    order = S("DESC") if back else S("ASC")
    found = session.rows(
        session.query("proposals.sql", "neighbour", beyond=S("<") if back else S(">"), direction=order),
        number,
        stream,
        stream,
    )
    return int(found[0]["id"]) if found else None


def inn_columns(live: LiveTable) -> list[Column]:
    """The columns that hold an ИНН."""
    return [c for c in live.mapping.columns if c.name in live.columns and kind_of(c, live) == INN]


def same_inn(session: Session, proposals: Iterable[Row]) -> dict[int, str]:
    """For each proposal of which exactly one candidate has the record's ИНН, the key of that row.

    Left out are rows that belong to a record by now, and rows that several of the records would get.
    """
    by_stream: dict[str, list[Row]] = {}
    mapped = {live.mapping.stream for live in session.tables.values()}
    for proposal in proposals:
        if proposal["stream"] in mapped:
            by_stream.setdefault(proposal["stream"], []).append(proposal)
    found: dict[int, str] = {}
    region = _region(session) if by_stream else ""
    for stream, some in by_stream.items():
        live = live_of(session, stream)
        if not inn_columns(live):
            continue
        rows = _rows(session, live, {key for proposal in some for key in proposal["candidates"]})
        chosen = _by_inn(live, some, _read(session, live, some, region), rows)
        times: dict[str, int] = {}
        for row in chosen.values():
            times[row] = times.get(row, 0) + 1
        found |= {number: row for number, row in chosen.items() if times[row] == 1}
    return found


def _by_inn(
    live: LiveTable, proposals: Sequence[Row], records: Mapping[int, _Read], rows: Mapping[str, Row]
) -> dict[int, str]:
    columns, found = [c.name for c in inn_columns(live)], {}

    def numbers(values: Mapping[str, Any]) -> set[str]:
        return _keys(INN, (values.get(name) for name in columns), "")

    for proposal in proposals:
        own = numbers(records[proposal["id"]].columns) if proposal["id"] in records else set()
        like = [key for key in proposal["candidates"] if own & numbers(rows.get(key, {}))]
        if len(like) == 1 and not _candidate(live, like[0], rows[like[0]]).is_taken:
            found[proposal["id"]] = like[0]
    return found
