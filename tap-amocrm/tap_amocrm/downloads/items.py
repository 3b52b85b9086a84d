"""What is to be downloaded, and what became of it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

from tap_amocrm.api.file_links import FileLink


class Status(Enum):
    """What became of a file."""

    DONE = "done"
    # It was there already, of the right size.
    KEPT = "kept"
    # The service has it no more, or only in its bin.
    GONE = "gone"
    FAILED = "failed"
    # The run ended before its turn.
    WAITING = "waiting"


@dataclass
class Item:
    """One version of a file, or one recording.

    Args:
        key: What tells items apart: uuid and version, or the recording's address.
        kind: `file` or `recording`.
        name: Its name, as the service says it.
        path: Where it goes, below the place.
        url: Where it is; empty where that is not known.
        size: In bytes; None where the service does not say it.
        links: What it belongs to.
    """

    key: str
    kind: str
    name: str
    path: str
    url: str = ""
    size: int | None = None
    file_id: int | None = None
    uuid: str | None = None
    version_uuid: str | None = None
    mime_type: str | None = None
    links: list[FileLink] = field(default_factory=list)
    status: Status = Status.WAITING
    reason: str = ""
    sha256: str | None = None

    def as_dict(self) -> dict[str, Any]:
        """The entry of the manifest."""
        entry = asdict(self)
        entry |= {"status": self.status.value, "links": [link.belongs_to() for link in self.links]}
        entry["file_id"] = self.file_id
        # An address may be its own permission.
        entry.pop("url")
        if self.kind == "recording":
            entry["url"] = self.url.partition("?")[0]
        return entry
