"""What a catalog asks of this tap: streams that it has, in ways in which it can read them."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from typing import Any

from singer_sdk import Stream

from tap_amocrm.config.setting_names import nearest
from tap_amocrm.declarations import BY_NAME
from tap_amocrm.errors import CatalogError

logger = logging.getLogger("tap-amocrm")
FULL_TABLE, INCREMENTAL = "FULL_TABLE", "INCREMENTAL"


def check_catalog(streams: Iterable[Stream], named: Collection[str]) -> None:
    """Refuse a catalog that would read nothing or in a way that no stream has; warn of what has no effect.

    Args:
        streams: The tap's streams, with the catalog applied.
        named: The streams that the catalog names; empty where none was given.

    Raises:
        CatalogError: no stream is selected, a replication method is unknown, or the stream is missing that another
            one is made of.
    """
    streams = list(streams)
    known = [stream.name for stream in streams]
    for name in sorted(set(named) - set(known)):
        near = nearest(name, known)
        hint = f" Did you mean {near}?" if near else ""
        logger.warning("The catalog names the stream %s, which tap-amocrm does not have.%s", name, hint)
    selected = [stream for stream in streams if stream.selected]
    if not selected:
        msg = f"The catalog selects no stream. Select some of {', '.join(known)}."
        raise CatalogError(msg, problem="nothing_selected")
    for stream in selected:
        _check_replication(stream)
        _check_owner(stream.name, [s.name for s in selected])


def _check_owner(name: str, selected: Collection[str]) -> None:
    """A stream that is made of another one's records needs that one."""
    declared = BY_NAME.get(name)
    if declared is None or not declared.derived:
        return
    missing = [owner for owner in declared.parents if owner not in selected]
    owners = ", ".join(missing)
    if len(missing) == len(declared.parents):
        are = "is" if len(missing) == 1 else "are"
        msg = f"Stream {name} is derived from {owners}, which {are} not selected. Select {owners} as well."
        raise CatalogError(msg, problem="no_owner", stream=name)
    if missing:
        logger.warning("Stream %s does without %s: not selected.", name, owners)


def _check_replication(stream: Stream) -> None:
    declared: Any = getattr(type(stream), "replication_key", None)
    method, own = stream.forced_replication_method, declared if isinstance(declared, str) else None
    if method not in (None, "", FULL_TABLE, INCREMENTAL):
        msg = (
            f"Stream {stream.name}: the catalog's replication method {method!r} must be {FULL_TABLE} or {INCREMENTAL}."
        )
        raise CatalogError(msg, problem="replication_method", stream=stream.name)
    if method == INCREMENTAL and own is None:
        logger.warning("Stream %s is read whole: it has no replication key.", stream.name)
    if stream.replication_key not in (None, own):
        logger.warning(
            "Stream %s: the catalog's replication key %s has no effect; the stream goes by %s.",
            stream.name, stream.replication_key, own,
        )  # fmt: skip
    stream.replication_key = own
