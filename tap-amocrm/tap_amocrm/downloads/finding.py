"""Finds what there is to download, and what it belongs to: the drive's list, notes, custom fields, cards, calls."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from urllib.parse import unquote, urlsplit

from tap_amocrm.api.drive import files_of, versions_of
from tap_amocrm.api.file_links import ATTACHMENT, CALLS, FileLink, field_links, note_links, recording_of
from tap_amocrm.api.listing import pages
from tap_amocrm.declarations import ENTITIES, LISTINGS, NOTES, Listing
from tap_amocrm.downloads.items import Item, Status
from tap_amocrm.downloads.names import safe_name, safe_part
from tap_amocrm.errors import ApiError
from tap_amocrm.http.client import Client
from tap_amocrm.shapes import Record, record_id, text, whole

logger = logging.getLogger("tap-amocrm")
_STREAM = "files"
_REFUSED = (402, 403, 404)


@dataclass
class Wanted:
    """What is to be found beside the files of the drive.

    Args:
        recordings: Recordings that call notes link to.
        cards: Files that belong to cards themselves: one request for each card.
        deleted: Files in the bin.
    """

    recordings: bool = False
    cards: bool = False
    deleted: bool = False


@dataclass
class Finder:
    """Reads the lists of one account."""

    client: Client
    drive: str
    wanted: Wanted
    items: dict[str, Item] = field(default_factory=dict)
    _files: dict[str, Record] = field(default_factory=dict)
    _binned: set[str] = field(default_factory=set)

    def find(self) -> list[Item]:
        """All items, each once.

        Raises:
            TapError: a list can't be read.
        """
        for deleted in (False, True):
            for page in files_of(self.client, self.drive, _STREAM, deleted=deleted):
                for record in page:
                    self._add_file(record, deleted=deleted)
        for link in self._links():
            self._add_link(link)
        return list(self.items.values())

    def _add_file(self, record: Record, *, deleted: bool) -> None:
        uuid = text(record.get("uuid"))
        if not uuid or uuid in self._files:
            return
        self._files[uuid] = record
        if deleted:
            self._binned.add(uuid)
        if not deleted or self.wanted.deleted:
            item = _item_of(record)
            self.items[item.key] = item

    def _add_link(self, link: FileLink) -> None:
        uuid = link.file_uuid or ""
        file = self._files.get(uuid)
        version = link.version_uuid or text((file or {}).get("version_uuid"))
        key = f"{uuid}/{version}"
        item = self.items.get(key)
        if item is None:
            item = self.items[key] = self._linked(link, file, version)
        if link not in item.links:
            item.links.append(link)

    def _linked(self, link: FileLink, file: Record | None, version: str) -> Item:
        """An item that only a link names: an earlier version, or a file that is gone."""
        uuid = str(link.file_uuid)
        if file is not None and (uuid not in self._binned or self.wanted.deleted):
            for found in versions_of(self.client, self.drive, _STREAM, uuid):
                if text(found.get("version_uuid")) == version:
                    return _item_of(found)
        reason = "in the bin" if uuid in self._binned else "no longer on the drive"
        name = link.file_name or uuid
        return Item(f"{uuid}/{version}", "file", name, "", uuid=uuid, version_uuid=version or None,
                    size=link.file_size, status=Status.GONE, reason=reason)  # fmt: skip

    def _links(self) -> Iterator[FileLink]:
        for listing in NOTES.listings:
            yield from self._of_notes(listing)
        for entity in ENTITIES:
            if self.wanted.cards or self._has_file_fields(entity):
                yield from self._of_cards(entity)

    def _of_notes(self, listing: Listing) -> Iterator[FileLink]:
        kinds = (ATTACHMENT, *CALLS) if self.wanted.recordings else (ATTACHMENT,)
        asked = [("filter[note_type][]", kind) for kind in kinds]
        for page in self._pages(listing, asked):
            for record in page:
                note = {"entity_type": listing.entity_type, **record}
                yield from note_links(note)
                url = recording_of(note) if self.wanted.recordings else None
                if url is not None:
                    self._add_recording(url, note)

    def _add_recording(self, url: str, note: Record) -> None:
        item = self.items.get(url)
        if item is None:
            digest, name = sha256(url.encode()).hexdigest()[:24], unquote(urlsplit(url).path.rpartition("/")[2])
            path = f"recordings/{digest}/{safe_name(name, 'recording')}"
            item = self.items[url] = Item(url, "recording", name or "recording", path, url)
        link = FileLink(text(note.get("entity_type")) or None, whole(note.get("entity_id")), note_id=record_id(note))
        if link not in item.links:
            item.links.append(link)

    def _has_file_fields(self, entity: str) -> bool:
        listing = Listing(f"{entity}/custom_fields", stream=_STREAM, key="custom_fields")
        return any(r.get("type") == "file" for page in self._pages(listing, []) for r in page)

    def _of_cards(self, entity: str) -> Iterator[FileLink]:
        listing = replace(LISTINGS[entity], stream=_STREAM)
        for page in self._pages(listing, [("order[id]", "asc")]):
            for record in page:
                yield from field_links(entity, record)
                if self.wanted.cards and (number := record_id(record)):
                    yield from self._of_card(entity, number)

    def _of_card(self, entity: str, number: int) -> Iterator[FileLink]:
        listing = Listing(f"{entity}/{number}/files", stream=_STREAM, key="files")
        for page in self._pages(listing, []):
            for record in page:
                if uuid := text(record.get("file_uuid")):
                    yield FileLink(entity, number, file_uuid=uuid)

    def _pages(self, listing: Listing, params: list[tuple[str, str]]) -> Iterator[list[Record]]:
        try:
            yield from pages(self.client, listing, params)
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            logger.warning("Files of %s are not known: %s", listing.name, error)


def _item_of(record: Record) -> Item:
    uuid, version = text(record.get("uuid")), text(record.get("version_uuid"))
    name = text(record.get("name")) or text(record.get("sanitized_name")) or uuid
    metadata = record.get("metadata")
    return Item(
        f"{uuid}/{version}",
        "file",
        name,
        f"files/{safe_part(uuid)}/{safe_part(version)}/{safe_name(name)}",
        _url_of(record),
        size=whole(record.get("size")),
        file_id=record_id(record) or None,
        uuid=uuid,
        version_uuid=version or None,
        mime_type=text(metadata.get("mime_type")) or None if isinstance(metadata, dict) else None,
    )


def _url_of(record: Record) -> str:
    """The address of this version, or of the file."""
    links = record.get("_links")
    for name in ("download_version", "download"):
        link = links.get(name) if isinstance(links, dict) else None
        if isinstance(link, dict) and text(link.get("href")):
            return str(link["href"])
    return ""
