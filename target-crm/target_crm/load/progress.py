"""What a load has merged so far, as a line of the log every half a minute."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping

from target_crm.merge.counts import Counts

logger = logging.getLogger("target-crm")
EVERY_SECONDS = 30.0


class LoadProgress:
    """Says after a batch what has been merged, if it was not said within the last `EVERY_SECONDS`."""

    def __init__(self, *, dry_run: bool) -> None:
        self._word = "Compared" if dry_run else "Merged"
        self._began = self._last = time.monotonic()

    def batch_merged(self, counts: Mapping[str, Counts]) -> None:
        """A batch has been merged; `counts` are those of the whole run so far, by table."""
        now = time.monotonic()
        if now - self._last < EVERY_SECONDS:
            return
        self._last = now
        read = {table: number.read for table, number in counts.items() if number.read}
        if read:
            shown = ", ".join(f"{number:,} {table}" for table, number in read.items())
            logger.info("%s so far: %s; %.0f records a second.", self._word, shown,
                        sum(read.values()) / max(now - self._began, 0.001))  # fmt: skip
