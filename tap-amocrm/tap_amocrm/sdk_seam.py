"""The seam to the Singer SDK: the only module that touches what the SDK does not document as public.

Records leave this tap page by page (docs/performance.md), for which the SDK offers no public hook. What is overridden
or called is listed in SEAM; test_tap_sdk_seam.py compares the list with the installed SDK and names what changed.
"""

from __future__ import annotations

import logging
from abc import abstractmethod
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from types import FrameType
from typing import Any, ClassVar, cast

import click
from singer_sdk import Stream, Tap
from singer_sdk.exceptions import MappingError
from singer_sdk.helpers._catalog import get_selected_schema
from singer_sdk.helpers._classproperty import classproperty
from singer_sdk.helpers._state import StateWriter
from singer_sdk.mapper import SameRecordTransform
from singer_sdk.plugin_base import JSONSchemaValidator, SingerCommand, _ConfigInput
from singer_sdk.singerlib.encoding.base import GenericSingerWriter

__all__ = [
    "SEAM",
    "SEAM_ATTRIBUTES",
    "TESTED_WITH",
    "SeamStream",
    "SeamTap",
    "SeamWriter",
    "SingerCommand",
    "StateWriter",
]

# Versions of singer-sdk with which the whole test suite has passed.
TESTED_WITH = ("0.54.9",)
# Where in the SDK -> its parameters, or None for what is not a function.
SEAM: dict[str, str | None] = {
    "singer_sdk.tap_base:Tap.sync_all": "self",
    "singer_sdk.tap_base:Tap._handle_termination": "self, signum, frame",
    "singer_sdk.tap_base:Tap.load_state": "self, state",
    "singer_sdk.tap_base:Tap.setup_mapper": "self",
    "singer_sdk.plugin_base:PluginBase.setup_mapper": "self",
    "singer_sdk.tap_base:Tap.invoke": "about, about_format, config, state, catalog",
    "singer_sdk.plugin_base:PluginBase._validate_config": "self, raise_errors",
    "singer_sdk.plugin_base:PluginBase.cb_config": "ctx, param, value",
    "singer_sdk.plugin_base:PluginBase.append_builtin_config": "config_jsonschema",
    "singer_sdk.plugin_base:_ConfigInput": "config, parse_env",
    "singer_sdk.plugin_base:JSONSchemaValidator": None,
    "singer_sdk.plugin_base:SingerCommand": None,
    "singer_sdk.streams.core:Stream._sync_records": "self, context, write_messages",
    "singer_sdk.streams.core:Stream._generate_record_messages": "self, record",
    "singer_sdk.streams.core:Stream._generate_schema_messages": "self",
    "singer_sdk.streams.core:Stream._write_schema_message": "self",
    "singer_sdk.streams.core:Stream._increment_stream_state": "self, latest_record, context",
    "singer_sdk.streams.core:Stream._write_starting_replication_value": "self, context",
    "singer_sdk.streams.core:Stream._write_record_message": "self, record",
    "singer_sdk.streams.core:Stream._write_state_message": "self",
    "singer_sdk.streams.core:Stream.post_process": "self, row, context",
    "singer_sdk.streams.core:Stream.log": "self, message, args, level, kwargs",
    "singer_sdk.streams.core:Stream.get_sync_timer": "self",
    "singer_sdk.helpers._state:StateWriter.write_state": "self, state",
    "singer_sdk.helpers._catalog:get_selected_schema": "stream_name, schema, mask",
    "singer_sdk.helpers._classproperty:classproperty": None,
    "singer_sdk.mapper:PluginMapper.register_raw_stream_schema": "self, stream_name, schema, key_properties",
    "singer_sdk.mapper:SameRecordTransform": None,
    "singer_sdk.singerlib.encoding.base:GenericSingerWriter.serialize_message": "self, message",
    "singer_sdk.singerlib.encoding.base:GenericSingerWriter.write_message": "self, message",
}
# Attributes of a tap that the SDK sets in its constructors.
SEAM_ATTRIBUTES = ("_config", "_state_writer")
# What a subclass may override that the page-by-page way passes by.
_HOOKS = ("get_records", "post_process")
# What the expressions of a stream map raise.
_MAP_ERRORS = (ArithmeticError, AttributeError, LookupError, MappingError, TypeError, ValueError)

SeamWriter = GenericSingerWriter


