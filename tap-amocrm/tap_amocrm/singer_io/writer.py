"""Singer messages to standard output, encoded by msgspec; what it refuses (lone surrogates) goes the slow way."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, cast

import msgspec
from singer_sdk.singerlib.messages import Message

from tap_amocrm.errors import OutputError
from tap_amocrm.sdk_seam import SeamWriter, StateWriter

if TYPE_CHECKING:
    from singer_sdk.helpers.types import TapState

_ENCODER = msgspec.json.Encoder()
# U+0085, U+2028 and U+2029 end a line for Python's str.splitlines and others; JSON escapes only what is below U+0020.
_LINE_SEPARATORS = tuple((c.encode(), rb"\u%04x" % ord(c)) for c in "\u0085\u2028\u2029")


class Interrupted(SystemExit):
    """The run is to end now; raised between two messages, never within one."""


class _Output:
    """Whether a message is under way, and whether an interruption waits for its end."""

    def __init__(self) -> None:
        self.writing = False
        self.asked: int | None = None

    @contextmanager
    def unbroken(self) -> Iterator[None]:
        self.writing = True
        try:
            yield
        finally:
            self.writing = False
        if self.asked is not None:
            code, self.asked = self.asked, None
            raise Interrupted(code)


_OUTPUT = _Output()


def interrupt(code: int) -> None:
    """For signal handlers: raise `Interrupted` with an exit code, at once or behind the message under way."""
    if _OUTPUT.writing:
        _OUTPUT.asked = code
    else:
        raise Interrupted(code)


def encode(document: Any) -> bytes:
    """One line of JSON, without its line end; one line also for readers that split at Unicode's line separators."""
    try:
        line = _ENCODER.encode(document)
    except (UnicodeEncodeError, TypeError, ValueError):
        line = json.dumps(document, ensure_ascii=True, default=str, separators=(",", ":")).encode()
    for separator, escape in _LINE_SEPARATORS:
        if separator in line:
            line = line.replace(separator, escape)
    return line


class Writer(SeamWriter[bytes, Message]):
    """Writes bytes; a STATE is flushed at once, records by the buffer."""

    def serialize_message(self, message: Message) -> bytes:
        """A message as one line."""
        return encode(message.to_dict())

    def write_message(self, message: Message) -> None:
        """Write one message and flush."""
        with _OUTPUT.unbroken():
            _write_all(self.serialize_message(message) + b"\n")
            try:
                sys.stdout.flush()
            except OSError as error:
                raise _unwritable(error) from None


class SnapshotStateWriter(StateWriter):
    """Writes the state as it was at one moment, while threads that read ahead continue adding to it.

    Args:
        writer: Writes the message.
        complete: Writes into the state what is kept elsewhere until a STATE leaves.
    """

    def __init__(self, writer: SeamWriter[Any, Any], complete: Callable[[Any], None] | None = None) -> None:
        super().__init__(writer)
        self._complete = complete

    def write_state(self, state: TapState) -> None:
        """Write a copy; msgspec encodes without letting another thread run."""
        if self._complete is not None:
            self._complete(state)
        super().write_state(msgspec.json.decode(_ENCODER.encode(state)))


class MarkerWriter(StateWriter):
    """Writes of each state the run's marker alone: nothing that a later run could start from.

    Args:
        writer: Writes the message.
        key: The marker's key in the state.
    """

    def __init__(self, writer: SeamWriter[Any, Any], key: str) -> None:
        super().__init__(writer)
        self._key = key

    def write_state(self, state: TapState) -> None:
        """Write the marker, if it changed."""
        document: dict[str, Any] = dict(state)
        super().write_state(cast("TapState", {self._key: dict(document[self._key])}))


def encode_records(stream: str, records: list[dict[str, Any]], extracted: str) -> bytes:
    """RECORD messages, a line each."""
    head = b'{"type":"RECORD","stream":' + encode(stream) + b',"record":'
    tail = b',"time_extracted":' + encode(extracted) + b"}\n"
    return b"".join(head + encode(record) + tail for record in records)


def write_lines(lines: bytes) -> None:
    """Write encoded messages."""
    with _OUTPUT.unbroken():
        _write_all(lines)


def _write_all(data: bytes) -> None:
    """With PYTHONUNBUFFERED standard output is a raw file, and a signal cuts its writes short."""
    rest = memoryview(data)
    try:
        while rest:
            rest = rest[sys.stdout.buffer.write(rest) :]
    except OSError as error:
        raise _unwritable(error) from None


def _unwritable(error: OSError) -> OutputError:
    """What to say of standard output; nothing more is written to it, not even at the process's end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)
    if isinstance(error, BrokenPipeError):
        return OutputError(
            "The program that reads the tap's output has ended (broken pipe). Its own message says why.",
            reason="broken pipe",
        )
    reason = error.strerror or str(error)
    return OutputError(f"Standard output can't be written: {reason}.", reason=reason)
