"""One input of Singer messages, loaded: records go to the load, STATE leaves once all before it is committed."""

from __future__ import annotations

import gc
import logging
import sys
from collections import Counter
from collections.abc import Callable
from typing import IO, TYPE_CHECKING, Any

import msgspec
import psycopg
from singer_sdk.exceptions import InvalidInputLine, RecordsWithoutSchemaException

from target_crm.config.database_url import without_secrets
from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.errors import as_sentence
from target_crm.errors import (
    IncompleteInputError,
    Interrupted,
    MappingError,
    MessageError,
    OutcomeError,
    RefusedMessageError,
    VerificationInputError,
)
from target_crm.load.load import Load
from target_crm.load.outcome import log_notices
from target_crm.load.parts import SILENCE_SECONDS, LoadParts
from target_crm.load.summary import counts_table, waiting_sentence
from target_crm.problems import Problem
from target_crm.singer_io.messages import Message, decode_message, read_lines_and_silences
from target_crm.singer_io.run_input import is_verification

if TYPE_CHECKING:
    from target_crm.load.comparison import Comparison
    from target_crm.plan.journal import Plan

logger = logging.getLogger("target-crm")
# Open issues are counted up to this.
_MOST_WAITING = 10_000
# So much of the type of a message that is not one of Singer's is kept.
_LONGEST_TYPE = 40


