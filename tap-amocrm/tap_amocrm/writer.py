"""Singer messages to standard output, encoded by msgspec; what it refuses (lone surrogates) goes the slow way."""

from __future__ import annotations

import json
import sys
from typing import Any

import msgspec
from singer_sdk.singerlib.encoding.base import GenericSingerWriter
from singer_sdk.singerlib.messages import Message

_ENCODER = msgspec.json.Encoder()


def encode(document: Any) -> bytes:
    """One line of JSON, without its line end."""
    try:
        return _ENCODER.encode(document)
    except (UnicodeEncodeError, TypeError, ValueError):
        return json.dumps(document, ensure_ascii=True, default=str, separators=(",", ":")).encode()


class Writer(GenericSingerWriter[bytes, Message]):
    """Writes bytes; a STATE is flushed at once, records by the buffer."""

    def serialize_message(self, message: Message) -> bytes:
        """A message as one line."""
        return encode(message.to_dict())

    def write_message(self, message: Message) -> None:
        """Write one message and flush."""
        sys.stdout.buffer.write(self.serialize_message(message) + b"\n")
        sys.stdout.flush()


def encode_records(stream: str, records: list[dict[str, Any]], extracted: str) -> bytes:
    """RECORD messages, a line each."""
    head = b'{"type":"RECORD","stream":' + encode(stream) + b',"record":'
    tail = b',"time_extracted":' + encode(extracted) + b"}\n"
    return b"".join(head + encode(record) + tail for record in records)


def write_lines(lines: bytes) -> None:
    """Write encoded messages."""
    sys.stdout.buffer.write(lines)
