"""What a verification found."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

# What keeps a verification from saying that everything is here, in the order in which it is shown and mended.
FAULTS = (
    "not_read",
    "missing",
    "stale",
    "unmarked",
    "surplus",
    "rejects",
    "waiting",
    "proposals",
    "conflicts",
    "warnings",
)
# What differs and is right: what people of the CRM did, and notes and tasks that amoCRM deletes with their record.
SETTLED = ("edited", "removed", "deleted_with")
# The command that mends each of them.
COMMANDS = {
    "not_read": "tap-amocrm --config tap.json --verify | target-crm-admin --config target.json verify",
    "missing": "tap-amocrm --config tap.json | target-crm --config target.json",
    "stale": "tap-amocrm --config tap.json | target-crm --config target.json",
    "unmarked": "tap-amocrm --config tap.json | target-crm --config target.json",
    "surplus": "target-crm-admin --config target.json explain TABLE ACCOUNT/amo:ID",
    "rejects": "target-crm-admin --config target.json rejects --retry",
    "waiting": "tap-amocrm --config tap.json | target-crm --config target.json",
    "proposals": "target-crm-admin --config target.json proposals",
    "conflicts": "target-crm-admin --config target.json conflicts",
    "warnings": "tap-amocrm --config tap.json | target-crm --config target.json",
}


@dataclass
class Found:
    """One kind of difference in one stream: how many, and the first of them.

    Entries have account, id, row and columns as far as they are known; rejects and warnings code and arguments,
    conflicts their number, edits the three values.
    """

    number: int = 0
    entries: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class StreamResult:
    """One mapped stream. Of its table: rows of amoCRM's records, of these marked deleted, rows without a record."""

    stream: str
    table: str
    in_amocrm: int = 0
    in_crm: int = 0
    marked_deleted: int = 0
    own_rows: int = 0
    # Links whose other end amoCRM has not shown.
    waiting_links: int = 0
    found: dict[str, Found] = field(default_factory=dict)
    # What no column takes: kind (field, property), name, code, type, and how many records hold it.
    without_column: list[dict[str, Any]] = field(default_factory=list)
    samples: list[dict[str, Any]] = field(default_factory=list)

    def number(self, kind: str) -> int:
        """How many differences of a kind."""
        return self.found[kind].number if kind in self.found else 0


@dataclass
class Verification:
    """A whole verification. `is_whole`: the input was a reading from the beginning; `is_scoped`: of a part of the
    account."""

    accounts: list[int] = field(default_factory=list)
    is_whole: bool = True
    is_scoped: bool = False
    verified_at: str = ""
    streams: list[StreamResult] = field(default_factory=list)
    # Rejected records of no mapped stream.
    others: Found = field(default_factory=Found)
    # Records of streams that go nowhere.
    unmapped: dict[str, int] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether everything is here."""
        return self.is_whole and not self.others.number and not any(self.faults())

    def faults(self) -> Iterator[tuple[str, StreamResult, Found]]:
        """What is not here: kind, stream, what was found."""
        for kind in FAULTS:
            for stream in self.streams:
                if stream.number(kind):
                    yield kind, stream, stream.found[kind]

    def as_dict(self) -> dict[str, Any]:
        """The verification as JSON takes it, with the commands that mend what is wrong."""
        document = asdict(self)
        faults = [
            {"kind": kind, "stream": s.stream, "table": s.table, "number": f.number, "command": COMMANDS[kind]}
            for kind, s, f in self.faults()
        ]
        if self.others.number:
            number, command = self.others.number, COMMANDS["rejects"]
            faults.append({"kind": "rejects", "stream": None, "table": None, "number": number, "command": command})
        if not self.is_whole:
            command = COMMANDS["not_read"]
            faults.append({"kind": "not_whole", "stream": None, "table": None, "number": None, "command": command})
        return {"complete": self.is_complete, "faults": faults, **document}
