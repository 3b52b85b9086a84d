"""How a target recognises a complete run, and the state that a run started from."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Mapping
from typing import Any

# Key of the marker at the top of every STATE value, beside the bookmarks.
STATE_KEY = "amocrm_run"
# Keyword of the marker in the schema of every SCHEMA message; JSON Schema ignores keywords that it does not know.
SCHEMA_KEY = "x-amocrm-run"
# What the marker of a reading that is only to be compared says under `purpose`.
VERIFY = "verify"


def state_digest(state: Mapping[str, Any] | None) -> str | None:
    """SHA-256 of a state's canonical JSON without the marker, in hex; None for an empty state.

    Canonical: keys sorted, no blanks, non-ASCII characters as they are, UTF-8.
    """
    plain = {key: value for key, value in (state or {}).items() if key != STATE_KEY}
    if not plain:
        return None
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class RunMarker:
    """The identity of one run of the tap: marks its messages, and its last STATE as the end of a complete run.

    Args:
        start_state: The state that the run was given, None or empty on a first run.
        verifies: Whether what is read is to be compared, not loaded.
    """

    def __init__(self, start_state: Mapping[str, Any] | None, *, verifies: bool = False) -> None:
        self.id = str(uuid.uuid4())
        self.verifies = verifies
        # Whether everything has been read once, and the run continues: each STATE is then the end of a turn.
        self.following = False
        self.start_state = state_digest(start_state)

    def in_schema(self, *, scoped: bool = False) -> dict[str, Any]:
        """What SCHEMA messages carry under `x-amocrm-run`; of a verification also whether it reads a part of the
        account."""
        marker = {"tap": "tap-amocrm", "id": self.id, "start_state": self.start_state}
        return {**marker, "purpose": VERIFY, "scoped": scoped} if self.verifies else marker

    def in_state(self, *, complete: bool) -> dict[str, Any]:
        """What STATE messages carry under `amocrm_run`; `complete` only in the last one of a run that read all.

        `following` is in those of a run that continues, each of which is worth a commit.
        """
        marker: dict[str, Any] = {"id": self.id, "complete": complete}
        return marker | {"following": True} if self.following and not complete else marker
