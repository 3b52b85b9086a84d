"""How records leave: their types, columns of custom fields, and what is made of them for other streams."""

from __future__ import annotations

from array import array
from collections.abc import Callable
from functools import cached_property
from typing import Any, ClassVar

from tap_amocrm.api.conform import Conformer
from tap_amocrm.api.field_columns import FIELDS, Columns
from tap_amocrm.declarations import Declaration
from tap_amocrm.errors import StreamMapError
from tap_amocrm.moments import rfc3339_now
from tap_amocrm.sdk_seam import SeamStream
from tap_amocrm.shapes import Record
from tap_amocrm.singer_io.run_marker import SCHEMA_KEY
from tap_amocrm.singer_io.writer import encode_records, write_lines
from tap_amocrm.streams.amo_tap import AmoTap
from tap_amocrm.streams.outgoing import Follower, Prepared


class WritingStream(SeamStream):
    """The half of a stream that writes; `tap_amocrm.streams.base` has the one that reads."""

    declared: ClassVar[Declaration]

    def __init__(self, tap: AmoTap) -> None:
        super().__init__(tap, schema=self.declared.schema, name=self.name)
        self.amo = tap
        self._conform = Conformer(self.schema)
        # The ids of all records of a reading from the beginning; None for any other reading.
        self.sent: array[int] | None = None
        # Is given what leaves outside the stream's own turn, in a following process.
        self.wrote: Callable[[list[Record]], object] = len

    @cached_property
    def followers(self) -> tuple[Follower, ...]:
        """The streams that are made of what this one's records embed."""
        return self.amo.followers(self.name)

    @cached_property
    def columns(self) -> Columns | None:
        """The columns of custom fields; None where those leave as an array."""
        book = self.amo.run.columns
        return book.of(self.name) if book is not None and FIELDS in self.declared.properties else None

    @property
    def plain(self) -> bool:
        """Whether the stream's records and those that are made of them leave as they are."""
        return super().plain and all(follower.plain for follower in self.followers)

    def encoded(self, records: list[Record]) -> bytes:
        """Records as messages."""
        return self._lines(records, self._prepare(records))

    def _lines(self, records: list[Record], ready: Prepared) -> bytes:
        """Messages of a page; behind the stream's new SCHEMA where the page needs one."""
        schema = self.schema_lines() if ready.new_schema else b""
        return schema + encode_records(self.name, records, rfc3339_now())

    def _ready_to_write(self, records: list[Record]) -> Prepared:
        """A page that is about to be written; the SCHEMA that it needs is."""
        ready = self._prepare(records)
        if ready.new_schema:
            self.use_columns()
            self.use_schema(self._conform.within(self.effective_schema))
            self.write_schema()
        return ready

    def use_columns(self) -> None:
        """Put the columns of custom fields into the schema, instead of the array."""
        if self.columns is not None:
            self.use_schema(self.columns.within(self.effective_schema))

    def _prepare(self, records: list[Record]) -> Prepared:
        """What happens to all records before they leave: their types, counts, unknown users and fields, columns."""
        wider = self._conform(records)
        if self.sent is not None:
            self.sent.extend(i for r in records if (i := r.get("id")).__class__ is int and 0 < i < 1 << 63)
        run = self.amo.run
        run.metrics.read(self.name, len(records))
        run.definitions.watch(self.name, records)
        run.session.progress.advance(self.name, len(records))
        derived = [follower.derive(records) for follower in self.followers]
        new_columns = self.columns is not None and self.columns.flatten(records)
        return Prepared(wider or new_columns, derived)

    def write(self, records: list[Record]) -> None:
        """Write records of this stream at once, outside its own turn."""
        self.wrote(records)
        ready = self._ready_to_write(records)
        if self.plain:
            write_lines(encode_records(self.name, records, rfc3339_now()))
        else:
            for record in records:
                self.write_record(record)
        for derived in ready.derived:
            derived.write()

    def map_error(self, identity: Any, error: Exception) -> StreamMapError:
        """The record is named; the error's own text may hold a value of it."""
        return StreamMapError(
            f"Setting stream_maps: stream {self.name}, record {identity}: an expression fails "
            f"({type(error).__name__}). The usual cause is a null value; str(name) accepts one."
        )

    def complete_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema with the account, which run this is, columns that have turned up, and types that came."""
        annotations: dict[str, Any] = {
            "x-amocrm-account": self.amo.run.account.annotation(self.amo.run.settings.api_url),
            SCHEMA_KEY: self.amo.marker.in_schema(scoped=self.amo.run.settings.scoped),
        }
        if self.columns is not None:
            annotations["x-amocrm-custom-fields"] = self.amo.run.settings.custom_fields
            schema = self.columns.within(schema) if self.plain else schema
        if self.plain:
            schema = self._conform.within(schema)
        return {**schema, **annotations}
