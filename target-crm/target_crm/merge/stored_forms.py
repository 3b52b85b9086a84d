"""What triggers store instead of what was written: remembered in the raw record, so that it is not an edit later.

Rows are written once to find it out, taken back, and written again with a raw record that remembers it.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from target_crm.merge.session import MergeSession
from target_crm.sql import stored
from target_crm.sql.spec import MergeSpec


class StoredForm(NamedTuple):
    """Of a record by its sequence: what the row holds, by column, as JSON."""

    seq: int
    form: str


def find(session: MergeSession, spec: MergeSpec) -> list[StoredForm]:
    """What the rows of the plan hold otherwise than written."""
    return [StoredForm(seq, json.dumps(form)) for seq, form in session.run(stored.other_forms(spec)).fetchall()]


def find_of_new(session: MergeSession, spec: MergeSpec) -> list[StoredForm]:
    """What inserted rows hold otherwise than written."""
    return [StoredForm(seq, json.dumps(form)) for seq, form in session.run(stored.other_forms_of_new(spec)).fetchall()]


def remember(session: MergeSession, spec: MergeSpec, forms: list[StoredForm]) -> None:
    """Put them into the raw records of the plan."""
    session.run(stored.remember(spec, forms, new=False))


def remember_of_new(session: MergeSession, spec: MergeSpec, forms: list[StoredForm]) -> None:
    """Put them into the raw records of staged new records."""
    session.run(stored.remember(spec, forms, new=True))
