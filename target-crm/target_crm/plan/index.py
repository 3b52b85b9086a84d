"""A plan file as pages need it: record by record, in sections, each entry read where it is in the file."""

from __future__ import annotations

import json
from array import array
from pathlib import Path
from typing import Any

from target_crm.errors import ConfigError

# In the order in which a page shows them.
SECTIONS = ("changed", "new", "removed", "kept", "conflict", "adopted", "proposal", "reject", "warning")
# So many entries are found again; of a larger plan the others are counted alone.
MOST_ENTRIES = 500_000


class PlanIndex:
    """Where the entries of a plan are: by section and table, and by record in the order in which they come.

    Raises:
        ConfigError: there is no such file, or it is not a plan.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self.counts: dict[str, dict[str, int]] = {}
        # Entries of each section and table, those included that are not found again.
        self.sizes: dict[tuple[str, str], int] = {}
        self._places: dict[tuple[str, str], dict[str, array[int]]] = {}
        self._new: dict[str, int] = {}
        try:
            self._scan()
        except FileNotFoundError:
            raise ConfigError.of("E_PLAN_MISSING", file=str(file)) from None
        except OSError as error:
            raise ConfigError.of("E_PLAN_NOT_READABLE", file=str(file), reason=error.strerror) from None
        except (ValueError, KeyError, AttributeError, TypeError):
            raise ConfigError.of("E_PLAN_FOREIGN", file=str(file)) from None

    def _scan(self) -> None:
        place, total = 0, 0
        with self.file.open("rb") as lines:
            for line in lines:
                entry = json.loads(line)
                if entry["type"] == "counts":
                    self.counts = entry["tables"]
                else:
                    total += 1
                    self._note(entry, place, is_kept=total <= MOST_ENTRIES)
                place += len(line)

    def _note(self, entry: dict[str, Any], place: int, *, is_kept: bool) -> None:
        section, table, record = section_of(entry), table_of(entry), str(entry.get("row_id") or entry.get("amo_id"))
        self.sizes[section, table] = self.sizes.get((section, table), 0) + 1
        if is_kept:
            if section not in ("changed", "kept", "conflict"):
                record = f"{record} {place}"  # each on its own
            self._places.setdefault((section, table), {}).setdefault(record, array("q")).append(place)
            if section == "new":
                self._new[str(entry["row_id"])] = place

    @property
    def is_cut(self) -> bool:
        """Whether there are entries that are only counted."""
        return sum(self.sizes.values()) > MOST_ENTRIES

    def tables(self, section: str) -> list[str]:
        """The tables that a section has entries of."""
        return [table for kind, table in self.sizes if kind == section]

    def records(self, section: str, table: str, start: int, number: int) -> tuple[list[list[dict[str, Any]]], bool]:
        """Records from one place on, each as the list of its entries; and whether more follow."""
        found = list(self._places.get((section, table), {}).values())
        with self.file.open("rb") as lines:
            shown = [[_read(lines, place) for place in places] for places in found[start : start + number]]
        return shown, len(found) > start + number

    def new_row(self, key: str) -> dict[str, Any] | None:
        """The row that the plan would add under a key."""
        place = self._new.get(key)
        if place is None:
            return None
        with self.file.open("rb") as lines:
            row = _read(lines, place)["new_value"]
        return row if isinstance(row, dict) else None


def _read(lines: Any, place: int) -> dict[str, Any]:
    lines.seek(place)
    entry: dict[str, Any] = json.loads(lines.readline())
    return entry


def section_of(entry: dict[str, Any]) -> str:
    """The section that an entry belongs to; whole rows that are added or removed have their own sections.

    Raises:
        ValueError: it is not an entry of a plan.
    """
    kind = str(entry["type"])
    if kind == "change":
        if entry["column_name"] == "*" and (entry["old_value"] is None or entry["new_value"] is None):
            return "new" if entry["old_value"] is None else "removed"
        return "changed"
    if kind not in SECTIONS:
        raise ValueError(kind)
    return kind


def table_of(entry: dict[str, Any]) -> str:
    """The table that an entry is about, or the stream of a record that has no row."""
    return str(entry.get("table_name") or entry.get("stream") or "")


def is_plan(file: Path) -> bool:
    """Whether a file begins as a plan does; Singer messages begin otherwise.

    Raises:
        ConfigError: it can't be read.
    """
    try:
        with file.open("rb") as lines:
            first = next(iter(lines), b"")
        found = json.loads(first)
    except FileNotFoundError:
        raise ConfigError.of("E_PLAN_MISSING", file=str(file)) from None
    except OSError as error:
        raise ConfigError.of("E_PLAN_NOT_READABLE", file=str(file), reason=error.strerror) from None
    except ValueError:
        return False
    return isinstance(found, dict) and found.get("type") == "counts"
