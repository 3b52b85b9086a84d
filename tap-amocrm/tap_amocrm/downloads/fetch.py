"""Fetches one file: on where it stopped, as fast as is allowed, and checked by its size."""

from __future__ import annotations

import hashlib
import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import requests
import urllib3

from tap_amocrm.downloads.items import Item
from tap_amocrm.downloads.wire import Bandwidth, PrivateAddressError, RefusedError, Wire
from tap_amocrm.errors import TapError
from tap_amocrm.http.retry import RetryPolicy

_CHUNK = 65_536
_RETRIES = RetryPolicy(tries=5, longest=20.0)
# After this time a download must have kept up its pace.
_BEFORE_PACE = 15.0


class GoneError(Exception):
    """The service has the file no more."""


class StoppedError(Exception):
    """The run is to end."""


class FailedError(Exception):
    """The file can't be had in this run; says why."""


class _AgainError(Exception):
    """Another try may continue."""


@dataclass
class Fetcher:
    """Fetches files into parts on this machine; may be used from several threads.

    Args:
        wire: Opens downloads.
        bandwidth: What all of them may take.
        stop: Set when the run is to end: what has come is kept.
        least_speed: Bytes a second that a download must keep up.
        hurry: How much shorter pauses are; only for a simulator.
    """

    wire: Wire
    bandwidth: Bandwidth
    stop: threading.Event
    least_speed: int = 1024
    hurry: float = 1.0

    def fetch(self, item: Item, part: Path) -> None:
        """Bring the whole file into `part`, which may hold its beginning.

        Raises:
            GoneError, FailedError, StoppedError: it is not whole; what came stays for the next run.
        """
        reason = ""
        for number in range(_RETRIES.tries):
            if number and self.stop.wait(_RETRIES.pause(number, None) / self.hurry):
                raise StoppedError
            try:
                self._try(item, part)
            except (RefusedError, TapError) as error:
                raise FailedError(str(error)) from None
            except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
                private = _cause(error)
                if private is not None:
                    raise FailedError(str(private)) from None
                reason = "the connection broke"
            except (_AgainError, OSError) as error:
                reason = str(error)
            else:
                return
        raise FailedError(f"{reason} ({_RETRIES.tries} tries)")

    def _try(self, item: Item, part: Path) -> None:
        start = part.stat().st_size if part.exists() else 0
        if item.size is not None and start > item.size:
            part.unlink()
            start = 0
        if item.size is not None and start == item.size and (start or part.exists()):
            return
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self.wire.open(item.url, headers) as answer:
            status = answer.status_code
            if status in (404, 410):
                raise GoneError
            if status == 416:
                part.unlink(missing_ok=True)
                raise _AgainError("the service does not return the end of the file")
            if status == 429 or status >= 500:
                raise _AgainError(f"the service answers {status}")
            if status not in (200, 206):
                raise FailedError(f"the service answers {status}")
            _check_is_it(answer, item)
            self._read(answer, item, part, start if status == 206 and _begins_at(answer, start) else 0)
        size = part.stat().st_size
        if item.size is not None and size < item.size:
            raise _AgainError(f"{size:,} of {item.size:,} bytes were received")

    def _read(self, answer: requests.Response, item: Item, part: Path, start: int) -> None:
        if answer.status_code == 206 and not start:
            raise _AgainError("the service sent a part of the file that was not requested")
        began, came = time.monotonic(), 0
        with part.open("r+b" if start else "wb") as out:
            out.seek(start)
            out.truncate()
            # What has come, whatever its length: a server that sends a byte now and then is seen to be slow.
            while chunk := answer.raw.read1(_CHUNK):
                out.write(chunk)
                came += len(chunk)
                if item.size is not None and start + came > item.size:
                    out.truncate(0)
                    raise FailedError(f"more than its {item.size:,} bytes were received")
                if self.stop.is_set():
                    raise StoppedError
                self.bandwidth.take(len(chunk))
                took = time.monotonic() - began - _BEFORE_PACE / self.hurry
                if took > 0 and came < took * self.least_speed and not self.bandwidth.bytes_per_second:
                    raise _AgainError(f"it was slower than {self.least_speed:,} bytes a second")


def _check_is_it(answer: requests.Response, item: Item) -> None:
    """See that the answer is the file, or its rest: what is kept of another one would be the beginning of a file of the
    right size.

    Raises:
        FailedError, _AgainError: it is not.
    """
    if "text/html" in answer.headers.get("Content-Type", "") and "html" not in (item.mime_type or ""):
        if item.kind == "recording":
            raise FailedError("the answer is a web page, not a recording: the address requires a login")
        raise _AgainError("the answer is a web page, not the file")
    if item.size is None:
        return
    if answer.status_code == 206:
        announced = answer.headers.get("Content-Range", "").rpartition("/")[2]
    else:
        announced = answer.headers.get("Content-Length", "")
    if announced.isdigit() and int(announced) != item.size:
        raise _AgainError(f"{int(announced):,} bytes are announced, but the file has {item.size:,}")


def _begins_at(answer: requests.Response, start: int) -> bool:
    found = re.match(r"bytes (\d+)-", answer.headers.get("Content-Range", ""))
    return found is not None and int(found[1]) == start


def _cause(error: BaseException) -> PrivateAddressError | None:
    """The refusal of a private address within what the libraries make of it."""
    seen: list[BaseException] = [error]
    for one in seen:
        if isinstance(one, PrivateAddressError):
            return one
        inner = [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
        seen += [e for e in inner if isinstance(e, BaseException) and e not in seen]
    return None


def sha256_of(file: Path) -> str:
    """The digest of a file, in hex."""
    digest = hashlib.sha256()
    with file.open("rb") as opened:
        while chunk := opened.read(1 << 20):
            digest.update(chunk)
    return digest.hexdigest()
