"""The files on the account's drive, and what they belong to."""

from __future__ import annotations

from tap_amocrm.declarations.declaration import Declaration, Reading
from tap_amocrm.declarations.properties import BOOLEAN, DELETED, INTEGER, KEYS, LINKS, OBJECT, TEXT, TIME

# One for each file; a new version of it changes `version_uuid` and `updated_at`. Those in the bin come as deleted.
FILES = Declaration(
    "files",
    Reading.DRIVE,
    replication_key="updated_at",
    selected=False,
    urgent=False,
    properties={
        **KEYS,
        "uuid": TEXT,
        "version_uuid": TEXT,
        "type": TEXT,
        "name": TEXT,
        "sanitized_name": TEXT,
        "size": INTEGER,
        "source_id": INTEGER,
        "is_trashed": BOOLEAN,
        "has_multiple_versions": BOOLEAN,
        "metadata": OBJECT,
        "previews": OBJECT,
        "created_at": TIME,
        "created_by": OBJECT,
        "updated_at": TIME,
        "updated_by": OBJECT,
        "deleted_at": TIME,
        "deleted_by": OBJECT,
        **DELETED,
        **LINKS,
    },
)

# One for each place in which a file may hang: a note, or a custom field of a card. They cost no request: they leave
# together with the records that name them.
FILE_LINKS = Declaration(
    "file_links",
    Reading.FILE_LINKS,
    replication_key="updated_at",
    parents=("companies", "contacts", "leads", "notes"),
    selected=False,
    properties={
        **KEYS,
        "file_uuid": TEXT,
        "version_uuid": TEXT,
        "file_name": TEXT,
        "file_size": INTEGER,
        "entity_type": TEXT,
        "entity_id": INTEGER,
        "note_id": INTEGER,
        "field_id": INTEGER,
        "updated_at": TIME,
        **DELETED,
    },
)
