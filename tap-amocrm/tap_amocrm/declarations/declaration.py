"""How a stream is declared: its lists, keys, parents, events and schema; docs/adding-a-stream.md shows the steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from singer_sdk import typing as th

from tap_amocrm.shapes import Record

Properties = Mapping[str, Any]
# The event of a merge: the records merged into another one leave their list.
MERGED = "entity_merged"
_API = "/api/v4/"
_KEY = ("account_id", "id")


class Reading(Enum):
    """How a stream is read."""

    # Companies, contacts and leads: what changed since the bookmark; with a scope, what belongs to it.
    ENTITIES = "entities"
    # Notes and tasks: like entities, but they leave their list with what they belong to, too.
    CHILDREN = "children"
    # Lists that are read whole by every run.
    WHOLE = "whole"
    # Lists of which there is one for each record of another list.
    NESTED = "nested"
    # A list within the account's own record, which costs no request.
    ACCOUNT = "account"
    # Entries of a list that another stream's records embed, which cost no request.
    DERIVED = "derived"
    EVENTS = "events"
    # Which files other streams' records name.
    FILE_LINKS = "file_links"
    # The files on the account's drive, a separate host.
    DRIVE = "drive"
    # What the events say of records that were deleted, merged or restored.
    DELETIONS = "deletions"


@dataclass(frozen=True)
class Listing:
    """A list of the API.

    Args:
        name: Its path below `/api/v4/`.
        key: The list under `_embedded`; by default the last part of the path.
        params: Parameters of every request.
        entity_type: Of what kind of entity its records are, where the records do not say so.
        needs_filter_package: Whether the list takes `filter[updated_at]` in accounts with the filter package alone.
        orders_by_time: Whether the list can be ordered by `updated_at`.
        stream: The stream that it feeds; filled in by the declaration.
    """

    name: str
    key: str = ""
    params: tuple[tuple[str, str], ...] = ()
    entity_type: str | None = None
    needs_filter_package: bool = False
    orders_by_time: bool = True
    stream: str = ""

    @property
    def path(self) -> str:
        """The path of its requests."""
        return _API + self.name


@dataclass(frozen=True)
class Embedded:
    """A list under `_embedded` of another stream's records, whose entries are a separate stream.

    Args:
        name: Of the list.
        owner: The property that takes the ID of the record that embeds it.
        entry: The property that takes the ID of an entry; none where an entry is a whole record.
        keeps: What else of an entry is kept.
        of: The stream of the entries.
        key: Which two IDs the key of a link is made of, in their order.
    """

    name: str
    owner: str
    entry: str = ""
    keeps: tuple[str, ...] = ()
    of: str = ""
    key: tuple[str, ...] = ()


@dataclass(frozen=True)
class Declaration:
    """One stream; everything else about it is derived from here.

    Args:
        name: Of the stream.
        reading: How it is read.
        properties: The schema of its records; a property that it does not name is kept, too.
        listings: The lists that feed it.
        replication_key: The property with a record's time, where the stream is incremental.
        parents: Streams whose records its own ones belong to.
        event_entity: What the events call one of its records.
        deleted_by: Types of events that take a record out of its list.
        restored_by: Types of events that bring one back.
        derive: Fills in properties that follow from others; takes and returns a record.
        identity: The property that identifies a record, where that is not `id`.
        remembered: Whether the stream is not read again within `definitions_lifetime`.
        named_by: Properties of other streams' records that hold an ID of this stream; an unknown one makes a
            remembered stream be read again.
        urgent: Whether its requests go first; others fill what the rate limit leaves free.
        selected: Whether it is selected where the catalog does not say so.
        embedded: The list that a derived stream is made of; `parents` names the one stream that embeds it.
        keys: The primary key.
    """

    name: str
    reading: Reading
    properties: Properties
    listings: tuple[Listing, ...] = ()
    replication_key: str | None = None
    parents: tuple[str, ...] = ()
    event_entity: str | None = None
    deleted_by: tuple[str, ...] = ()
    restored_by: tuple[str, ...] = ()
    derive: Callable[[Record], Record] | None = None
    identity: str = "id"
    remembered: bool = False
    named_by: tuple[str, ...] = ()
    urgent: bool = True
    selected: bool = True
    embedded: Embedded | None = None
    keys: tuple[str, ...] = _KEY

    def __post_init__(self) -> None:
        """Let each list know its stream and its key."""
        named = (replace(x, stream=self.name, key=x.key or x.name.rsplit("/", 1)[-1]) for x in self.listings)
        object.__setattr__(self, "listings", tuple(named))

    @property
    def incremental(self) -> bool:
        """Whether its lists are read by what changed."""
        return self.reading in (Reading.ENTITIES, Reading.CHILDREN)

    @property
    def derived(self) -> bool:
        """Whether it is made of what other streams' records hold."""
        return self.reading in (Reading.DERIVED, Reading.FILE_LINKS)

    @property
    def schema(self) -> dict[str, Any]:
        """The JSON schema; the keys are required, everything else may be null."""
        properties = (th.Property(name, kind, required=name in self.keys) for name, kind in self.properties.items())
        return th.PropertiesList(*properties).to_dict()
