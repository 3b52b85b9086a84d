"""All streams, in the order in which a target can link what comes."""

from __future__ import annotations

from tap_amocrm.streams.base import AmoStream
from tap_amocrm.streams.entities import Companies, Contacts, Leads, Notes, Tasks
from tap_amocrm.streams.events import DeletedRecords, Events
from tap_amocrm.streams.optional import OPTIONAL
from tap_amocrm.streams.small import CustomFields, LossReasons, Pipelines, Tags, TaskTypes, Users

STREAMS: tuple[type[AmoStream], ...] = (
    Users,
    Pipelines,
    LossReasons,
    TaskTypes,
    Companies,
    Contacts,
    Leads,
    Notes,
    Tasks,
    CustomFields,
    Tags,
    *OPTIONAL,
    Events,
    DeletedRecords,
)
