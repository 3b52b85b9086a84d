"""How far a stream has come, so that a run that is killed is continued by the next one instead of repeated."""

from __future__ import annotations

import time
from collections.abc import Callable

from tap_amocrm.positions import ListPosition, Position
from tap_amocrm.state import StreamBookmark, Unfinished

# A STATE leaves after this many pages: what a kill costs at most, beside what was read ahead. At amoCRM's pace it
# leaves sooner, after two pages, as long as that is not more often than twenty times a second.
_PAGES_BETWEEN_STATES = 8
_LEAST_PAGES, _LEAST_SECONDS = 2, 0.05


class Checkpoints:
    """The positions of one stream's lists behind the pages that have been written.

    Args:
        kept: The stream's part of the state.
        began: When the reading began, Unix seconds of the service; None while that is not known.
        since: The second from which on it reads, None for everything.
        scope: The digest of the scope that it reads.
        enabled: Whether this reading can be continued at all.
    """

    def __init__(
        self, kept: StreamBookmark, began: Callable[[], int | None], since: int | None, scope: str, *, enabled: bool
    ) -> None:
        self._kept, self._began, self._since, self._scope, self._enabled = kept, began, since, scope, enabled
        found = kept.unfinished
        if found is not None and not (enabled and found.scope == scope and found.since == since):
            found = None
        self._unfinished = kept.unfinished = found
        self._positions: dict[str, Position] = {}
        self._pages, self._kept_at = 0, time.monotonic()

    @property
    def interrupted(self) -> Unfinished | None:
        """The reading of an earlier run that this one continues."""
        return self._unfinished

    @property
    def lists(self) -> dict[str, ListPosition]:
        """How far the earlier run has read each list."""
        return {} if self._unfinished is None else self._unfinished.lists

    def forget(self) -> None:
        """Begin again instead of continuing."""
        self._unfinished = self._kept.unfinished = None

    def passed(self, listing: str, position: Position | None) -> bool:
        """A page has been written; whether it is time for a STATE."""
        if position is None or not self._enabled:
            return False
        self._positions[listing] = position
        self._pages += 1
        now = time.monotonic()
        soon = self._pages >= _LEAST_PAGES and now - self._kept_at >= _LEAST_SECONDS
        if self._pages < _PAGES_BETWEEN_STATES and not soon:
            return False
        self._pages, self._kept_at = 0, now
        return True

    def keep(self) -> bool:
        """Put the positions into the stream's part of the state; whether there are any."""
        began = self._began() if self._positions else None
        if began is None:
            return False
        lists = {**self.lists, **{name: position() for name, position in self._positions.items()}}
        self._kept.unfinished = Unfinished(began, self._since, self._scope, lists)
        return True

    def end(self) -> None:
        """All of the stream has been written."""
        self._positions.clear()
        self._unfinished = self._kept.unfinished = None
