"""How far a list has been read, as the state keeps it, so that a run can continue where an earlier one was
interrupted."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from itertools import chain
from typing import Any, NamedTuple

from tap_amocrm.shapes import whole


class Way(str, Enum):
    """The way in which a list is read."""

    # In order of ID, page by page.
    PAGES = "pages"
    # In order of ID, by pages that overlap.
    OVERLAP = "overlap"
    # By ranges of seconds of `updated_at`.
    KEYSET = "keyset"
    # Events, newest first.
    EVENTS = "events"
    # All of the list has been read.
    DONE = "done"


class PageBoundary(NamedTuple):
    """Between two pages of a full scan.

    Args:
        place: How many records there were in front of it.
        before: The last ID in front of it.
        behind: The first ID behind it.
        since: When the first of both pages was read, Unix seconds.
        until: When both were read.
    """

    place: int
    before: int
    behind: int
    since: float
    until: float


@dataclass(frozen=True)
class ListPosition:
    """How far a list has been read.

    Args:
        way: In which way.
        place: How many records (of events: pages) have been passed.
        last: The ID of the last record that was passed.
        sent, received: Between which times of the service the last page was read, Unix seconds.
        low: The second from which on records are read, where the list is narrowed to them.
        ranges: The seconds that have not been read yet, as pairs of first and last.
        boundaries: The page boundaries that have not been checked yet.
    """

    way: Way
    place: int = 0
    last: int = 0
    sent: float = 0.0
    received: float = 0.0
    low: int | None = None
    ranges: tuple[tuple[int, int], ...] = ()
    boundaries: tuple[PageBoundary, ...] = field(default=(), repr=False)

    def to_json(self) -> dict[str, Any]:
        """The position as the state keeps it."""
        document: dict[str, Any] = {"way": self.way.value}
        for name in ("place", "last", "low"):
            if getattr(self, name):
                document[name] = getattr(self, name)
        if self.received:
            document["read"] = [int(self.sent), int(self.received) + 1]
        if self.ranges:
            document["ranges"] = [list(pair) for pair in self.ranges]
        if self.boundaries:
            document["boundaries"] = packed_boundaries(self.boundaries)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> ListPosition:
        """The position in a state.

        Raises:
            ValueError: it can't be read.
        """
        place, last = _integers([document.get("place", 0), document.get("last", 0)])
        sent, received = _integers(document.get("read", [0, 0]))
        low = document.get("low")
        return cls(
            Way(document["way"]),
            place,
            last,
            sent,
            received,
            None if low is None else _integers([low])[0],
            tuple((first, end) for first, end in map(_integers, document.get("ranges", ()))),
            tuple(unpacked_boundaries(document.get("boundaries"))),
        )


# The position behind a page; worked out only when a STATE leaves.
Position = Callable[[], ListPosition]


def packed_boundaries(boundaries: Iterable[PageBoundary]) -> str:
    """Page boundaries as short text: some eight bytes each. Times are rounded to the whole seconds around them."""
    rows, last = [], (0, 0, 0)
    for b in boundaries:
        since, until = int(b.since), int(b.until) + 1
        rows.append((b.place - last[0], b.before - last[1], b.behind - b.before, since - last[2], until - since))
        last = (b.place, b.before, since)
    text = json.dumps(list(chain.from_iterable(zip(*rows, strict=True))), separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode())).decode("ascii")


def unpacked_boundaries(text: Any) -> Iterator[PageBoundary]:
    """The page boundaries of `packed_boundaries`; none for None.

    Raises:
        ValueError: the text is damaged.
    """
    if text is None:
        return
    try:
        numbers = json.loads(zlib.decompress(base64.b64decode(text)))
    except (TypeError, zlib.error) as error:
        raise ValueError from error
    count = len(_integers(numbers)) // 5
    columns = [numbers[i * count : (i + 1) * count] for i in range(5)]
    place = before = since = 0
    for step, before_step, gap, since_step, length in zip(*columns, strict=True):
        place, before, since = place + step, before + before_step, since + since_step
        yield PageBoundary(place, before, before + gap, since, since + length)


def _integers(values: Any) -> list[int]:
    found = [whole(value) for value in values] if isinstance(values, list) else [None]
    if None in found:
        raise ValueError
    return [value for value in found if value is not None]
