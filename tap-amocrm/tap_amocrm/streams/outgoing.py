"""What a page of records takes along on its way out: new columns, and records of other streams that are made of it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple, Protocol

from tap_amocrm.shapes import Record
from tap_amocrm.state import StreamBookmark
from tap_amocrm.streams.sent_links import Links


class Follower(Protocol):
    """A stream that is made of what the records of another one embed."""

    @property
    def kept(self) -> StreamBookmark:
        """Its part of the state."""
        ...

    @property
    def plain(self) -> bool:
        """Whether its records leave as they are."""
        ...

    def announce(self) -> None:
        """Write its SCHEMA, if that has not been done."""
        ...

    def derive(self, records: Iterable[Record]) -> Derived:
        """Its records of these owners."""
        ...

    def encoded(self, records: list[Record]) -> bytes:
        """Records as messages."""
        ...

    def write(self, records: list[Record]) -> None:
        """Write records at once."""
        ...

    def written(self, sent: Links) -> None:
        """Take note of what has been written."""
        ...

    def begin_owners(self) -> None:
        """The owners are read once more."""
        ...

    def mark_unseen(self) -> None:
        """All owners have been read."""
        ...

    def follow(self, owner: StreamBookmark) -> None:
        """Take over the bookmark of its owners."""
        ...

    def keep_position(self) -> None:
        """Put into the state what has been written."""
        ...


class Derived(NamedTuple):
    """Records of a stream that are made of a page of another one, and what the target then holds of their owners."""

    stream: Follower
    records: list[Record]
    sent: Links

    def encoded(self) -> bytes:
        """The records as messages; `written` is called once they are out."""
        return self.stream.encoded(self.records)

    def written(self) -> None:
        """The records have been written."""
        self.stream.written(self.sent)

    def write(self) -> None:
        """Write the records at once."""
        if self.records:
            self.stream.write(self.records)
        self.written()


class Prepared(NamedTuple):
    """A page that is ready to leave: whether it needs another SCHEMA than what left before, and what is made of it."""

    new_schema: bool
    derived: list[Derived]
