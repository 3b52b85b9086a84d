"""The streams: what each reads, by which bookmark, and how its records reach the output."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar

import pendulum
from singer_sdk import Stream
from singer_sdk.helpers.conform import TypeConformanceLevel
from singer_sdk.mapper import SameRecordTransform

from tap_amocrm.deletions import TYPES, deletions, read_events
from tap_amocrm.errors import ApiError
from tap_amocrm.normalise import normalise, task_result, with_company
from tap_amocrm.reader import ENTITIES
from tap_amocrm.scan import Listing, pages
from tap_amocrm.schemas import schema_of
from tap_amocrm.writer import write_records

if TYPE_CHECKING:
    from tap_amocrm.tap import TapAmoCRM

Record = dict[str, Any]
# An endpoint that the account's plan (402) or the user's rights (403) refuse gives an empty stream.
_REFUSED = (402, 403)


class AmoStream(Stream):
    """Base of all streams: reads pages, writes records, moves one bookmark once all before it is through.

    The bookmark is the server's time at which the reading began, not the newest `updated_at`: API clients may set that
    to any value, and what changes while the list is read must come again.
    """

    primary_keys: ClassVar[list[str]] = ["account_id", "id"]
    TYPE_CONFORMANCE_LEVEL = TypeConformanceLevel.NONE
    is_sorted = False
    bookmarked: ClassVar[bool] = True

    def __init__(self, tap: TapAmoCRM) -> None:
        super().__init__(tap, schema=schema_of(self.name), name=self.name)
        self.amo = tap
        self._began: int | None = None

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """Normalised records from a second on, None for all."""
        raise NotImplementedError(self.name)

    def since(self) -> int | None:
        """Where reading begins: behind the bookmark by `lookback_seconds`, else at `start_date`."""
        run = self.amo.run
        value = self.get_context_state(None).get("replication_key_value") if self.bookmarked else None
        if not value or run.scope_changed:
            return run.settings.start_date if self.bookmarked else None
        moment = pendulum.parse(str(value))
        assert isinstance(moment, pendulum.DateTime)
        return int(moment.timestamp()) - run.settings.lookback_seconds

    def get_records(self, context: Mapping[str, Any] | None) -> Iterable[Record]:
        """All records, one by one."""
        del context
        for records in self._reliable_pages():
            yield from records

    def _reliable_pages(self) -> Iterator[list[Record]]:
        """Pages, counted; the bookmark moves behind the last of them."""
        run = self.amo.run
        ahead = run.prefetch.pages(self.name) if run.prefetch is not None else None
        for records in ahead if ahead is not None else self.unrefused_pages():
            run.metrics.records_by_stream[self.name] += len(records)
            run.progress.advance(self.name, len(records))
            yield records
        if self.bookmarked and self._began is not None:
            state = self.get_context_state(None)
            state["replication_key"] = self.replication_key
            state["replication_key_value"] = pendulum.from_timestamp(self._began).to_iso8601_string()

    def unrefused_pages(self) -> Iterator[list[Record]]:
        """Pages; none, with a warning, where the account's plan or the user's rights refuse the endpoint."""
        self._began = int(self.amo.run.client.now())
        try:
            yield from self.pages(self.since())
        except ApiError as error:
            if error.status not in _REFUSED:
                raise
            self._began = None
            self.logger.warning("Stream %s stays empty: %s", self.name, error)

    def _sync_records(
        self, context: Mapping[str, Any] | None = None, *, write_messages: bool = True
    ) -> Generator[Record, Any, Any]:
        """The SDK's loop, but for pages of records: no copy, no per-record bookkeeping.

        With stream maps or deselected properties, and in dry runs, the SDK's own loop does it.
        """
        plain = all(isinstance(m, SameRecordTransform) for m in self.stream_maps) and all(self.mask.values())
        if context or not plain or not write_messages or self.ABORT_AT_RECORD_COUNT is not None or not self.selected:
            yield from super()._sync_records(context, write_messages=write_messages)
            return
        with self.get_record_counter() as counter, self.get_sync_timer():
            for records in self._reliable_pages():
                if records:
                    write_records(self.name, records, pendulum.now("UTC").to_iso8601_string())
                    counter.increment(len(records))
        self._write_state_message()

    def _increment_stream_state(self, latest_record: Record, *, context: Mapping[str, Any] | None = None) -> None:
        """The bookmark moves once, at the end of the stream."""

    def _write_starting_replication_value(self, context: Mapping[str, Any] | None) -> None:
        """The bookmark in the state is the starting value; nothing else is kept there."""

    def _generate_schema_messages(self) -> Generator[Any, None, None]:
        for message in super()._generate_schema_messages():
            message.schema = {**message.schema, "x-amocrm-account": self.amo.run.account.annotation()}
            yield message


class EntityStream(AmoStream):
    """Companies, contacts, leads."""

    replication_key = "updated_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """What changed, or with a scope what belongs to it."""
        run = self.amo.run
        if not run.settings.scoped:
            source = run.reader.changed(self.name, since)
        elif self.name == "companies":
            source = run.scope.company_records(since)
        else:
            source = run.scope.linked_records(self.name, since)
        for records in source:
            yield [self.shape(normalise(r, run.account.id)) for r in records]

    def shape(self, record: Record) -> Record:
        """Adds what the stream promises beside the API's own properties."""
        return record if self.name == "companies" else with_company(record)


