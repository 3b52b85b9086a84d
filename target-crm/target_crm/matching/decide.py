"""Which records become which rows: decided from all pairs of an account at once, so that no order matters. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from target_crm.mapping.match_rules import Rule


class Pair(NamedTuple):
    """A record and a row that agree by a rule. `against` are the stronger rules that contradict; `shared` tells that
    others hold what the two have in common: a row of another record, or more rows than were looked at. `marked`: the
    row is marked as deleted in the CRM."""

    record: int
    rule: int
    row: str
    against: Sequence[int] = ()
    shared: bool = False
    marked: bool = False


class Proposal(NamedTuple):
    """A record that a person decides on: the rule and the rows that are like it."""

    rule: int
    rows: tuple[str, ...]


@dataclass
class Decisions:
    """Row and rule of the records that are adopted, and the proposals. The other records are like no row."""

    adopted: dict[int, tuple[str, int]] = field(default_factory=dict)
    proposed: dict[int, Proposal] = field(default_factory=dict)


def decide(pairs: Iterable[Pair], rules: Sequence[Rule]) -> Decisions:
    """Adopt what is unique on both sides, by the strongest rule that says anything; propose the rest.

    A stronger rule by which both sides have values, and none in common, parts a record from a row. Other phones or
    e-mails part those that have the same name; where an ИНН, an id, or another phone or address agrees, they only keep
    the record from being adopted: a firm has several numbers. Of similar rows one that is marked as deleted
    yields.
    """
    by_rule: dict[int, list[Pair]] = {}
    for pair in _without_spare(pairs):
        parting = [rules[number] for number in pair.against if not rules[number].is_several]
        if parting or (pair.against and rules[pair.rule].is_plain_text):
            continue
        by_rule.setdefault(pair.rule, []).append(pair)
    found = Decisions()
    taken: set[str] = set()
    # Records and rows about which a stronger rule has said something already.
    told_records: set[int] = set()
    told_rows: set[str] = set()
    for number in sorted(by_rule):
        some = by_rule[number]
        rows_of, records_of = Counter(p.record for p in some), Counter(p.row for p in some)
        for pair in some:
            is_unique = rows_of[pair.record] == 1 and records_of[pair.row] == 1 and not pair.shared and not pair.against
            if is_unique and pair.record not in told_records and pair.row not in told_rows:
                found.adopted[pair.record] = pair.row, number
                taken.add(pair.row)
        told_records.update(rows_of)
        told_rows.update(records_of)
    for number in sorted(by_rule):
        free: dict[int, list[str]] = {}
        for pair in by_rule[number]:
            if pair.row not in taken and pair.record not in found.adopted:
                free.setdefault(pair.record, []).append(pair.row)
        for record, rows in free.items():
            found.proposed.setdefault(record, Proposal(number, tuple(rows)))
    return found


def _without_spare(pairs: Iterable[Pair]) -> list[Pair]:
    """The pairs without those of deleted rows, of records that agree with a row that is not deleted by a rule that is
    as strong."""
    found = list(pairs)
    if not any(pair.marked for pair in found):
        return found
    strongest: dict[int, int] = {}
    for pair in found:
        if not pair.marked and not pair.against:
            strongest[pair.record] = min(pair.rule, strongest.get(pair.record, pair.rule))
    return [pair for pair in found if not pair.marked or strongest.get(pair.record, pair.rule + 1) > pair.rule]
