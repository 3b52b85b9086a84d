"""Which files belong to what: the notes and custom fields that name them, made of the records that other streams
send."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import Any

from tap_amocrm.api.file_links import FileLink, field_links, note_links, place_of
from tap_amocrm.declarations import NOTES
from tap_amocrm.moments import rfc3339_now
from tap_amocrm.shapes import Record, record_id
from tap_amocrm.state import StreamBookmark
from tap_amocrm.streams.derived import MOST_PARTS, DerivedStream
from tap_amocrm.streams.outgoing import Derived, Follower
from tap_amocrm.streams.sent_links import Links, SentLinks, packed


class FileLinkStream(DerivedStream):
    """The links of all streams of owners; each of these has a separate bookmark."""

    @cached_property
    def parts(self) -> dict[str, FileLinks]:
        """The links of each stream of owners."""
        return {name: FileLinks(self, name) for name in self.declared.parents}

    def follower_of(self, parent: str) -> Follower:
        """The links of one stream of owners."""
        return self.parts[parent]

    @cached_property
    def links(self) -> SentLinks:
        """Nothing of its own; reads what the state holds of each stream of owners."""
        for part in self.parts.values():
            _ = part.links
        return SentLinks()

    def forget(self, stream: str, gone: Mapping[int, Any]) -> None:
        """Records of a stream were deleted or merged away: mark the links that they had."""
        if stream in self.parts:
            self.parts[stream].leave(dict.fromkeys(gone, ()), max(map(str, gone.values()), default=""))

    def begin_again(self) -> None:
        """Not all that was derived has left: what the target holds is what the state says."""
        super().begin_again()
        for part in self.parts.values():
            part.begin_again()

    def keep_position(self) -> None:
        """Put into the state what has been written since the last time."""
        for part in self.parts.values():
            part.keep_position()

    def _move_bookmark(self) -> None:
        """All owners have been read: what the state keeps of them becomes one part."""
        for part in self.parts.values():
            part.settle()


class FileLinks:
    """The links of one stream of owners.

    Args:
        stream: Writes them.
        parent: The stream of the owners.
    """

    def __init__(self, stream: FileLinkStream, parent: str) -> None:
        self._stream, self._parent = stream, parent
        self._written: Links = {}

    @cached_property
    def kept(self) -> StreamBookmark:
        """This part of the state."""
        return StreamBookmark.from_json((self._stream.kept.owners or {}).get(self._parent, {}))

    def _save(self) -> None:
        whole = self._stream.kept
        document = dict((whole.owners or {}).get(self._parent, {}))
        self.kept.write(document)
        whole.owners = {**(whole.owners or {}), self._parent: document}
        self._stream.save()

    @cached_property
    def links(self) -> SentLinks:
        """What the target holds."""
        try:
            return SentLinks(self.kept.links or ())
        except ValueError:
            self._stream.logger.warning(
                "The state's links of files can't be read; links that were removed since then are not marked."
            )
            self.kept.links = None
            return SentLinks()

    @property
    def plain(self) -> bool:
        """Whether records leave as they are."""
        return self._stream.plain

    def announce(self) -> None:
        """Write the SCHEMA, if that has not been done."""
        self._stream.announce()

    def encoded(self, records: list[Record]) -> bytes:
        """Records as messages."""
        return self._stream.encoded(records)

    def write(self, records: list[Record]) -> None:
        """Write records at once."""
        self._stream.write(records)

    def derive(self, records: Iterable[Record]) -> Derived:
        """The links of some owners, and last versions of those that are gone. Owners that never had a file are not
        remembered."""
        rows: list[Record] = []
        sent: Links = {}
        for record in records:
            owner = record_id(record)
            found = note_links(record) if self._parent == NOTES.name else field_links(self._parent, record)
            by_entry = {link.entry: link for link in found}
            if not owner or not (by_entry or self.links.entries(owner)):
                continue
            account_id = record["account_id"]
            rows += [_row(link, account_id, record.get("updated_at")) for link in by_entry.values()]
            rows += self._replace(owner, tuple(by_entry), account_id, rfc3339_now())
            sent[owner] = tuple(by_entry)
        return Derived(self, rows, sent)

    def _replace(self, owner: int, left: tuple[int, ...], account_id: int, moment: Any) -> list[Record]:
        """Last versions of an owner's links that are not among those that are left."""
        last = {"account_id": account_id, "updated_at": moment, "is_deleted": True, "_sdc_deleted_at": moment}
        return [{"id": self._place(owner, entry).number, **last} for entry in self.links.replace(owner, left)]

    def _place(self, owner: int, entry: int) -> FileLink:
        if self._parent == NOTES.name:
            return FileLink(None, None, note_id=owner)
        field, position = place_of(entry)
        return FileLink(self._parent, owner, field_id=field, position=position)

    def leave(self, left: Links, moment: Any) -> None:
        """Write last versions of what is not left of some owners' links."""
        account_id = self._stream.amo.run.account.id
        known = {owner: entries for owner, entries in left.items() if self.links.entries(owner)}
        rows = [row for owner, entries in known.items() for row in self._replace(owner, entries, account_id, moment)]
        if rows:
            self.write(rows)
            self.written(known)
            self.keep_position()

    def begin_again(self) -> None:
        """What the target holds is what the state says."""
        for name in ("kept", "links"):
            self.__dict__.pop(name, None)
        self._written.clear()

    def begin_owners(self) -> None:
        """Nothing: what was seen is not counted."""

    def mark_unseen(self) -> None:
        """Nothing: the streams of owners are read by what changed."""

    def written(self, sent: Links) -> None:
        """The links of these owners have been written as they are now."""
        self._written.update(sent)

    def follow(self, owner: StreamBookmark) -> None:
        """Take over the bookmark of the owners."""
        kept = self.kept
        kept.replication_key, kept.replication_key_value = owner.replication_key, owner.replication_key_value
        kept.scope = owner.scope
        self._save()

    def keep_position(self) -> None:
        """Put into the state what has been written since the last time."""
        if self._written:
            parts = [*(self.kept.links or ()), packed(self._written)]
            self.kept.links = parts if len(parts) < MOST_PARTS else [self.links.packed()]
            self._written.clear()
            self._save()

    def settle(self) -> None:
        """Put everything into the state as one part."""
        self._written.clear()
        if self.kept.links or self.links.owners():
            self.kept.links = [self.links.packed()]
            self._save()


def _row(link: FileLink, account_id: int, updated_at: Any) -> Record:
    return {
        "id": link.number,
        "account_id": account_id,
        "file_uuid": link.file_uuid,
        "version_uuid": link.version_uuid,
        "file_name": link.file_name,
        "file_size": link.file_size,
        **link.belongs_to(),
        "updated_at": updated_at,
        "is_deleted": False,
    }