class Companies(EntityStream):
    """Companies, with their custom fields whole."""

    name = "companies"


class Contacts(EntityStream):
    """Contacts, with `company_id`."""

    name = "contacts"


class Leads(EntityStream):
    """Leads, with `company_id`."""

    name = "leads"


class Notes(AmoStream):
    """Notes of companies, contacts and leads in one stream; `entity_type` says of what."""

    name = "notes"
    replication_key = "updated_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """One kind of entity after another: the API has no list of all notes."""
        run = self.amo.run
        for entity in ENTITIES:
            scoped = run.settings.scoped
            source = run.scope.notes(entity, since) if scoped else run.reader.changed(f"{entity}/notes", since)
            for records in source:
                yield [normalise(r, run.account.id, entity_type=entity) for r in records]


class Tasks(AmoStream):
    """Tasks of every kind of entity; without a scope also those that hang on nothing."""

    name = "tasks"
    replication_key = "updated_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """What changed, or with a scope what belongs to it."""
        run = self.amo.run
        source = run.scope.tasks(since) if run.settings.scoped else run.reader.changed("tasks", since)
        for records in source:
            yield [task_result(normalise(r, run.account.id)) for r in records]


class SmallStream(AmoStream):
    """Lists that are read whole each time; `lists` are pairs of path and entity type."""

    bookmarked = False
    replication_method = "FULL_TABLE"
    lists: ClassVar[tuple[tuple[str, str | None], ...]] = ()
    extra: ClassVar[tuple[tuple[str, str], ...]] = ()

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """All records of all the stream's lists."""
        del since
        run = self.amo.run
        for path, entity in self.lists:
            listing = Listing(self.name, f"/api/v4/{path}", path.rsplit("/", 1)[-1], self.extra)
            added = {"entity_type": entity} if entity else {}
            try:
                for records in pages(run.client, listing, []):
                    yield [normalise(r, run.account.id, **added) for r in records]
            except ApiError as error:
                # Customers are a matter of the plan; their fields and tags are not missed.
                if error.status not in (*_REFUSED, 404) or entity != "customers":
                    raise


class Users(SmallStream):
    """Users with their rights; only administrators may list them."""

    name = "users"
    lists = (("users", None),)
    extra = (("with", "role,group,uuid,amojo_id,user_rank,phone_number"),)


class Pipelines(SmallStream):
    """Pipelines of leads with their statuses."""

    name = "pipelines"
    lists = (("leads/pipelines", None),)


class LossReasons(SmallStream):
    """Reasons for which leads are lost."""

    name = "loss_reasons"
    lists = (("leads/loss_reasons", None),)


class CustomFields(SmallStream):
    """Definitions of custom fields of every kind of entity."""

    name = "custom_fields"
    lists = tuple((f"{e}/custom_fields", e) for e in (*ENTITIES, "customers"))


class Tags(SmallStream):
    """Tags of every kind of entity."""

    name = "tags"
    lists = tuple((f"{e}/tags", e) for e in (*ENTITIES, "customers"))


class Events(AmoStream):
    """The account's events; they have no `updated_at`."""

    name = "events"
    replication_key = "created_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """Events from a second on."""
        run = self.amo.run
        for events in read_events(run.client, self.name, since):
            yield [normalise(e, run.account.id) for e in events]


class DeletedRecords(AmoStream):
    """What was deleted, merged away or restored; restored records are read again into their own streams."""

    name = "deleted_records"
    replication_key = "deleted_at"

    def pages(self, since: int | None) -> Iterator[list[Record]]:
        """The last word on every entity that an event since then is about."""
        run = self.amo.run
        events = [e for page in read_events(run.client, self.name, since, TYPES) for e in page]
        yield deletions(events, run.account.id)


STREAMS: tuple[type[AmoStream], ...] = (
    Users,
    Pipelines,
    LossReasons,
    CustomFields,
    Tags,
    Companies,
    Contacts,
    Leads,
    Notes,
    Tasks,
    Events,
    DeletedRecords,
)
