"""What can go wrong, each with a sentence that says what to do. None of them ever carries a secret."""

from __future__ import annotations


class TargetError(Exception):
    """Base of every error that target-crm raises on purpose."""


class ConfigError(TargetError):
    """A setting is missing or wrong; the message names it."""


class MappingError(TargetError):
    """The mapping does not fit itself or the database; the message names file, line and remedy."""


class MessageError(TargetError):
    """A line is no Singer message; the message names the line's number."""


class RecordError(TargetError):
    """One record can't be loaded; it goes to `sync_rejects`, the others are loaded."""


class TooManyRejectsError(TargetError):
    """More than `max_bad_records` records were rejected."""


class GuardError(TargetError):
    """The run would change or delete more than a guard allows; nothing of the batch was written."""


class BusyError(TargetError):
    """Another load holds this account's lock."""


class DatabaseError(TargetError):
    """The database refused or went away."""
