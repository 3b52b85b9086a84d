"""The throttle's slots in a file, shared by all processes of this user on this machine."""

from __future__ import annotations

import hashlib
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path

from tap_amocrm.config.private_files import FileLock, read_private, shared_folder, write_whole
from tap_amocrm.config.settings import MAX_REQUESTS_PER_SECOND, Settings
from tap_amocrm.http.rate_limit import LONG_AGO, Slots, SlotStore, Throttle
from tap_amocrm.http.retry_after import LONGEST_PAUSE
from tap_amocrm.http.shared_rate_limit import BucketThrottle

logger = logging.getLogger("tap-amocrm")
# Slots are assigned at most this far ahead; a file with later ones is damaged.
_LONGEST_QUEUE = 60.0
# A process holds the lock while it writes a request.
_SECONDS_FOR_LOCK = 60.0


class FileSlots:
    """The slots of all processes on this machine that use the same file; they share the monotonic clock.

    The file records the boot to which its times belong. After another boot only a pause is valid, by the machine's
    clock.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._threads = threading.Lock()
        hint = "End it if it hangs, or set share_throttle to false; the next run continues from the state."
        self._lock = FileLock(path.with_name(path.name + ".lock"), _SECONDS_FOR_LOCK, hint)
        # The slots of this process, once the file can't be used any more.
        self._alone: Slots | None = None

    @contextmanager
    def changing(self) -> Iterator[Slots]:
        """The slots, for one process at a time.

        Raises:
            LockedError: another process locked the file for too long.
        """
        with self._threads, ExitStack() as stack:
            if self._alone is not None:
                yield self._alone
                return
            try:
                stack.enter_context(self._lock.held(delay=0.001, max_delay=0.004))
                slots = self._read()
            except OSError as error:
                slots = self._go_alone(Slots(), error)
            try:
                yield slots
            finally:
                if self._alone is None:
                    self._write(slots)

    def _read(self) -> Slots:
        try:
            text = read_private(self._path)
        except FileNotFoundError:
            return Slots()
        try:
            document = json.loads(text)
            same = document.pop("boot") == boot_id()
            slots = Slots(**document)
            last = max(slots.due, *slots.left, LONG_AGO)
            wall = min(max(slots.until - time.time(), 0.0), LONGEST_PAUSE)
        except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
            return Slots()
        now = time.monotonic()
        if not same:
            return Slots(not_before=now + wall if wall else LONG_AGO, until=slots.until)
        slots.not_before = min(slots.not_before, now + LONGEST_PAUSE)
        return slots if last <= max(now, slots.not_before) + _LONGEST_QUEUE else Slots()

    def _write(self, slots: Slots) -> None:
        try:
            write_whole(self._path, json.dumps(asdict(slots) | {"boot": boot_id()}))
        except OSError as error:
            self._go_alone(slots, error)

    def _go_alone(self, slots: Slots, error: OSError) -> Slots:
        logger.warning("The limit is not shared with other processes: %s: %s.", self._path, error.strerror or error)
        self._alone = slots
        return slots


@cache
def boot_id() -> str:
    """An identifier of the machine's current boot; empty if unknown."""
    try:
        if sys.platform == "darwin":
            command = ["/usr/sbin/sysctl", "-n", "kern.bootsessionuuid"]
            return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()  # noqa: S603
        return Path("/proc/sys/kernel/random/boot_id").read_text("ascii").strip()
    except (OSError, ValueError, subprocess.SubprocessError):
        return ""


def throttle_of(settings: Settings, shared_limit_url: str | None) -> Throttle:
    """Processes that read one account share its limit: on this machine through a file, on several through a database.

    Without a limit there is nothing to share.
    """
    rate = settings.requests_per_second
    store: SlotStore | None = None
    if settings.share_throttle and rate <= MAX_REQUESTS_PER_SECOND:
        account = hashlib.sha256(settings.api_url.encode()).hexdigest()[:16]
        try:
            store = FileSlots(shared_folder() / f"{account}.slot")
        except OSError as error:
            where = error.filename or "the user's cache folder"
            logger.warning(
                "The limit is not shared with other processes: %s can't be used: %s.", where, error.strerror or error
            )
    if shared_limit_url:
        return BucketThrottle(rate, shared_limit_url, settings.api_url, store)
    return Throttle(rate, store)
