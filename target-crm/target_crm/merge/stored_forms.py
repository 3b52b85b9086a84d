"""Remembers values that triggers store instead of the written ones in `raw_fields`, so that they do not count as edits.

Rows are written once to find these values, rolled back, and written again together with them.
"""

from __future__ import annotations

import json
from typing import NamedTuple

from target_crm.merge.session import MergeSession
from target_crm.sql import stored
from target_crm.sql.spec import MergeSpec


class StoredForm(NamedTuple):
    """By sequence of the record: the stored values by column, as JSON."""

    seq: int
    form: str


def find(session: MergeSession, spec: MergeSpec) -> list[StoredForm]:
    """Values of the plan's rows that differ from the written ones."""
    return [StoredForm(seq, json.dumps(form)) for seq, form in session.run(stored.other_forms(spec)).fetchall()]


def find_of_new(session: MergeSession, spec: MergeSpec) -> list[StoredForm]:
    """Values of inserted rows that differ from the written ones."""
    return [StoredForm(seq, json.dumps(form)) for seq, form in session.run(stored.other_forms_of_new(spec)).fetchall()]


def remember(session: MergeSession, spec: MergeSpec, forms: list[StoredForm]) -> None:
    """Add them to `raw_fields` of the plan."""
    session.run(stored.remember(spec, forms, new=False))


def remember_of_new(session: MergeSession, spec: MergeSpec, forms: list[StoredForm]) -> None:
    """Add them to `raw_fields` of staged new records."""
    session.run(stored.remember(spec, forms, new=True))
