"""What joins the streams of a tap: links that are made of other streams, columns that come from the list of fields."""

from __future__ import annotations

from typing import Any

from tap_amocrm.declarations import CUSTOM_FIELDS
from tap_amocrm.shapes import Record
from tap_amocrm.streams.amo_tap import AmoTap
from tap_amocrm.streams.base import AmoStream
from tap_amocrm.streams.derived import DerivedStream
from tap_amocrm.streams.outgoing import Follower
from tap_amocrm.streams.whole import WholeStream


class JoinedTap(AmoTap):
    """A tap whose streams know of one another."""

    def followers(self, stream: str) -> tuple[Follower, ...]:
        """The selected streams that are made of what a stream's records embed."""
        return tuple(s.follower_of(stream) for s in self.derived() if stream in s.declared.parents)

    def derived(self) -> list[DerivedStream]:
        """The selected streams that are made of other ones."""
        return [s for s in self.streams.values() if isinstance(s, DerivedStream) and s.selected]

    def forget_links(self, gone: list[Record]) -> None:
        """Mark the links of what was deleted or merged away."""
        by_stream: dict[str, dict[int, Any]] = {}
        for record in gone:
            if record["deleted_at"]:
                by_stream.setdefault(record["entity_type"], {})[record["entity_id"]] = record["deleted_at"]
        for stream in self.derived():
            for name, ids in by_stream.items():
                stream.forget(name, ids)

    def use_columns(self) -> None:
        """Give each stream the columns of its custom fields, where those are asked for."""
        book = self.run.columns
        if book is None:
            return
        chosen = [s for s in self.streams.values() if isinstance(s, AmoStream) and s.columns is not None]
        kinds = {listing.entity_type for listing in CUSTOM_FIELDS.listings}
        defined = [s.name for s in chosen if s.selected and s.name in kinds]
        fields = self.streams[CUSTOM_FIELDS.name]
        assert isinstance(fields, WholeStream)
        if not (self.run.definitions.is_good(fields.name) and book.knows(defined)):
            book.define(fields.read_now())
        for stream in chosen:
            stream.use_columns()
