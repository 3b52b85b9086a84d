"""The account's files: made-up ones and those that tests upload, their versions, and what belongs to which entity.

From the models of the vendor's PHP client (FileModel, FilesFilter) and the vendor's page of the files API.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from amocrm_sim.records import EPOCH, FIRST_USER, USERS, Record

FIRST_FILE = 900_001
_NAMES = (
    ("Договор № {n}.pdf", "application/pdf", "document"),
    ("Фото со стройки {n}.jpg", "image/jpeg", "image"),
    ("КП/2026: болты <M{n}>?.docx", "application/vnd.openxmlformats", "document"),
    ("../../etc/passwd", None, "file"),
    ("price {n}.xlsx", "application/vnd.ms-excel", "document"),
    ("con", None, "file"),
    ("Очень длинное название файла " + "ё" * 180 + " {n}.txt", "text/plain", "file"),
    ("запись разговора.mp3", "audio/mpeg", "audio"),
)
_SIZES = (1_200, 64_000, 0, 15_321, 300_000, 7, 4_096, 99_999)


@dataclass
class Version:
    """One version of a file."""

    uuid: str
    size: int
    made_at: int

    def content(self, file: str) -> bytes:
        """Its bytes: the same whenever they are asked for."""
        return random.Random(f"{file}/{self.uuid}").randbytes(self.size)


@dataclass
class File:
    """One file; the last of its versions is the one that lists name."""

    number: int
    uuid: str
    name: str | None
    mime: str | None
    kind: str
    versions: list[Version]
    created_at: int
    updated_at: int
    created_by: int
    deleted_at: int | None = None

    @property
    def version(self) -> Version:
        """The newest version."""
        return self.versions[-1]

    def find(self, version: str) -> Version | None:
        """A version by its uuid."""
        return next((v for v in self.versions if v.uuid == version), None)


@dataclass
class Spoiled:
    """How the next downloads of a file go wrong."""

    how: str
    times: int


@dataclass
class Drive:
    """The drive of one account. Made-up files are `f0`, `f1`, ..., which made-up notes name, too.

    Args:
        now: The server's clock.
        size: How many made-up files there are.
    """

    now: Callable[[], int]
    size: int = 0
    files: dict[str, File] = field(default_factory=dict)
    # Which files belong to an entity: link number and uuid, by entity type and id.
    attached: dict[tuple[str, int], list[tuple[int, str]]] = field(default_factory=dict)
    spoiled: dict[str, Spoiled] = field(default_factory=dict)
    # Requests of the storage that carried a token, which belongs to the account alone.
    leaked: int = 0
    bytes_sent: int = 0
    # From which byte on downloads were asked for.
    starts: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Make the made-up files."""
        for n in range(self.size):
            name, mime, kind = _NAMES[n % len(_NAMES)]
            made = EPOCH - 86_400 * (n % 300 + 1)
            version = Version(f"v{n}", _SIZES[n % len(_SIZES)] + n // len(_SIZES), made)
            file = File(
                FIRST_FILE + n, f"f{n}", name.format(n=n), mime, kind, [version], made, made, FIRST_USER + n % USERS
            )
            if n % 9 == 8:
                file.deleted_at = made + 3600
            self.files[file.uuid] = file

    def change(self, action: str, **body: Any) -> Any:
        """Do one of upload, version, rename, trash, restore, purge, attach, spoil.

        Raises:
            KeyError: an unknown action or file.
        """
        actions: dict[str, Callable[..., Any]] = {
            "upload": self.upload, "version": self.add_version, "rename": self.rename, "trash": self.trash,
            "restore": self.restore, "purge": self.purge, "attach": self.attach, "spoil": self.spoil,
        }  # fmt: skip
        return actions[action](**body)

    def upload(self, uuid: str, name: str | None, size: int, mime: str | None = None, version: str = "v1") -> int:
        """A new file; its id."""
        number, moment = FIRST_FILE + len(self.files), self.now()
        self.files[uuid] = File(
            number, uuid, name, mime, "file", [Version(version, size, moment)], moment, moment, FIRST_USER
        )
        return number

    def add_version(self, uuid: str, version: str, size: int) -> str:
        """A new version of a file."""
        file = self.files[uuid]
        file.versions.append(Version(version, size, self.now()))
        file.updated_at = self.now()
        return version

    def rename(self, uuid: str, name: str) -> str:
        """Another name."""
        self.files[uuid].name, self.files[uuid].updated_at = name, self.now()
        return name

    def trash(self, uuid: str) -> str:
        """Put a file into the bin: it leaves the list and can still be asked for as a deleted one."""
        self.files[uuid].deleted_at = self.files[uuid].updated_at = self.now()
        return uuid

    def restore(self, uuid: str) -> str:
        """Take a file out of the bin."""
        self.files[uuid].deleted_at, self.files[uuid].updated_at = None, self.now()
        return uuid

    def purge(self, uuid: str) -> str:
        """Delete a file permanently: no list names it, and its download is gone."""
        del self.files[uuid]
        return uuid

    def attach(self, entity: str, id: int, uuid: str) -> int:
        """Let a file belong to an entity."""
        found = self.attached.setdefault((entity, id), [])
        found.append((len(found) + 1, uuid))
        return len(found)

    def spoil(self, uuid: str, how: str, times: int = 1) -> str:
        """Let the next downloads of a file go wrong: cut, slow, 500, 404, short, no_range, longer, html."""
        self.spoiled[uuid] = Spoiled(how, times)
        return how

    def spoilt(self, uuid: str) -> str:
        """How this download goes wrong; empty if it does not."""
        found = self.spoiled.get(uuid)
        if found is None or not found.times:
            return ""
        found.times -= 1
        return found.how

    def listed(self, *, deleted: bool) -> list[File]:
        """The files of the list, or those in the bin."""
        return [file for file in self.files.values() if (file.deleted_at is not None) == deleted]


def as_shown(file: File, base: str, account_id: int, version: Version | None = None) -> Record:
    """A file as the drive's answers give it."""
    shown = version or file.version
    extension = (file.name or "").rpartition(".")[2] if "." in (file.name or "") else ""
    download = f"{base}/download/{account_id}/{file.uuid}"
    preview = {"download_link": f"{base}/previews/{file.uuid}", "width": 200, "height": 150}
    return {
        "id": file.number,
        "uuid": file.uuid,
        "type": file.kind,
        "is_trashed": file.deleted_at is not None,
        "name": file.name,
        "sanitized_name": "".join(c if c.isascii() and (c.isalnum() or c in ".-_") else "_" for c in file.name or ""),
        "size": shown.size,
        "source_id": None,
        "version_uuid": shown.uuid,
        "has_multiple_versions": len(file.versions) > 1,
        "metadata": {"extension": extension, "mime_type": file.mime} if file.mime else [],
        "previews": [preview] if file.kind == "image" else None,
        "created_at": file.created_at,
        "created_by": {"id": file.created_by, "type": "user"},
        "updated_at": file.updated_at,
        "updated_by": {"id": file.created_by, "type": "user"},
        "deleted_at": file.deleted_at,
        "deleted_by": {"id": file.created_by, "type": "user"} if file.deleted_at is not None else None,
        "_links": {
            "self": {"href": f"{base}/v1.0/files/{file.uuid}"},
            "download": {"href": download},
            "download_version": {"href": f"{download}/{shown.uuid}"},
        },
    }
