"""Which files a record names: attachments of notes, custom fields that hold a file, recordings of calls."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tap_amocrm.shapes import Record, items, record_id, text, whole

CALLS = ("call_in", "call_out")
ATTACHMENT = "attachment"
_FIELD = "file"
_LONGEST_URL = 2000
_MOST_OF_A_FIELD = 1000


@dataclass(frozen=True)
class FileLink:
    """That a file belongs to something: an entity's card, one of its notes, or one of its custom fields."""

    entity_type: str | None
    entity_id: int | None
    note_id: int | None = None
    field_id: int | None = None
    # The place among several files of one field.
    position: int = 0
    file_uuid: str | None = None
    version_uuid: str | None = None
    file_name: str | None = None
    file_size: int | None = None

    def belongs_to(self) -> dict[str, Any]:
        """What it belongs to."""
        return {
            "entity_type": self.entity_type,
            "entity_id": self.entity_id,
            "note_id": self.note_id,
            "field_id": self.field_id,
        }

    @property
    def number(self) -> int:
        """A number of the place, the same in each run: another file in the same place is another version of the link.
        A note is one place, whatever it belongs to: notes move when entities are merged."""
        place = (self.entity_type, self.entity_id, self.field_id, self.position)
        if self.note_id is not None:
            place = ("notes", self.note_id, None, 0)
        digest = hashlib.blake2b(repr(place).encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big") >> 1

    @property
    def entry(self) -> int:
        """A number that tells the files of one record apart."""
        return (self.field_id or 0) * _MOST_OF_A_FIELD + self.position


def note_links(note: Record) -> Iterator[FileLink]:
    """The file of a note."""
    params = note.get("params")
    if isinstance(params, dict) and (uuid := text(params.get("file_uuid"))):
        yield FileLink(
            text(note.get("entity_type")) or None,
            whole(note.get("entity_id")),
            note_id=record_id(note),
            file_uuid=uuid,
            version_uuid=text(params.get("version_uuid")) or None,
            file_name=text(params.get("original_name")) or text(params.get("file_name")) or None,
        )


def field_links(entity_type: str, record: Record) -> Iterator[FileLink]:
    """The files in an entity's custom fields."""
    for field in items(record.get("custom_fields_values")):
        if field.get("field_type") != _FIELD:
            continue
        for position, given in enumerate(items(field.get("values"))[:_MOST_OF_A_FIELD]):
            value = given.get("value")
            if isinstance(value, dict) and (uuid := text(value.get("file_uuid"))):
                yield FileLink(
                    entity_type,
                    record_id(record),
                    field_id=whole(field.get("field_id")),
                    position=position,
                    file_uuid=uuid,
                    version_uuid=text(value.get("version_uuid")) or None,
                    file_name=text(value.get("file_name")) or None,
                    file_size=whole(value.get("file_size")),
                )


def recording_of(note: Record) -> str | None:
    """The address of a call's recording; notes of years ago have it in upper case."""
    params = note.get("params")
    if note.get("note_type") not in CALLS or not isinstance(params, dict):
        return None
    for name in ("link", "LINK"):
        url = text(params.get(name)).strip()
        if url.lower().startswith(("http://", "https://")) and len(url) <= _LONGEST_URL:
            return url
    return None


def place_of(entry: int) -> tuple[int | None, int]:
    """Field and position of an entry."""
    field, position = divmod(entry, _MOST_OF_A_FIELD)
    return field or None, position
