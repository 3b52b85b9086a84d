"""The runs of one input: one as a rule, and one after another where the tap follows an account without end.

A run that lasts for days could neither be undone nor seen to succeed. So the run of the first reading ends when
everything has been read once, and each later one after an hour, or when nothing has come for some minutes.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from target_crm.errors import OutcomeError
from target_crm.load.load import Load
from target_crm.singer_io.messages import read_state
from target_crm.singer_io.run_input import SCHEMA_KEY, state_digest

# How long the input of a pipe is silent before what is buffered is committed.
SILENCE_SECONDS = 1.0
LONGEST_RUN_SECONDS = 3600.0
# A run that wrote something ends when nothing has come for so long.
QUIET_SECONDS = 300.0
# How often what waits for rows, other records or a decision is looked at while the input continues.
_WAITING_SECONDS = 30.0


class LoadParts:
    """Keeps the open load of an input.

    Args:
        open_load: Opens a load that gives its states to a function.
        on_state: Takes each STATE that may leave.
        tell: Says what a load did, right before it ends while the input continues.
        on_end: Does what comes after such a load.
        clock: The monotonic clock.
    """

    def __init__(
        self,
        open_load: Callable[[Callable[[bytes], None]], Load],
        on_state: Callable[[bytes], None],
        tell: Callable[[Load], None],
        on_end: Callable[[Load], None],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._open_load, self._on_state, self._clock = open_load, on_state, clock
        self._tell, self._on_end = tell, on_end
        self._schemas: dict[str, dict[str, Any]] = {}
        self._last_state: bytes | None = None
        self._is_following = False
        self.load = open_load(self._let_go)
        self._began = self._came = self._looked = clock()

    def _let_go(self, state: bytes) -> None:
        self._last_state = state
        self._on_state(state)

    def schema(self, stream: str, schema: dict[str, Any]) -> None:
        """Take a SCHEMA; later runs of this input know it, too."""
        self._schemas[stream] = schema
        self.load.schema(stream, schema)

    def state(self, value: bytes) -> None:
        """Take a STATE; one of a tap that follows ends a turn, which is committed at once.

        Raises:
            As `Load.drain`.
        """
        held = self.load.holds_something
        self.load.state(value)
        if self.load.outcome.input.is_following and not self.load.settings.dry_run:
            self._came = self._clock() if held else self._came
            self._end_turn()

    def silence(self) -> None:
        """Nothing has come for a second.

        Raises:
            As `Load.drain`.
        """
        load = self.load
        if load.settings.dry_run:
            return
        if not self._is_following:
            if load.holds_something:
                load.hand_over()
        elif load.holds_something or self._clock() - self._looked > _WAITING_SECONDS:
            self._end_turn()

    def _end_turn(self) -> None:
        now = self._clock()
        waiting = now - self._looked > _WAITING_SECONDS
        if waiting:
            self._looked = now
        self.load.end_turn(waiting=waiting)
        is_first, self._is_following = not self._is_following, True
        is_quiet = now - self._came > QUIET_SECONDS and bool(self.load.counts_document())
        if is_first or is_quiet or now - self._began > LONGEST_RUN_SECONDS:
            self._next()

    def _next(self) -> None:
        """End the run, and continue in another one."""
        load, status, error, failure = self.load, "succeeded", None, None
        try:
            load.outcome.require_no_stream_rejected()
        except OutcomeError as fault:
            status, error, failure = "failed", str(fault), fault.problem
        self._tell(load)
        load.finish(status, error, failure, goes_on=True)
        self._on_end(load)
        self.load = self._open_load(self._let_go)
        self._began = self._clock()
        start = None if self._last_state is None else read_state(self._last_state)
        for stream, schema in self._schemas.items():
            marker = schema.get(SCHEMA_KEY)
            if isinstance(marker, dict) and isinstance(start, dict):
                schema = {**schema, SCHEMA_KEY: {**marker, "start_state": state_digest(start)}}
            self.load.schema(stream, schema)
        self.load.outcome.input.is_following = True
