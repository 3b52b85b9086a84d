"""The files on the drive."""

from __future__ import annotations

from collections.abc import Iterator

from tap_amocrm.api.drive import drive_of, files_of
from tap_amocrm.api.records import normalise
from tap_amocrm.errors import DriveError
from tap_amocrm.shapes import Record, seconds
from tap_amocrm.streams.base import AmoStream, ReadPage


class DriveStream(AmoStream):
    """Reads the list whole, and gives what changed: those in the bin as deleted."""

    def read_pages(self, since: int | None) -> Iterator[ReadPage]:
        """Files that changed since a second; a file without a readable time always comes."""
        client = self.amo.run.client
        try:
            base = drive_of(client)
        except DriveError as error:
            self.logger.warning("Stream %s stays empty: %s", self.name, error)
            self.mark.moment = None
            return
        for deleted in (False, True):
            for page in files_of(client, base, self.name, deleted=deleted):
                changed = [r for r in page if since is None or not (at := _changed(r)) or at >= since]
                yield ReadPage([self._shaped(r, deleted=deleted) for r in changed])

    def _shaped(self, record: Record, *, deleted: bool) -> Record:
        shaped = normalise(record, self.amo.run.account.id)
        gone = deleted or bool(shaped.get("deleted_at")) or record.get("is_trashed") is True
        shaped["is_deleted"] = gone
        shaped["_sdc_deleted_at"] = (shaped.get("deleted_at") or shaped.get("updated_at")) if gone else None
        return shaped


def _changed(record: Record) -> int:
    return max(seconds(record, "updated_at"), seconds(record, "deleted_at"), seconds(record, "created_at"))
