"""Matching within a load: new records that are like a row wait in sync_proposals until all records have come.

Only then is decided which of them become which row: what is unique must be unique in the account, not in a batch. What
waits is committed before the STATE behind it leaves, so that a load that dies loses none of it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timezone, tzinfo
from typing import NamedTuple
from zoneinfo import ZoneInfo

from target_crm.config.settings import Settings
from target_crm.database.session import PinnedConnection
from target_crm.mapping.check import LiveTable
from target_crm.mapping.match_rules import Rule, rules_of
from target_crm.matching.constraints import CONSTRAINT, rows_in_the_way
from target_crm.matching.decide import Decisions, decide
from target_crm.matching.proposals import Proposals, WaitingRecord
from target_crm.matching.stream_rows import Compared, StreamRows
from target_crm.normalise import Context
from target_crm.normalise.letters import Letters
from target_crm.problems import Problem
from target_crm.records.envelope import KeyReader, SeenRecord
from target_crm.records.tombstones import Tombstone

_AT_ONCE = 2500
_MOST_EXAMPLES = 5
# More than a batch holds.
_MOST_LATEST = 20_000
Key = tuple[int, int]


@dataclass
class Looks:
    """Records that were inserted although a row looks the same: how many by which rule, and some of them.

    The latest are kept one by one: a batch that is refused comes again, and what a constraint refuses gets no row.
    """

    by_rule: Counter[str] = field(default_factory=Counter)
    examples: list[tuple[Key, str]] = field(default_factory=list)
    latest: dict[Key, tuple[str, str]] = field(default_factory=dict)

    def note(self, key: Key, rule: Rule, row: str) -> None:
        """Take note of one; a record that comes again counts once."""
        self.latest[key] = rule.name, row
        if len(self.latest) > 2 * _MOST_LATEST:
            for old in list(self.latest)[:_MOST_LATEST]:
                name, like = self.latest.pop(old)
                self.by_rule[name] += 1
                self.examples = [*self.examples, (old, like)][:_MOST_EXAMPLES]

    def problem(self, table: str) -> Problem:
        """What is said of them."""
        by_rule = self.by_rule + Counter(name for name, _ in self.latest.values())
        some = [*self.examples, *((key, row) for key, (_, row) in self.latest.items())][:_MOST_EXAMPLES]
        args = {
            "table": table,
            "number": by_rule.total(),
            "by": ", ".join(f"{name}: {number}" for name, number in by_rule.most_common()),
            "examples": ", ".join(f"amo:{amo_id} = {row}" for (_, amo_id), row in some),
        }
        return Problem("W_LOOKS_THE_SAME", args)


@dataclass(frozen=True)
class Decided:
    """Records that are merged now: of one stream and time zone, with the row and the rule of those that are adopted."""

    stream: str
    zone: tzinfo
    records: list[SeenRecord]
    ties: dict[Key, tuple[str, str]]
    # Number of the proposal, and what becomes of it.
    numbers: dict[Key, tuple[int, str]]


class Chosen(NamedTuple):
    """A record for which a person chose a row: that with this key, or, for None, one of its own."""

    number: int
    stream: str
    zone: str
    text: bytes
    row: str | None
    rule: str


class Matching:
    """Matches the records of one load.

    Args:
        settings: The load's.
        live: Every mapped stream with its table.
        session: Gives the session that the load writes with.
        run_id: The run.
        letters: What the database can hold.
    """

    def __init__(
        self,
        settings: Settings,
        live: Mapping[str, LiveTable],
        session: Callable[[], PinnedConnection],
        run_id: int,
        letters: Letters,
    ) -> None:
        self._live, self._policy, self._session, self._run_id = live, settings.default_policy, session, run_id
        schema = settings.crm_schema
        self._streams = {
            stream: StreamRows(table, schema, number, rules, session)
            for number, (stream, table) in enumerate(live.items())
            if (rules := rules_of(table))
        }
        self._proposals = Proposals(schema, letters)
        self._open = self._proposals.open_keys(session())
        # Records that are decided, and continue to the merge.
        self._decided: set[tuple[str, int, int]] = set()
        self.proposed: Counter[str] = Counter()
        # How many records were let through as new ones, by stream.
        self._new_ones: Counter[str] = Counter()
        self.looks: dict[str, Looks] = {}

    @property
    def waiting(self) -> int:
        """How many records wait for a decision."""
        return len(self._open)

    def refresh(self) -> None:
        """See what others have decided meanwhile."""
        self._open = self._proposals.open_keys(self._session())

    def let_pass(self, stream: str, keys: Collection[Key]) -> None:
        """Let records continue to the merge, whatever they are like."""
        self._decided.update((stream, *key) for key in keys)

    def hold(self, stream: str, records: list[SeenRecord], context: Context) -> list[SeenRecord]:
        """Let those records wait that are new and like a row, or that wait already; the others are returned."""
        rows = self._streams.get(stream)
        if rows is None:
            return records
        some = [r for r in records if (stream, *r.key) not in self._decided] if self._decided else records
        opened = [r for r in some if (stream, *r.key) in self._open] if self._open else []
        with self._session().transaction():
            if not some or (not opened and rows.is_empty()):
                return records
            waiting = list(opened)
            if not rows.is_empty():
                known = {id(record) for record in opened}
                waiting += self._like_rows(rows, [r for r in some if id(r) not in known], context)
            for start in range(0, len(waiting), _AT_ONCE):
                part = waiting[start : start + _AT_ONCE]
                self._proposals.wait(self._session(), self._run_id, stream, str(context.zone), part)
        self._open.update((stream, *r.key) for r in waiting)
        left_out = {id(record) for record in waiting}
        return [record for record in records if id(record) not in left_out]

    def _like_rows(self, rows: StreamRows, records: Sequence[SeenRecord], context: Context) -> list[SeenRecord]:
        """Those of the records that are new and like a row by a rule of the mapping."""
        found: list[SeenRecord] = []
        new = rows.new(records) if records else []
        self._warn_of_second_versions(rows, records, new, context)
        for record, by_rule in _hits(rows, new, context):
            if any(not rule.implied for rule, _ in by_rule):
                found.append(record)
            else:
                self.looks.setdefault(rows.live.mapping.table, Looks()).note(record.key, *by_rule[0])
        # Those that are like no row get one of their own now.
        self._new_ones[rows.live.mapping.stream] += len(new) - len(found)
        return found

    def _warn_of_second_versions(
        self, rows: StreamRows, records: Sequence[SeenRecord], new: Sequence[SeenRecord], context: Context
    ) -> None:
        """Take note of records that have got new rows in this run, and are like another row by now."""
        if not self._new_ones[rows.live.mapping.stream] or len(new) == len(records):
            return
        are_new = {record.key for record in new}
        again = rows.inserted_in(self._run_id, [record for record in records if record.key not in are_new])
        for record, by_rule in _hits(rows, again, context):
            self.looks.setdefault(rows.live.mapping.table, Looks()).note(record.key, *by_rule[0])

    def close_deleted(self, tombstones: Sequence[Tombstone]) -> None:
        """Let records that are deleted in amoCRM wait no longer. The caller commits."""
        some = [t for t in tombstones if t.is_deletion and (t.stream, *t.key) in self._open] if self._open else []
        if some:
            self._proposals.close_by_tombstones(self._session(), some)

    def decide(self, accounts: Collection[int], default: Context) -> Iterator[Decided]:
        """Decide on all that waits, stream by stream; what is to be merged now, in parts.

        The caller merges each part, and calls `done`, before the next one is asked for.
        """
        for stream, rows in self._streams.items():
            if not any(key[0] == stream for key in self._open):
                continue
            connection = self._session()
            with connection.transaction():
                self._proposals.close_deleted(connection, rows.live)
                waiting = self._proposals.waiting(connection, stream, accounts)
                decisions = self._decide_stream(rows, waiting, default)
                self._propose(rows, waiting, decisions)
            yield from self._parts(rows, waiting, decisions, default)
        self._open = self._proposals.open_keys(self._session())

    def _decide_stream(self, rows: StreamRows, waiting: Sequence[WaitingRecord], default: Context) -> Decisions:
        if not waiting or not rows.matched or rows.is_empty(again=True):
            return Decisions()
        # A record that has a row, and waits since a constraint refused its newer version, is no other row.
        new = {one.key for one in rows.new(waiting)}
        waiting = [one for one in waiting if one.key in new]
        rows.start(default)
        for context, part in _parts_of(waiting, default):
            seen = self._seen(rows, part, context)
            rows.stage([Compared(w.number, seen[w.number], w.refused) for w in part], context)
        return decide(rows.pairs({w.number: w.account_id for w in waiting}), rows.rules)

    def _propose(self, rows: StreamRows, waiting: Sequence[WaitingRecord], decisions: Decisions) -> None:
        table, proposed = rows.live.mapping, decisions.proposed
        if table.on_ambiguous == "insert":
            for one in waiting:
                if one.number in proposed:
                    proposal = proposed.pop(one.number)
                    looks = self.looks.setdefault(table.table, Looks())
                    looks.note(one.key, rows.rules[proposal.rule], proposal.rows[0])
            return
        changed = {}
        for one in waiting:
            found = proposed.get(one.number)
            if found is not None:
                self.proposed[table.table] += one.rule is None
                if (one.rule, one.candidates) != (rows.rules[found.rule].name, found.rows):
                    changed[one.number] = found
        self._proposals.propose(self._session(), changed, rows.rules)

    def _seen(self, rows: StreamRows, waiting: Sequence[WaitingRecord], context: Context) -> dict[int, SeenRecord]:
        """The records of what waits, by its number."""
        texts = self._proposals.records(self._session(), [w.number for w in waiting])
        reader = KeyReader(rows.live, context, self._policy)
        return {number: reader.see(text, seq)[0] for seq, (number, text) in enumerate(texts.items(), 1)}

    def _parts(
        self, rows: StreamRows, waiting: Sequence[WaitingRecord], decisions: Decisions, default: Context
    ) -> Iterator[Decided]:
        stream, adopted = rows.live.mapping.stream, decisions.adopted
        going = [w for w in waiting if w.number not in decisions.proposed and not self._is_stuck(rows, w)]
        for context, part in _parts_of(going, default):
            seen = self._seen(rows, part, context)
            ties: dict[Key, tuple[str, str]] = {}
            numbers: dict[Key, tuple[int, str]] = {}
            for one in part:
                if one.number in adopted:
                    row, rule = adopted[one.number]
                    ties[one.key] = row, rows.rules[rule].name
                numbers[one.key] = one.number, "adopted" if one.number in adopted else "inserted"
            self.let_pass(stream, [w.key for w in part])
            yield Decided(stream, context.zone, [seen[w.number] for w in part], ties, numbers)

    def _is_stuck(self, rows: StreamRows, waiting: WaitingRecord) -> bool:
        """Whether a constraint of the table refused the record, and nothing has changed since."""
        return (
            waiting.rule is not None
            and waiting.rule.startswith(CONSTRAINT)
            and not waiting.is_newer
            and rows.are_as_proposed(waiting.number, waiting.candidates)
        )

    def choose(self, chosen: Sequence[Chosen], default: Context) -> Iterator[Decided]:
        """What a person chose, in parts as of `decide`."""
        for stream, zone in dict.fromkeys((one.stream, one.zone) for one in chosen):
            context = replace(default, zone=_zone(zone))
            reader = KeyReader(self._live[stream], context, self._policy)
            records, ties, numbers = list[SeenRecord](), dict[Key, tuple[str, str]](), dict[Key, tuple[int, str]]()
            for one in chosen:
                if (one.stream, one.zone) == (stream, zone):
                    records.append(reader.see(one.text, len(records) + 1)[0])
                    if one.row is not None:
                        ties[records[-1].key] = one.row, one.rule
                    numbers[records[-1].key] = one.number, "insert" if one.row is None else "take"
            self.let_pass(stream, [record.key for record in records])
            yield Decided(stream, context.zone, records, ties, numbers)

    def done(self, decided: Decided, postponed: Collection[Key], rejected: Collection[Key]) -> None:
        """Take off what has been merged, or rejected; what is tried again later continues waiting. The caller
        commits."""
        by_resolution: dict[str, list[int]] = {}
        for key, (number, resolution) in decided.numbers.items():
            if key not in postponed:
                by_resolution.setdefault("rejected" if key in rejected else resolution, []).append(number)
        for resolution, numbers in by_resolution.items():
            self._proposals.done(self._session(), self._run_id, numbers, resolution)

    def refused(self, left: Sequence[tuple[str, Context, SeenRecord, Problem]]) -> set[tuple[str, Key]]:
        """Of records that unique constraints refused at last, those that become proposals: of streams that propose,
        beside the rows that are in the way. The caller commits."""
        found: set[tuple[str, Key]] = set()
        connection = self._session()
        for stream, context, record, problem in left:
            live = self._live[stream]
            if live.mapping.on_ambiguous != "propose" or live.mapping.match_only:
                continue
            rows = rows_in_the_way(connection, live, problem)
            if rows:
                self._proposals.wait(connection, self._run_id, stream, str(context.zone), [record])
                rule = CONSTRAINT + str(problem.args["constraint"])
                if self._proposals.propose_refused(connection, stream, record.key, rule, rows):
                    self.proposed[live.mapping.table] += 1
                self._open.add((stream, *record.key))
                found.add((stream, record.key))
                # It got no row beside the one that it is like.
                if live.mapping.table in self.looks:
                    self.looks[live.mapping.table].latest.pop(record.key, None)
        return found

    def notices(self) -> list[Problem]:
        """That records were inserted although a row looks the same."""
        return [looks.problem(table) for table, looks in self.looks.items() if looks.latest or looks.by_rule]


def _hits(
    rows: StreamRows, records: Sequence[SeenRecord], context: Context
) -> Iterator[tuple[SeenRecord, list[tuple[Rule, str]]]]:
    """Those of the records that share a key with a row, with the rules, the strongest first, and one such row each."""
    for start in range(0, len(records), _AT_ONCE):
        part = records[start : start + _AT_ONCE]
        hits = rows.hits([Compared(number, record) for number, record in enumerate(part)], context)
        yield from ((part[number], by_rule) for number, by_rule in hits.items())


def _parts_of(waiting: Sequence[WaitingRecord], default: Context) -> Iterator[tuple[Context, list[WaitingRecord]]]:
    """What waits by time zone, some thousand at a time."""
    by_zone: dict[str, list[WaitingRecord]] = {}
    for one in waiting:
        by_zone.setdefault(one.zone, []).append(one)
    for zone, some in by_zone.items():
        context = replace(default, zone=_zone(zone))
        for start in range(0, len(some), _AT_ONCE):
            yield context, some[start : start + _AT_ONCE]


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return timezone.utc
