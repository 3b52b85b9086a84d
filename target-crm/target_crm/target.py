"""The Singer target: reads messages, hands records to the load, lets STATE go once all before it is committed."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from types import FrameType
from typing import IO, Any

import msgspec
import psycopg
from rich.console import Console
from singer_sdk import Sink, Target
from singer_sdk.exceptions import InvalidInputLine, RecordsWithoutSchemaException

from target_crm import __version__
from target_crm.config import CONFIG_JSONSCHEMA, Settings
from target_crm.database import Database, without_secrets
from target_crm.errors import DatabaseError, MappingError, MessageError, TargetError
from target_crm.load import Load
from target_crm.messages import Message, decode_message, read_lines
from target_crm.plan import print_plan, read_plan

logger = logging.getLogger("target-crm")


class _Interrupted(BaseException):
    """SIGTERM or Ctrl-C."""


class TargetCRM(Target):
    """amoCRM's records into a CRM's PostgreSQL by a three-way soft update."""

    name = "target-crm"
    package_name = "target-crm"
    plugin_version = __version__
    config_jsonschema = CONFIG_JSONSCHEMA
    default_sink_class = Sink

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._state: bytes | None = None
        self._schemas: set[str] = set()
        self._skipped: Counter[str] = Counter()
        self._load: Load | None = None

    @classmethod
    def append_builtin_config(cls, config_jsonschema: dict[str, Any]) -> None:
        """No built-in settings of the SDK apply: records go past its per-record path (docs/decisions.md)."""

    def process_lines(self, file_input: IO[Any] | None) -> Counter[str]:
        """Load all messages of a file, or of standard input.

        Raises:
            TargetError: with one sentence on what is wrong and what to do.
        """
        stats: Counter[str] = Counter()
        settings = Settings.from_config(self.config)
        with Database(settings) as database:
            self._load = load = Load(settings, database)
            status, error = "failed", None
            try:
                for number, line in enumerate(read_lines(file_input or sys.stdin), 1):
                    self._take(load, line, number, stats)
                self._drain(load)
                status = "succeeded"
                if settings.dry_run:
                    plan = read_plan(load.connection, settings.crm_schema, load.run_id, load.counts_document())
                    print_plan(plan, Console(stderr=True))
            except (_Interrupted, KeyboardInterrupt):
                status, error = "interrupted", "stopped by a signal"
                raise
            except psycopg.OperationalError as fault:
                error = f"The database went away: {without_secrets(str(fault))} What was committed stays; run again."
                raise DatabaseError(error) from None
            except psycopg.Error as fault:
                error = without_secrets(str(fault))
                raise DatabaseError(f"The database refused a statement: {error}") from None
            except Exception as fault:
                error = without_secrets(str(fault))
                raise
            finally:
                load.finish(status, error)
                self._load = None
        for stream, count in self._skipped.items():
            logger.warning("Stream %s is not mapped: %d records were skipped.", stream, count)
        logger.info("Run %d: %s", load.run_id, load.counts_document())
        return stats

    def process_endofpipe(self) -> None:
        """All is committed by the end of `process_lines`."""

    def _take(self, load: Load, line: bytes, number: int, stats: Counter[str]) -> None:
        try:
            message = decode_message(line, number)
        except MessageError as error:
            load.reject(None, line, str(error))
            return
        stats[message.type] += 1
        if message.type == "RECORD":
            self._record(load, message, number)
        elif message.type == "SCHEMA":
            self._schema(load, message, number)
        elif message.type == "STATE":
            self._state = bytes(message.value)
        elif message.type == "ACTIVATE_VERSION":
            logger.debug("ACTIVATE_VERSION is ignored: deletions come from the stream deleted_records.")
        else:
            msg = f"Line {number}: unknown message type {message.type!r}."
            raise InvalidInputLine(msg)
        if load.empty:
            self._emit_state(load)

    def _record(self, load: Load, message: Message, number: int) -> None:
        if message.stream is None or not bytes(message.record):
            msg = f"Line {number}: a RECORD message needs stream and record."
            raise InvalidInputLine(msg)
        if message.stream not in self._schemas:
            msg = f"Line {number}: a record of stream {message.stream} came before its SCHEMA."
            raise RecordsWithoutSchemaException(msg)
        if not load.known(message.stream):
            if message.stream not in load.mapping.ignored:
                self._skipped[message.stream] += 1
            return
        load.add(message.stream, bytes(message.record))

    def _schema(self, load: Load, message: Message, number: int) -> None:
        if message.stream is None or not bytes(message.schema):
            msg = f"Line {number}: a SCHEMA message needs stream and schema."
            raise InvalidInputLine(msg)
        schema = msgspec.json.decode(message.schema)
        if not isinstance(schema, dict) or not isinstance(schema.get("properties"), dict):
            msg = f"Line {number}: the SCHEMA of stream {message.stream} has no properties."
            raise InvalidInputLine(msg)
        self._schemas.add(message.stream)
        if not load.known(message.stream) and message.stream not in load.mapping.ignored:
            if load.settings.unmapped_streams == "fail":
                msg = (
                    f"Stream {message.stream} is not mapped. Map it in mapping_file, list it there under ignore, or "
                    "set unmapped_streams to warn."
                )
                raise MappingError(msg)
        load.schema(message.stream, schema)

    def _drain(self, load: Load) -> None:
        load.flush()
        self._emit_state(load)

    def _emit_state(self, load: Load) -> None:
        """STATE goes out only here: the load is empty, so all that came before is committed."""
        if self._state is None or load.settings.dry_run:
            return
        sys.stdout.write(self._state.decode() + "\n")
        sys.stdout.flush()
        self._state = None

    def _handle_termination(self, signum: int, frame: FrameType | None) -> None:
        """End at once: what is committed stays, the batch under way is rolled back and comes again."""
        raise _Interrupted

    @classmethod
    def invoke(cls, **kwargs: Any) -> None:
        """Run the command; an error ends as one message and exit code 1, without a traceback."""
        try:
            super().invoke(**kwargs)
        except (TargetError, InvalidInputLine, RecordsWithoutSchemaException) as error:
            logger.error("%s", error)
            sys.exit(1)
        except _Interrupted:
            logger.error("Stopped by a signal; what was committed stays, the rest comes with the next run.")
            sys.exit(143)
