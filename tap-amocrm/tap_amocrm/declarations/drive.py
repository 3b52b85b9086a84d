"""The files on the account's drive."""

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
