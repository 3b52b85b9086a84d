"""The manifest: what was downloaded, and what each file belongs to, as JSON and as CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from tap_amocrm.downloads.items import Item
from tap_amocrm.downloads.places import Place

JSON_FILE, CSV_FILE = "manifest.json", "manifest.csv"
_COLUMNS = (
    "path", "name", "kind", "status", "reason", "size", "sha256", "mime_type", "file_id", "uuid", "version_uuid",
    "entity_type", "entity_id", "note_id", "field_id",
)  # fmt: skip


def write_manifest(place: Place, account_id: int, items: Iterable[Item]) -> None:
    """Write both files.

    Raises:
        OSError: they can't be written.
    """
    entries = [item.as_dict() for item in items]
    made_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
    document = {"account_id": account_id, "made_at": made_at, "files": entries}
    place.write(JSON_FILE, json.dumps(document, ensure_ascii=False, indent=1).encode("utf-8", "replace"))
    place.write(CSV_FILE, _as_csv(entries))


def read_manifest(place: Place) -> dict[str, dict[str, Any]]:
    """The entries of an earlier run by key; none where there is no manifest that can be read."""
    try:
        document = json.loads(place.read(JSON_FILE) or b"{}")
        return {str(entry["key"]): entry for entry in document.get("files", ())}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return {}


def _as_csv(entries: Iterable[dict[str, Any]]) -> bytes:
    """One line for each thing that a file belongs to; one for a file that belongs to nothing."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(_COLUMNS)
    for entry in entries:
        for link in entry["links"] or [{}]:
            writer.writerow([_plain(({**entry, **link}).get(name)) for name in _COLUMNS])
    # With the mark by which spreadsheets know UTF-8.
    return out.getvalue().encode("utf-8-sig", "replace")


def _plain(value: Any) -> Any:
    """A value that no spreadsheet takes for a formula."""
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return f"'{value}"
    return "" if value is None else value
