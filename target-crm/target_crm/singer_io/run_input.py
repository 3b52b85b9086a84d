"""What a run's input says of itself: which tap wrote it, from which state on, and whether it ended where the tap ended.

tap-amocrm marks its messages. Other taps know no marker: the end of their input is its end.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from target_crm.errors import IncompleteInputError, NoInputError
from target_crm.presentation.texts.rendering import whole_text

# At the top of every STATE value of tap-amocrm, beside the bookmarks: {"id": ..., "complete": ...}; `following` where
# the tap does not end.
STATE_KEY = "amocrm_run"
# In the schema of its SCHEMA messages: {"tap": ..., "id": ..., "start_state": ...}.
SCHEMA_KEY = "x-amocrm-run"
OTHER_TAP = "other"
# What the marker of a reading that is only to be compared says under `purpose`.
_VERIFY = "verify"


def state_digest(state: Mapping[str, Any]) -> str:
    """SHA-256 of a state's canonical JSON without the marker, in hex.

    Canonical: keys sorted, no blanks, non-ASCII characters as they are, UTF-8. tap-amocrm computes the same.
    """
    plain = {key: value for key, value in state.items() if key != STATE_KEY}
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def is_verification(schema: Mapping[str, Any]) -> bool:
    """Whether a SCHEMA is of a reading that is to be compared, not loaded (`tap-amocrm --verify`)."""
    marker = schema.get(SCHEMA_KEY)
    return isinstance(marker, dict) and marker.get("purpose") == _VERIFY


@dataclass(frozen=True)
class Source:
    """A run of the tap: its name, the account if the SCHEMA names it, and the digest of the state that it started
    from, None where it started from the beginning. `is_scoped`: it reads a part of the account."""

    tap: str
    run: str
    account_id: int | None
    start_state: str | None
    is_scoped: bool = False


@dataclass
class RunInput:
    """Watches the messages of one input. `source` is the first marked run; a file may hold several."""

    messages: int = 0
    source: Source | None = None
    streams: set[str] = field(default_factory=set)
    account_id: int | None = None
    # Whether the tap has read everything and continues: each of its STATEs ends a turn that is worth a commit.
    is_following: bool = False
    _is_complete: dict[str, bool] = field(default_factory=dict)

    def see_schema(self, stream: str, schema: Mapping[str, Any]) -> Source | None:
        """Take note of a SCHEMA; the source, where this is the first message that names it."""
        self.streams.add(stream)
        account = schema.get("x-amocrm-account")
        number = account.get("id") if isinstance(account, dict) else None
        if isinstance(number, int) and not isinstance(number, bool):
            self.account_id = number
        marker = schema.get(SCHEMA_KEY)
        if not isinstance(marker, dict) or not isinstance(marker.get("id"), str):
            return None
        self._is_complete.setdefault(marker["id"], False)
        if self.source is not None:
            return None
        start = marker.get("start_state")
        self.source = Source(
            str(marker.get("tap") or OTHER_TAP),
            marker["id"],
            self.account_id,
            start if isinstance(start, str) else None,
            marker.get("scoped") is True,
        )
        return self.source

    def see_state(self, state: Mapping[str, Any]) -> None:
        """Take note of a STATE's value."""
        marker = state.get(STATE_KEY)
        if isinstance(marker, dict) and isinstance(marker.get("id"), str):
            self._is_complete[marker["id"]] = marker.get("complete") is True
            self.is_following = marker.get("following") is True

    @property
    def tap(self) -> str:
        """The tap's name."""
        return OTHER_TAP if self.source is None else self.source.tap

    @property
    def is_complete(self) -> bool:
        """Whether every marked run has reached its end; an input without marks ends where it ends."""
        return all(self._is_complete.values())

    def require_end(self) -> None:
        """Make sure that there was input, all of it.

        Raises:
            NoInputError: not one Singer message came.
            IncompleteInputError: the tap ended before it had read everything.
        """
        if not self.messages:
            raise NoInputError(whole_text("E_NO_MESSAGES"))
        if not self.is_complete:
            raise IncompleteInputError(whole_text("E_INPUT_INCOMPLETE", {"tap": self.tap}))
