"""Singer messages from a stream of lines; of a record only the envelope is decoded, the rest stays bytes."""

from __future__ import annotations

import codecs
import io
import json
import os
import re
import select
import stat
from collections.abc import Iterable, Iterator
from typing import IO, Any

import msgspec

from target_crm.errors import MessageError


class Message(msgspec.Struct):
    """One Singer message. `record`, `schema` and `value` are JSON that nobody has decoded yet, empty when absent."""

    type: str
    stream: str | None = None
    record: msgspec.Raw = msgspec.Raw()
    schema: msgspec.Raw = msgspec.Raw()
    value: msgspec.Raw = msgspec.Raw()


_DECODER = msgspec.json.Decoder(Message)
# PostgreSQL's jsonb takes neither NUL nor lone halves of surrogate pairs.
_ESCAPE = re.compile(
    rb"\\(?:u(?P<high>[dD][89abAB][0-9a-fA-F]{2})\\u(?P<low>[dD][c-fC-F][0-9a-fA-F]{2})"
    rb"|u(?P<one>[0-9a-fA-F]{4})|.)"
)
_SUSPECT = re.compile(rb"\\u(?:0000|[dD][89abAB])")
_NO_NUMBER = re.compile(rb"[:\[,]\s*(?:NaN|-?Infinity)\b")
_READ_BYTES = 1 << 20
_LONE = re.compile("[\ud800-\udfff\x00]")


def decode_message(line: bytes, number: int) -> Message:
    """One line's message.

    Raises:
        MessageError: it is not JSON or not a Singer message; names the line's number.
    """
    try:
        message = _DECODER.decode(line)
    except (msgspec.DecodeError, msgspec.ValidationError, UnicodeDecodeError, RecursionError) as error:
        if _SUSPECT.search(line) or _NO_NUMBER.search(line):
            return _decode_suspect(line, number)
        raise MessageError("E_LINE_NOT_READABLE", line=number, reason=str(error)) from None
    return message


def _decode_suspect(line: bytes, number: int) -> Message:
    """A line with what strict decoders refuse: halves of surrogate pairs, which are legal JSON, and NaN, which is not
    but which many programs write. NaN and Infinity become texts, so that they cost their cells alone."""
    try:
        return _DECODER.decode(_repaired(line))
    except (ValueError, msgspec.MsgspecError, RecursionError) as error:
        raise MessageError("E_LINE_NOT_READABLE", line=number, reason=str(error)) from None


def clean_json(raw: bytes) -> bytes:
    """The same JSON as PostgreSQL can hold it: without NUL and lone surrogates (each becomes U+FFFD)."""
    if not _SUSPECT.search(raw):
        return raw
    return _repaired(raw)


def _repaired(raw: bytes) -> bytes:
    # Numbers stay as they are spelled: a float would lose digits of a long one, and 1e400 would become Infinity.
    value = json.loads(raw, parse_constant=str, parse_float=_verbatim, parse_int=_verbatim)
    return msgspec.json.encode(_clean(value))


def _verbatim(number: str) -> msgspec.Raw:
    return msgspec.Raw(number.encode())


def spell_out(raw: bytes) -> bytes:
    """The same JSON with letters instead of their escapes: a database of encoding SQL_ASCII takes no others."""
    if b"\\u" not in raw:
        return raw
    return _ESCAPE.sub(_letter, raw)


def _letter(match: re.Match[bytes]) -> bytes:
    high, low = match["high"] or match["one"], match["low"]
    if high is None or int(high, 16) < 0x80:
        return match[0]
    code = int(high, 16)
    if low is not None:
        code = 0x10000 + ((code - 0xD800) << 10) + (int(low, 16) - 0xDC00)
    return chr(code).encode("utf-8", "replace")


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _LONE.sub(lambda m: "" if m.group() == "\x00" else "\ufffd", value)
    if isinstance(value, list):
        return [_clean(v) for v in value]
    if isinstance(value, dict):
        return {_clean(k): _clean(v) for k, v in value.items()}
    return value


def read_lines(file_input: IO[Any]) -> Iterator[bytes]:
    """The lines of a text or binary file as bytes, without empty ones or byte order marks.

    Some shells and editors write such a mark at a file's beginning; files may have been joined.
    """
    source: Iterable[Any] = getattr(file_input, "buffer", file_input)
    raw = getattr(source, "raw", None)
    if raw is not None:
        # A file or a pipe: read by the megabyte. Each read gives the other threads their turn, and waits for its own.
        source = io.BufferedReader(raw, _READ_BYTES)
    for line in source:
        data = line.encode("utf-8", "surrogatepass") if isinstance(line, str) else line
        data = data.removeprefix(codecs.BOM_UTF8).strip()
        if data:
            yield data


def read_lines_and_silences(file_input: IO[Any], seconds: float) -> Iterator[bytes | None]:
    """The lines as of `read_lines`, and None for each time that a pipe has been silent for some seconds."""
    raw = getattr(getattr(file_input, "buffer", file_input), "raw", None)
    if raw is None or not _can_wait(raw):
        yield from read_lines(file_input)
        return
    poll, rest = select.poll(), [b""]
    poll.register(raw.fileno(), select.POLLIN)
    while True:
        if not poll.poll(seconds * 1000):
            yield None
            continue
        chunk = os.read(raw.fileno(), _READ_BYTES)
        *whole, last = chunk.split(b"\n")
        if whole or not chunk:
            whole[:1] = [b"".join([*rest, *whole[:1]])]
            rest = []
        rest.append(last)
        for line in whole:
            data = line.removeprefix(codecs.BOM_UTF8).strip()
            if data:
                yield data
        if not chunk:
            return


def _can_wait(raw: Any) -> bool:
    """Whether a file is a pipe or a socket on a system that can wait for one."""
    try:
        mode = os.fstat(raw.fileno()).st_mode
    except (AttributeError, OSError, ValueError):
        return False
    return hasattr(select, "poll") and (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode))


def read_state(value: bytes) -> Any:
    """A STATE's value as PostgreSQL can hold it; None where it can't be read."""
    try:
        return json.loads(clean_json(value))
    except (ValueError, RecursionError):
        return None
