"""Merges the child rows (phones, e-mail addresses) of rows whose items changed."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

from target_crm.mapping.check import read_columns
from target_crm.mapping.foreign_keys import ForeignKey, keys_to
from target_crm.merge.session import MergeSession
from target_crm.sql import sets
from target_crm.sql.spec import MergeSpec

logger = logging.getLogger("target-crm")


def merge_child_rows(session: MergeSession, spec: MergeSpec) -> None:
    """Remove, update and insert child rows of the rows of a plan, each set in turn."""
    for index in range(len(spec.item_sets)):
        one = sets.SetSpec(spec, index)
        drop, owners, *rest = sets.create_items(one)
        session.run(drop)
        if not session.run(owners).rowcount:
            continue
        for statement in rest:
            session.run(statement)
        _remove(session, one)
        last = session.run(sets.last_entry(one)).fetchone() if one.remembers else None
        session.run(sets.update_items(one))
        session.run(sets.insert_items(one))
        if last is not None:
            session.run(sets.remember_stored(one, last[0]))
        if session.has_triggers(one.live):
            row = session.run(sets.left_over(one)).fetchone()
            session.skip_items(one.live, row[0] if row else 0)


def _remove(session: MergeSession, one: sets.SetSpec) -> None:
    """Remove items that amoCRM dropped: lock the rows first, then check the application's columns and foreign keys."""
    known = one.live
    live = replace(known, columns=read_columns(session.connection, known.schema, known.name))
    gone = session.run(sets.lock_gone(one, live)).rowcount
    if not gone:
        return
    pointing = keys_to(session.connection, known.schema, known.name)
    kept = gone - session.run(sets.remove_items(one, live, pointing)).rowcount
    if kept > 0:
        tell_kept(known.name, kept, pointing)


def tell_kept(table: str, kept: int, pointing: Sequence[ForeignKey]) -> None:
    """Log that rows of a set are kept although their items were removed in amoCRM."""
    tables = ", ".join(sorted({".".join(key.table) for key in pointing}))
    logger.warning(
        "%s: %d rows whose items were removed in amoCRM are kept, because foreign keys may reference them (%s).",
        table,
        kept,
        tables,
    )