class SeamTap(Tap):
    """A tap that frames the SDK's sync, ends on signals in its own way, and reads its settings by its own rules."""

    def use_state_writer(self, writer: StateWriter) -> None:
        """Let every STATE leave through this writer."""
        self._state_writer = writer

    def write_state(self) -> None:
        """Write the state, if it changed since the last STATE."""
        self._state_writer.write_state(self.state)

    @property
    def state_document(self) -> dict[str, Any]:
        """The state, to be changed in place."""
        return cast("dict[str, Any]", self.state)

    def setup_mapper(self) -> None:
        """Register the streams for stream maps. Those that are not selected get all their properties: the SDK leaves
        them none, and a map of all streams (`*`) then misses their keys."""
        super(Tap, self).setup_mapper()
        for entry in self.catalog.streams:
            name, schema = entry.stream or entry.tap_stream_id, entry.schema.to_dict()
            mask = entry.metadata.resolve_selection()
            selected = get_selected_schema(name, schema, mask) if mask[()] else schema
            self.mapper.register_raw_stream_schema(name, selected, entry.key_properties)

    def sync_all(self) -> None:  # type: ignore[misc]  # the SDK declares it final
        """Sync all streams."""
        self.sync_with(super().sync_all)

    @abstractmethod
    def sync_with(self, streams_in_turn: Callable[[], None]) -> None:
        """Do the sync; `streams_in_turn` is the SDK's loop over the streams."""

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        del frame
        self.end_on_signal(signum)

    @abstractmethod
    def end_on_signal(self, signum: int) -> None:
        """End the process after SIGTERM or SIGINT."""

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """Nothing: the SDK's settings that have an effect here are among ours."""

    def _validate_config(self, *, raise_errors: bool = True) -> list[str]:
        refused = JSONSchemaValidator(self.config_jsonschema).iter_errors(self._config)
        return self.check_settings(self._config, refused, raise_errors=raise_errors)

    @abstractmethod
    def check_settings(self, given: Mapping[str, Any], refused: Iterable[Any], *, raise_errors: bool) -> list[str]:
        """What is wrong with the settings; `refused` are the errors of their JSON schema."""

    @classproperty
    def _env_var_config(cls) -> dict[str, Any]:
        """Of the environment alone: the SDK would let the nearest `.env` win over it."""
        return cls.settings_from_environment()

    @classmethod
    @abstractmethod
    def settings_from_environment(cls) -> dict[str, Any]:
        """The settings that the environment holds."""

    @classmethod
    def cb_config(cls, ctx: click.Context, param: click.Option, value: tuple[str, ...]) -> _ConfigInput:
        """The settings that --config names."""
        del ctx, param
        config, environment = cls.settings_from_files(value)
        return _ConfigInput(config=config, parse_env=environment)

    @classmethod
    @abstractmethod
    def settings_from_files(cls, names: tuple[str, ...]) -> tuple[dict[str, Any], bool]:
        """The settings of the files that --config names, and whether the environment counts, too."""


class SeamStream(Stream):
    """A stream whose records may leave page by page instead of one by one through the SDK's loop."""

    # The class whose methods the page-by-page way replaces; subclasses that override them are honoured.
    page_writer: ClassVar[Any]

    @property
    def plain(self) -> bool:
        """Whether records leave as they are: no stream map, no property deselected, no hook of a subclass."""
        overridden = any(getattr(type(self), name) is not getattr(self.page_writer, name) for name in _HOOKS)
        return not overridden and not self.mapped and all(self.mask.values())

    @property
    def mapped(self) -> bool:
        """Whether a stream map changes the stream."""
        return not all(isinstance(m, SameRecordTransform) for m in self.stream_maps)

    @abstractmethod
    def write_pages(self) -> Iterator[int]:
        """Write all pages, and give the number of records of each."""

    @abstractmethod
    def began_at(self) -> float | None:
        """When reading began, Unix seconds by this machine's clock; None if it did not."""

    def write_record(self, record: dict[str, Any]) -> None:
        """Write one record as the SDK's loop does."""
        processed = self.post_process(record, None)
        if processed is not None:
            self._write_record_message(dict(processed))

    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[dict[str, Any], Any, Any]:
        """The SDK's loop, but for pages of records: no copy, no per-record bookkeeping.

        With stream maps, deselected properties or hooks of a subclass, and in dry runs, the SDK's own loop does it.
        """
        if context or not self.plain or not write_messages or not self.selected or self.ABORT_AT_RECORD_COUNT:
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer() as timer:
            for count in self.write_pages():
                counter.increment(count)
            # Streams are read before their turn: what counts is the time since the first request.
            timer.start_time = self.began_at() or timer.start_time
        self._write_state_message()

    def _generate_record_messages(self, record: dict[str, Any]) -> Generator[Any, None, None]:
        identity = record.get("id")
        try:
            yield from super()._generate_record_messages(record)
        except _MAP_ERRORS as error:
            raise self.map_error(identity, error) from None

    @abstractmethod
    def map_error(self, identity: Any, error: Exception) -> Exception:
        """The error to raise where a stream map fails on the record with this ID."""

    def holds_schema_back(self) -> bool:
        """Whether nothing of the stream may leave for now: targets that replace tables empty one whose SCHEMA comes."""
        return False

    def write_schema(self) -> None:
        """Write the stream's SCHEMA outside its own turn."""
        self._write_schema_message()

    def _generate_schema_messages(self) -> Generator[Any, None, None]:
        if self.holds_schema_back():
            return
        for message in super()._generate_schema_messages():
            message.schema = self.complete_schema(message.schema)
            yield message

    def schema_lines(self) -> bytes:
        """The stream's SCHEMA as it would be written."""
        messages, writer = self._generate_schema_messages(), self._tap.message_writer
        return b"".join(writer.serialize_message(message) + b"\n" for message in messages)

    def use_schema(self, schema: dict[str, Any]) -> None:
        """Take another schema than the stream, or the catalog, had; stream maps and selection then apply to it."""
        self._schema = schema
        if self._input_schema is not None:
            self._input_schema = schema
        else:
            root = self.metadata.root
            self._metadata = self._mask = None
            self.metadata[()] = root
        mapper = self._tap._mapper
        if mapper is not None:
            selected = get_selected_schema(self.name, schema, self.mask)
            mapper.register_raw_stream_schema(self.name, selected, self.primary_keys)
            self._stream_maps = None

    @abstractmethod
    def complete_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """The schema of a SCHEMA message, with keywords beside the SDK's."""

    def log(self, message: str, *args: Any, level: int = logging.INFO, **kwargs: Any) -> None:
        """The SDK's log without its line on an unhandled error: the error itself says all, once."""
        if "unhandled error" not in message:
            super().log(message, *args, level=level, **kwargs)

    def _increment_stream_state(self, latest_record: Any, *, context: Mapping[str, Any] | None = None) -> None:
        """The bookmark moves once, at the end of the stream."""

    def _write_starting_replication_value(self, context: Mapping[str, Any] | None) -> None:
        """The bookmark in the state is the starting value; nothing else is kept there."""
