"""Downloads what was found: several files at once, one broken file holding up no other."""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from tap_amocrm.downloads.fetch import FailedError, Fetcher, GoneError, StoppedError, sha256_of
from tap_amocrm.downloads.items import Item, Status
from tap_amocrm.downloads.manifest import read_manifest, write_manifest
from tap_amocrm.downloads.places import Place

logger = logging.getLogger("tap-amocrm")
# A run that is killed has lost no more of the manifest than this.
_SECONDS_BETWEEN_MANIFESTS = 60.0


@dataclass
class Job:
    """The downloads of one run.

    Args:
        place: Where files go.
        fetcher: Fetches one.
        account_id: For the manifest.
        workers: How many files at once.
        on_progress: Called when a file is settled.
    """

    place: Place
    fetcher: Fetcher
    account_id: int
    workers: int = 4
    on_progress: Callable[[Item], None] = lambda _: None

    def run(self, items: Sequence[Item]) -> Counter[str]:
        """Download all, and write the manifest; how many have which status.

        Raises:
            OSError: the manifest can't be written.
        """
        known, stop = read_manifest(self.place), self.fetcher.stop
        todo = [item for item in items if item.status is Status.WAITING and not self._is_there(item, known)]
        written = time.monotonic()
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(self.workers, "download") as pool:
            try:
                for item in todo:
                    if stop.is_set():
                        break
                    if len(waiting) >= 2 * self.workers:
                        done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                        for future in done:
                            future.result()
                    waiting.add(pool.submit(self._settle, item))
                    if time.monotonic() - written > _SECONDS_BETWEEN_MANIFESTS:
                        write_manifest(self.place, self.account_id, items)
                        written = time.monotonic()
                for future in waiting:
                    future.result()
            except BaseException:
                stop.set()
                raise
            finally:
                for future in waiting:
                    future.exception()
                write_manifest(self.place, self.account_id, items)
        return Counter(item.status.value for item in items)

    def _is_there(self, item: Item, known: dict[str, dict[str, object]]) -> bool:
        """Whether the file is in the place already, whole."""
        entry = known.get(item.key, {})
        size = item.size if item.size is not None else entry.get("size")
        settled = entry.get("status") in (Status.DONE.value, Status.KEPT.value)
        if not settled or size is None or self.place.size(item.path) != size:
            return False
        digest = entry.get("sha256")
        item.status, item.size = Status.KEPT, int(str(size))
        item.sha256 = str(digest) if digest else None
        self.on_progress(item)
        return True

    def _settle(self, item: Item) -> None:
        try:
            self._download(item)
            item.status, item.reason = Status.DONE, ""
        except StoppedError:
            return
        except GoneError:
            item.status, item.reason = Status.GONE, "no longer on the drive"
        except FailedError as error:
            item.status, item.reason = Status.FAILED, str(error)
        except OSError as error:
            item.status, item.reason = Status.FAILED, f"it can't be stored: {error.strerror or error}"
        self.on_progress(item)

    def _download(self, item: Item) -> None:
        if not item.url:
            raise FailedError("the drive returns no address for it")
        part: Path = self.place.parts / sha256(item.key.encode()).hexdigest()[:32]
        self.fetcher.fetch(item, part)
        item.sha256, item.size = sha256_of(part), part.stat().st_size
        self.place.take(part, item.path)
