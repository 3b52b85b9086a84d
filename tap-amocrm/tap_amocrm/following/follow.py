"""The turns of a following process: look what has changed, read it, let a STATE follow; docs/follow.md.

Each turn reads some streams as a separate run would: from their bookmarks, with the same windows, deletions,
restores, merges and links. What events and webhooks say only decides what is read first.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from tap_amocrm.declarations import DELETED_RECORDS, EVENTS
from tap_amocrm.errors import ApiError, PausedError, UnreachableError
from tap_amocrm.following.brought import Brought
from tap_amocrm.following.freshness import Freshness
from tap_amocrm.following.named import Named, read_named
from tap_amocrm.following.readings import Readings, is_whole
from tap_amocrm.following.schedule import LONGEST, SHORTEST_OF_EVENTS, Schedule
from tap_amocrm.following.watch import EventWatch
from tap_amocrm.hooks.hints import Hint
from tap_amocrm.http.allowance import Allowance
from tap_amocrm.run_context import Run
from tap_amocrm.singer_io.writer import Interrupted
from tap_amocrm.streams.base import REFUSED, AmoStream
from tap_amocrm.streams.derived import DerivedStream

logger = logging.getLogger("tap-amocrm")
# Requests that may leave at once after a quiet time, in seconds of the allowance.
_SECONDS_SAVED_UP = 5.0
# Seconds between two looks at the events: while there are new ones, and at most.
_LOOK_SOON, _LOOK_LATE = 1.5, 4.0
_HINTED_SECONDS = 30.0
# For so long webhooks go before streams that are due; then one of these is read, however many hints wait.
_MOST_SECONDS_OF_HINTS = 2.0
# How often the queue of webhooks is looked at, where nothing tells of new hints.
_QUEUE_SECONDS = 0.25
_LINE_SECONDS = 60.0
# A STATE leaves after each turn that brought records, and this often while nothing changes.
_STATE_SECONDS = 60.0
_ACCOUNT_SECONDS = 300.0
# After a request that had no answer in all its tries.
_FIRST_PAUSE, _LONGEST_PAUSE = 10.0, 300.0
_OF_EVENTS = {EVENTS.name, DELETED_RECORDS.name}


class Clock:
    """The time by which turns are planned."""

    def now(self) -> float:
        """The monotonic clock, seconds."""
        return time.monotonic()

    def wait(self, seconds: float, pass_time: Callable[[float], object] = time.sleep) -> None:
        """Let some seconds pass, by `pass_time`, which may end sooner; a signal ends them."""
        pass_time(seconds)


class EndTurn(Protocol):
    """Does what comes at the end of a turn."""

    def __call__(self, *, changed: bool) -> None:
        """With `changed` a STATE leaves."""
        ...


def follow(
    chosen: Sequence[AmoStream], run: Run, use: Callable[[Run], None], end_turn: EndTurn, clock: Clock | None = None
) -> None:
    """Read in turns until a signal comes, which is a good end.

    Args:
        chosen: The selected streams, parents before their children.
        run, use, end_turn, clock: As of `Follow`.

    Raises:
        TapError: as `Follow.run_on`.
    """
    queue = run.session.queue
    named = None if queue is None else Named(queue)
    derived = [stream for stream in chosen if isinstance(stream, DerivedStream)]
    # From here on there is nothing to come to the end of, and a line for each request would fill the log.
    run.session.progress.close()
    run.session.singer_metrics.writes_lines = False
    try:
        streams = [stream for stream in chosen if stream not in derived]
        Follow(streams, derived, run, use, end_turn, named, clock).run_on()
    except Interrupted:
        logger.info("Stopped by a signal: following has ended, and the state has been written.")
    finally:
        if named is not None:
            named.close()


class Follow:
    """Reads in turns until a signal ends the process.

    Args:
        streams: The selected streams, parents before their children.
        derived: Streams that are made of these.
        run: The run that has read everything; each turn has one of its own.
        use: Takes the run of a turn.
        end_turn: Does what comes at the end of each turn.
        named: The hints of webhooks, None without a queue.
        clock: Plans the turns.
    """

    def __init__(
        self,
        streams: Iterable[AmoStream],
        derived: Iterable[AmoStream],
        run: Run,
        use: Callable[[Run], None],
        end_turn: EndTurn,
        named: Named | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._streams = {stream.name: stream for stream in streams}
        self._run, self._use, self._end_turn, self._named = run, use, end_turn, named
        self._clock = clock or Clock()
        client, settings = run.client, run.settings
        rate = settings.follow_request_share * settings.requests_per_second
        most = max(3.0, rate * _SECONDS_SAVED_UP)
        self._allowance = client.allowance = Allowance(rate, most)
        # What webhooks name must not wait for what others have taken: half of what can be saved up is left to them. A
        # reading of several lists waits for requests enough, as far as they can be had.
        self._spare = 0.0 if named is None else most / 2
        self._most_for_reading = min(3.0, most / 2 - 0.1)
        self._freshness = Freshness(client.now)
        whole = [name for name, stream in self._streams.items() if is_whole(stream)]
        incremental = [name for name in self._streams if name not in whole]
        now = self._clock.now()
        self._schedule = Schedule(incremental, whole, _OF_EVENTS, now, together=settings.scoped)
        if EVENTS.name in self._schedule.paces:
            self._schedule.paces[EVENTS.name].gap = SHORTEST_OF_EVENTS
        self._brought = Brought()
        self._watch: EventWatch | None = None if run.memory.events_refused else EventWatch(client, self._brought)
        if self._watch is None:
            self._schedule.without_events()
        self._look_at, self._look_every, self._hinted_at = now, _LOOK_SOON, -_HINTED_SECONDS
        self._account_at, self._line_at, self._state_at = now + _ACCOUNT_SECONDS, now + _LINE_SECONDS, now
        # When a stream was read in its turn, or none was due.
        self._read_at = now
        self._began, self._pause, self._turns = now, _FIRST_PAUSE, 0
        self._requests_before = self._requests_at_line = run.metrics.requests
        self._readings = Readings(
            self._streams, tuple(derived), self._schedule, self._freshness, self._clock.now, self._allowance.rate
        )

    def run_on(self) -> None:
        """Read in turns; never returns, a signal or an error ends it.

        Raises:
            TapError: what another try does not mend: the token is refused, the address is blocked.
        """
        logger.info(
            "Following: everything has been read once. From here on changes are read as they occur, with at most %.2f "
            "requests a second.",
            self._allowance.rate,
        )
        self._run.metrics.follow = self.document
        while True:
            try:
                worked = self._turn()
            except PausedError as error:
                self._rest(float(error.parameters["seconds"]) + 1, error)
            except UnreachableError as error:
                self._rest(self._pause, error)
                self._pause = min(self._pause * 2, _LONGEST_PAUSE)
            else:
                self._pause = _FIRST_PAUSE
                if not worked:
                    self._clock.wait(self._idle(), time.sleep if self._named is None else self._named.wait)

    def _rest(self, seconds: float, error: Exception) -> None:
        """The service can't be asked at the moment; nothing is lost meanwhile, bookmarks stay."""
        logger.warning("%s Following goes on in %.0f s.", error, seconds)
        self._clock.wait(seconds)
        self._run.client.restart()

    def _idle(self) -> float:
        """Seconds until there is something to do."""
        now = self._clock.now()
        due = self._schedule.next
        if due <= now:  # something is due, but nothing is left to ask for it with
            price = 1 if self._named is None else self._schedule.price(self._most_for_reading)
            due = now + (price + self._spare - self._allowance.left) / self._allowance.rate
        moments = [due, self._line_at, self._state_at + _STATE_SECONDS]
        if self._watch is not None:
            moments.append(self._look_at)
        if self._named is not None:
            moments.append(now + _QUEUE_SECONDS)
        return min(max(0.02, min(moments) - now), LONGEST)

    def _turn(self) -> bool:
        """Do what is due; whether anything was read."""
        now = self._clock.now()
        if now >= self._line_at:
            self._tell(now)
        looks = self._watch is not None and now >= self._look_at
        if self._schedule.next > now:
            self._read_at = now
        starved = now - self._read_at > _MOST_SECONDS_OF_HINTS
        due = self._due(now, looks=looks, starved=starved)
        if self._named is not None and not (starved and (looks or due)):
            number, hints = self._named.take()
            if hints:
                self._read_hinted(hints, now)
                self._named.done(number)
                return True
        if not looks and not due:
            if now >= self._state_at + _STATE_SECONDS:
                self._end(now, changed=False)
            return False
        changes = self._freshness.changes
        self._begin(now, ask=now >= self._account_at)
        if looks:
            self._look(now)
            due = self._due(now, looks=self._named is not None)
        if due:
            self._read_at = now
            self._readings.read(self._run, due)
        self._end(now, changed=self._freshness.changes > changes or any(is_whole(self._streams[n]) for n in due))
        return True

    def _due(self, now: float, *, looks: bool, starved: bool = False) -> list[str]:
        """The streams of this turn. With webhooks, which must not wait, it is one stream, or the events; a `starved`
        one is read whatever is left."""
        left = self._allowance.left - self._spare
        if self._named is None:
            return self._schedule.due(now, left - looks)
        return [] if looks else self._schedule.first(now, math.inf if starved else left, self._most_for_reading)

    def _read_hinted(self, hints: list[Hint], now: float) -> None:
        """Read what webhooks name, before anything else that is due; the STATE behind it lets the target commit."""
        self._hinted_at = now
        self._begin(now, ask=False)
        changes = self._freshness.changes
        left = read_named(self._run, self._streams, hints, self._brought)
        self._end(now, changed=self._freshness.changes > changes)
        deletions = self._schedule.paces.get(DELETED_RECORDS.name)
        if DELETED_RECORDS.name in left and deletions and deletions.earliest <= now and not self._run.settings.scoped:
            left.remove(DELETED_RECORDS.name)
            changes = self._freshness.changes
            self._readings.read(self._run, [DELETED_RECORDS.name])
            self._end(now, changed=self._freshness.changes > changes)
        self._schedule.wake(left, now)

    def _begin(self, now: float, *, ask: bool) -> None:
        """A turn has a separate run; with `ask` the account is read again."""
        self._turns += 1
        client = self._run.client
        client.clock.begin_turn()
        if ask:
            self._account_at = now + _ACCOUNT_SECONDS
        self._run = self._run.again(ask_account=ask)
        self._use(self._run)

    def _look(self, now: float) -> None:
        """See what the events say."""
        assert self._watch is not None
        try:
            deletions = self._streams.get(DELETED_RECORDS.name)
            found = self._watch.look(set(() if deletions is None else deletions.kept.seen or ()))
        except ApiError as error:
            if error.status not in REFUSED:
                raise
            logger.warning("Events can't be read (%s); lists are read more often instead.", error)
            self._watch = None
            self._schedule.without_events()
            return
        self._schedule.wake(found, now)
        # While webhooks come, their records have been read already.
        hinted = now - self._hinted_at < _HINTED_SECONDS
        self._look_every = _LOOK_SOON if found and not hinted else min(_LOOK_LATE, self._look_every * 1.3)
        self._look_at = now + self._look_every

    def _end(self, now: float, *, changed: bool) -> None:
        """A turn ends."""
        if changed or now >= self._state_at + _STATE_SECONDS:
            self._state_at = now
            self._end_turn(changed=True)
        else:
            self._end_turn(changed=False)

    def _tell(self, now: float) -> None:
        """The line of each minute, and the metrics file."""
        metrics = self._run.metrics
        requests, self._requests_at_line = metrics.requests - self._requests_at_line, metrics.requests
        seconds = now - (self._line_at - _LINE_SECONDS)
        self._line_at = now + _LINE_SECONDS
        logger.info(
            "Following: %s; %d requests in %.0f s.", self._freshness.line(), requests, seconds,
            extra={"follow": json.dumps(self.document())},
        )  # fmt: skip
        metrics.keep_recent()
        self._run.write_metrics()

    def document(self) -> dict[str, object]:
        """For the metrics: what has been followed, how fresh it left, and what that cost."""
        seconds = max(self._clock.now() - self._began, 1e-9)
        requests = self._run.metrics.requests - self._requests_before
        return {
            "duration_seconds": round(seconds, 3),
            "turns": self._turns,
            "requests": requests,
            "average_rps": round(requests / seconds, 3),
            "share": round(requests / seconds / self._run.settings.requests_per_second, 4),
            "hints": 0 if self._named is None else self._named.hints,
            "remembered_versions": self._readings.remembered,
            "intervals": {name: round(pace.interval, 1) for name, pace in self._schedule.paces.items()},
            **self._freshness.document(),
        }