class InputLoad:
    """The load of one input.

    Args:
        settings: The checked settings.
        on_plan: Takes the plan of a dry run, and how to see what is left out of it; left out: it is shown and kept.
        plan_limit: As in `read_plan`.
        comparison: Only compare, and make no plan.
        on_compared: Called when all is merged for a comparison, before it is rolled back.
    """

    def __init__(
        self,
        settings: Settings,
        on_plan: Callable[[Plan, str], None] | None = None,
        plan_limit: int = 200,
        comparison: Comparison | None = None,
        on_compared: Callable[[Load], None] = lambda _: None,
    ) -> None:
        self._settings, self._on_plan, self._plan_limit = settings, on_plan, plan_limit
        self._comparison, self._on_compared = comparison, on_compared
        self._schemas: set[str] = set()
        self._skipped: Counter[str] = Counter()
        self._planned: tuple[Plan, str] | None = None

    def _plan(self, load: Load) -> None:
        """Read the plan of the load while its transaction is open, with the names that only exist in it."""
        from target_crm.operations.plan_words import NamedPlan
        from target_crm.operations.session import session_over
        from target_crm.plan.dry_run import finish_dry_run

        plan, hint = finish_dry_run(load, self._settings, self._plan_limit, keep=self._on_plan is None)
        plan.words = NamedPlan(session_over(self._settings, load.connection, load.run.live), plan)
        self._planned = plan, hint

    def show_plan(self) -> None:
        """The plan of a dry run is the last thing that is said."""
        if self._planned is not None:
            from target_crm.plan.dry_run import show_plan

            (self._on_plan or show_plan)(*self._planned)
            self._planned = None

    def load_lines(self, file_input: IO[Any]) -> Counter[str]:
        """Load all messages of a file; how many there were of each type.

        Raises:
            TargetError: with one sentence on what is wrong and what to do.
        """
        stats: Counter[str] = Counter()
        settings = self._settings
        _collect_seldom()
        with Database(settings) as database:
            parts = LoadParts(
                lambda on_state: _open_load(settings, database, self._comparison, on_state),
                _write_state,
                self._tell,
                lambda load: self._apply_rules(load, database),
            )
            status, error, failure = "failed", None, None
            try:
                number = 0
                for line in read_lines_and_silences(file_input, SILENCE_SECONDS):
                    if line is None:
                        parts.silence()
                        continue
                    number += 1
                    self._take(parts, line, number, stats)
                load = parts.load
                load.outcome.expects_input = True
                load.outcome.input.messages = sum(stats.values())
                load.drain()
                if self._comparison is not None:
                    load.outcome.input.require_end()
                    self._on_compared(load)
                    return stats
                if settings.dry_run:
                    self._plan(load)
                self._tell(load)
                load.outcome.require_good()
                status = "succeeded"
            except (Interrupted, KeyboardInterrupt):
                status, failure = "interrupted", Problem("E_RUN_STOPPED")
                error = failure.text()
                raise
            except OutcomeError as fault:
                status = "incomplete" if isinstance(fault, IncompleteInputError) else "failed"
                self.show_plan()
                raise
            except psycopg.Error as fault:
                told = as_sentence(fault)
                error, failure = str(told), told.problem
                raise told from None
            except Exception as fault:
                error, failure = without_secrets(str(fault)), getattr(fault, "problem", None)
                raise
            finally:
                parts.load.finish(status, error, failure)
            self._apply_rules(parts.load, database)
        return stats

    def _apply_rules(self, load: Load, database: Database) -> None:
        """Let the standing rules decide on the conflicts of a run."""
        if not self._settings.dry_run and any(c.get("conflicts") for c in load.counts_document().values()):
            from target_crm.operations.rules import apply_after_load

            apply_after_load(self._settings, database, load.run_id)

    def _tell(self, load: Load) -> None:
        for stream, count in self._skipped.items():
            logger.warning("Stream %s is not mapped: %d records were skipped.", stream, count)
        log_notices(load.notices())
        if not load.settings.dry_run:
            self._sum_up(load)

    def _sum_up(self, load: Load) -> None:
        """The end of a load for a person: a small table, and what waits. Programs get the counts beside the message."""
        from target_crm.operations.labels import natural_order
        from target_crm.operations.overview import count_waiting
        from target_crm.operations.session import Session

        counts = load.counts_document()
        session = Session(load.settings, load.connection, {live.mapping.table: live for live in load.run.live.values()})
        waiting = count_waiting(session, _MOST_WAITING)
        read = sum(numbers.get("read", 0) for numbers in counts.values())
        lines = [
            f"{read:,} records read.",
            *counts_table(counts, natural_order(session, counts)),
            waiting_sentence(waiting, _MOST_WAITING),
        ]
        document = {"run": load.run_id, "counts": counts, "waiting": waiting}
        logger.info("Run %d: %s", load.run_id, "\n".join(lines), extra=document)

    def _take(self, parts: LoadParts, line: bytes, number: int, stats: Counter[str]) -> None:
        load = parts.load
        try:
            message = decode_message(line, number)
        except MessageError as error:
            load.reject(None, line, error.problem)
            return
        stats[message.type] += 1
        if message.type == "RECORD":
            self._record(load, message, number)
        elif message.type == "SCHEMA":
            self._schema(parts, message, number)
        elif message.type == "STATE":
            parts.state(bytes(message.value))
        elif message.type == "ACTIVATE_VERSION":
            logger.debug("ACTIVATE_VERSION is ignored: deletions come from the stream deleted_records.")
        elif message.type == "BATCH":
            # Its records are in files that the tap may remove: no STATE may leave behind it.
            load.hand_over()
            raise RefusedMessageError.of("E_MESSAGE_BATCH", line=number)
        else:
            load.outcome.passed_over[message.type[:_LONGEST_TYPE]] += 1

    def _record(self, load: Load, message: Message, number: int) -> None:
        stream, record = message.stream, bytes(message.record)
        if stream is None or not record:
            load.reject(stream, record, Problem("E_MESSAGE_INCOMPLETE", {"line": number}))
            return
        if stream not in self._schemas:
            msg = f"Line {number}: a record of stream {stream} came before its SCHEMA."
            raise RecordsWithoutSchemaException(msg)
        if load.knows(stream):
            load.add(stream, record)
        elif self._comparison is not None:
            self._comparison.passed[stream] += 1
        elif stream not in load.mapping.ignored:
            self._skipped[stream] += 1

    def _schema(self, parts: LoadParts, message: Message, number: int) -> None:
        stream, load = message.stream, parts.load
        if stream is None or not bytes(message.schema):
            msg = f"Line {number}: a SCHEMA message needs stream and schema."
            raise InvalidInputLine(msg)
        schema = msgspec.json.decode(message.schema)
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            msg = f"Line {number}: the SCHEMA of stream {stream} has no properties."
            raise InvalidInputLine(msg)
        if self._comparison is None and is_verification(schema):
            raise VerificationInputError.of("E_INPUT_OF_VERIFICATION")
        self._schemas.add(stream)
        unmapped = not load.knows(stream) and stream not in load.mapping.ignored
        if unmapped and load.settings.unmapped_streams == "fail":
            raise MappingError.of("E_STREAM_REFUSED", stream=stream)
        parts.schema(stream, schema)


def _collect_seldom() -> None:
    """Records are made of many small objects and of no cycles: looking for these took a third of the time."""
    gc.freeze()
    gc.set_threshold(200_000, 50, 1000)


def _write_state(state: bytes) -> None:
    """STATE goes to standard output, and nothing else does."""
    sys.stdout.write(state.decode() + "\n")
    sys.stdout.flush()


def _open_load(
    settings: Settings, database: Database, comparison: Comparison | None, on_state: Callable[[bytes], None]
) -> Load:
    try:
        return Load.open(settings, database, on_state=on_state, comparison=comparison)
    except psycopg.Error as fault:
        raise as_sentence(fault) from None
