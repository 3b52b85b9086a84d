"""The outcome of a run: the end of its input, streams that were rejected completely, and notices."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from target_crm.errors import StreamRejectedError
from target_crm.merge.counts import Counts
from target_crm.merge.session import MergeSession
from target_crm.presentation.texts.rendering import remedy_text
from target_crm.problems import Problem
from target_crm.singer_io.released_states import is_known, keep_state
from target_crm.singer_io.run_input import RunInput, Source, state_digest
from target_crm.sql.queries import query

logger = logging.getLogger("target-crm")
Connection = psycopg.Connection[Any]
# A single bad record is not evidence about its stream.
_LEAST_FOR_A_STREAM = 2
# If at least this share of a table's records has lost its row, people did not just remove single rows.
_MASS_DELETED_SHARE = 0.5
_MOST_NAMED = 10


class Outcome:
    """Collects the notices of a run; only `begin` and `write_notices` write.

    Args:
        schema: The schema of the loader's own tables.
        run_id: The run.
        tables: The table of each mapped stream.
    """

    def __init__(self, schema: str, run_id: int, tables: Mapping[str, str]) -> None:
        self.input = RunInput()
        self.expects_input = False
        self.loaded: Counter[str] = Counter()
        self.rejected: Counter[str] = Counter()
        # Messages of unknown types, by type.
        self.passed_over: Counter[str] = Counter()
        self._schema, self._run_id, self._tables = schema, run_id, tables
        self._has_gap = False
        self._bookmarks: set[str] = set()
        self._last_kept: tuple[str, frozenset[int]] | None = None

    def begin(self, connection: Connection, source: Source) -> None:
        """Store the tap of the run, and check whether its starting state was released here. The
        caller commits."""
        self._has_gap = not is_known(connection, self._schema, source)
        accounts = [] if source.account_id is None else [source.account_id]
        values = source.tap, source.run, source.start_state is None, accounts, self._run_id
        connection.execute(query("runs.sql", "write_source", self._schema), values)

    def see_state(self, state: Mapping[str, Any]) -> None:
        """Take note of a STATE's value."""
        self.input.see_state(state)
        bookmarks = state.get("bookmarks")
        if isinstance(bookmarks, dict):
            self._bookmarks = set(bookmarks)

    def keep_state(self, connection: Connection, accounts: Iterable[int], state: Any) -> None:
        """Store a STATE that is released when this transaction is committed. The caller commits."""
        if not isinstance(state, dict):
            return
        known = set(accounts)
        if self.input.account_id is not None:
            known = {self.input.account_id}
        place = (state_digest(state), frozenset(known))
        if known and place != self._last_kept:
            keep_state(connection, self._schema, self._run_id, known, self.input.tap, state)
            self._last_kept = place

    def require_good(self) -> None:
        """Make sure that the input reached its end and that no stream was rejected whole.

        Raises:
            NoInputError: not one message came.
            IncompleteInputError: the tap ended early.
            StreamRejectedError: a stream's every record was rejected.
        """
        self.input.require_end()
        self.require_no_stream_rejected()

    def require_no_stream_rejected(self) -> None:
        """Make sure that no stream was rejected whole.

        Raises:
            StreamRejectedError: a stream's every record was rejected.
        """
        rejected = [Problem("E_STREAM_REJECTED", {"stream": s, "number": n}) for s, n in self._rejected_streams()]
        if rejected:
            text = " ".join(problem.text() for problem in rejected)
            raise StreamRejectedError(f"{text} {remedy_text('E_STREAM_REJECTED')}")

    def _rejected_streams(self) -> list[tuple[str, int]]:
        return [
            (stream, number)
            for stream, number in sorted(self.rejected.items())
            if number >= _LEAST_FOR_A_STREAM and not self.loaded[stream]
        ]

    def notices(
        self, counts: Mapping[str, Counts], sessions: Collection[MergeSession], *, ended: bool
    ) -> list[Problem]:
        """The notices. `ended`: the input was read to its end."""
        found = [self.gap()] if self._has_gap else []
        if ended and self.expects_input and not self.input.messages:
            found.append(Problem("E_NO_MESSAGES"))
        elif ended and not self.input.is_complete:
            found.append(Problem("E_INPUT_INCOMPLETE", {"tap": self.input.tap}))
        found += [Problem("E_STREAM_REJECTED", {"stream": s, "number": n}) for s, n in self._rejected_streams()]
        found += self._odd_messages()
        for table, number in counts.items():
            if number.deleted_by_person and number.deleted_by_person >= number.read * _MASS_DELETED_SHARE:
                args = {"table": table, "number": number.deleted_by_person}
                found.append(Problem("W_DELETED_BY_PERSON", args))
        skipped = Counter({table: number.skipped_by_database for table, number in counts.items()})
        for session in sessions:
            skipped.update(session.skipped_items)
        found += [Problem("W_SKIPPED_BY_DATABASE", {"table": t, "number": n}) for t, n in skipped.items() if n]
        people: dict[str, list[str]] = {}
        for session in sessions:
            for (stream, _, amo_id), (name, email) in session.unmatched.items():
                shown = " ".join(part for part in (name, f"<{email}>" if email else "") if part)
                people.setdefault(stream, []).append(shown or str(amo_id))
        for stream, users in people.items():
            args = {"stream": stream, "table": self._tables[stream], "number": len(users), "users": _listed(users)}
            found.append(Problem("W_USERS_UNMATCHED", args))
        tied = Counter[str]()
        for session in sessions:
            tied.update(session.tied_again)
        return found + [Problem("W_TIED_AGAIN", {"table": t, "number": n}) for t, n in tied.items() if n]

    def _odd_messages(self) -> list[Problem]:
        if not self.passed_over:
            return []
        args = {"number": self.passed_over.total(), "types": _listed(list(self.passed_over))}
        return [Problem("W_MESSAGES_PASSED_OVER", args)]

    def gap(self) -> Problem:
        """The notice that the run's starting state is unknown here, with the streams in which records may be
        missing."""
        streams = (self._bookmarks or self.input.streams) & self._tables.keys()
        return Problem("W_STATE_GAP", {"streams": ", ".join(s for s in self._tables if s in streams) or "all streams"})


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:_MOST_NAMED]) + (", ..." if len(names) > _MOST_NAMED else "")


def write_notices(connection: Connection, schema: str, run_id: int, notices: Iterable[Problem]) -> None:
    """Store the notices. The caller commits."""
    document = [notice.as_dict() for notice in notices]
    connection.execute(query("runs.sql", "write_notices", schema), (Jsonb(document), run_id))


def log_notices(notices: Iterable[Problem]) -> None:
    """Log the notices, with their remedies."""
    for notice in notices:
        if notice.code.startswith("W_"):
            logger.warning("%s %s", notice.text(), remedy_text(notice.code, notice.args))
