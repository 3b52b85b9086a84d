"""The records that wait for a decision, in their table."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from target_crm.database.session import PinnedConnection
from target_crm.mapping.check import LiveTable
from target_crm.mapping.match_rules import Rule
from target_crm.matching.decide import Proposal
from target_crm.normalise.letters import Letters
from target_crm.records.envelope import SeenRecord
from target_crm.records.tombstones import Tombstone
from target_crm.sql import proposals as statements

Keys = set[tuple[str, int, int]]


@dataclass(frozen=True)
class WaitingRecord:
    """A line of sync_proposals that is open."""

    number: int
    account_id: int
    amo_id: int
    run_id: int
    rule: str | None
    candidates: tuple[str, ...]
    zone: str
    refused: tuple[str, ...]
    is_newer: bool

    @property
    def key(self) -> tuple[int, int]:
        """The record's key."""
        return self.account_id, self.amo_id


class Proposals:
    """sync_proposals over one connection; the callers commit."""

    def __init__(self, schema: str, letters: Letters) -> None:
        self.schema, self._letters = schema, letters

    def open_keys(self, connection: PinnedConnection) -> Keys:
        """The records that wait, and those that are ignored, by stream, account and id."""
        return set(connection.execute(statements.open_keys(self.schema)).fetchall())

    def wait(
        self, connection: PinnedConnection, run_id: int, stream: str, zone: str, records: Sequence[SeenRecord]
    ) -> None:
        """Let records wait; a newer version of one that waits takes its place."""
        connection.execute(
            statements.write(self.schema),
            (
                run_id,
                stream,
                zone,
                [r.account_id for r in records],
                [r.amo_id for r in records],
                [self._letters.clean(r.raw.decode()) for r in records],
                [r.updated_at for r in records],
            ),
        )

    def close_deleted(self, connection: PinnedConnection, live: LiveTable) -> None:
        """Close those of a stream whose record was deleted in amoCRM since."""
        connection.execute(statements.close_deleted(self.schema, live))

    def close_by_tombstones(self, connection: PinnedConnection, tombstones: Sequence[Tombstone]) -> None:
        """Close those that are deleted in amoCRM now."""
        columns = (
            [t.stream for t in tombstones],
            [t.key[0] for t in tombstones],
            [t.key[1] for t in tombstones],
            [t.when for t in tombstones],
        )
        connection.execute(statements.close_by_tombstones(self.schema), columns)

    def waiting(self, connection: PinnedConnection, stream: str, accounts: Collection[int]) -> list[WaitingRecord]:
        """All of a stream that wait."""
        query = statements.waiting(self.schema, stream, sorted(accounts))
        return [
            WaitingRecord(number, account, amo_id, run_id, rule, tuple(candidates), zone, tuple(refused), is_newer)
            for number, account, amo_id, run_id, rule, candidates, zone, refused, is_newer in connection.execute(query)
        ]

    def records(self, connection: PinnedConnection, numbers: Sequence[int]) -> dict[int, bytes]:
        """The records of some of them, as JSON."""
        query = statements.records(self.schema, numbers)
        return {number: text.encode() for number, text in connection.execute(query)}

    def propose(self, connection: PinnedConnection, proposed: Mapping[int, Proposal], rules: Sequence[Rule]) -> None:
        """Put records before a person."""
        if proposed:
            connection.execute(
                statements.propose(self.schema),
                (
                    list(proposed),
                    [rules[p.rule].name for p in proposed.values()],
                    [json.dumps(list(p.rows)) for p in proposed.values()],
                ),
            )

    def propose_refused(
        self, connection: PinnedConnection, stream: str, key: tuple[int, int], rule: str, rows: Sequence[str]
    ) -> bool:
        """Put a record that a constraint refused before a person; whether it was not there before."""
        found = connection.execute(statements.propose_refused(self.schema), (stream, *key, rule, list(rows))).fetchone()
        return found is not None and found[0]

    def done(self, connection: PinnedConnection, run_id: int, numbers: Sequence[int], resolution: str) -> None:
        """Take decided records off."""
        for statement in statements.done(self.schema, run_id, numbers, resolution) if numbers else ():
            connection.execute(statement)
