"""What can go wrong, each with a sentence that says what to do. None of them ever carries a secret."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from target_crm.problems import Problem

if TYPE_CHECKING:
    from typing_extensions import Self


class TargetError(Exception):
    """Base of every error that target-crm raises on purpose. `problem` is its code with arguments, where it has one."""

    problem: Problem | None = None

    @classmethod
    def of(cls, code: str, **args: Any) -> Self:
        """An error with a code of the registry; its message is the code's English text with its remedy."""
        problem = Problem(code, args)
        error = cls(problem.whole_text())
        error.problem = problem
        return error

    def text(self, language: str) -> str:
        """The message in a language; empty where it can be said in English only."""
        if self.problem is not None:
            return self.problem.whole_text(language)
        return str(self) if language == "en" else ""


class Interrupted(BaseException):
    """SIGTERM or Ctrl-C."""


class ConfigError(TargetError):
    """A setting is missing or wrong; the message names it."""


class MissingExtraError(ConfigError):
    """What was asked for needs an extra of the package that is not installed; the message has the pip command."""


class MappingError(TargetError):
    """The mapping does not fit itself or the database; the message names file, line and remedy."""


class MessageError(TargetError):
    """A line is not a Singer message; `problem` names the line's number."""

    problem: Problem

    def __init__(self, code: str, **args: Any) -> None:
        self.problem = Problem(code, args)
        super().__init__(self.problem.text())


class RecordError(TargetError):
    """One record can't be loaded; it goes to `sync_rejects`, the others are loaded. `problem` says why."""

    problem: Problem

    def __init__(self, code: str, **args: Any) -> None:
        self.problem = Problem(code, args)
        super().__init__(self.problem.text())


class CellError(ValueError):
    """A value that its column can't take: a warning, the rest of the record is merged. `problem` says why."""

    def __init__(self, code: str, **args: Any) -> None:
        self.problem = Problem(code, args)
        super().__init__(self.problem.text())


class RefusedMessageError(TargetError):
    """A message that can't be passed over without losing records; the run stops before it."""


class StrictError(TargetError):
    """A record is rejected, and `on_bad_record` is `fail`."""


class OutcomeError(TargetError):
    """The load worked, what came in did not; the run's notices say the same as the message."""


class NoInputError(OutcomeError):
    """Not one Singer message came."""


class IncompleteInputError(OutcomeError):
    """The tap ended before it had read everything; what came is committed."""


class VerificationInputError(TargetError):
    """What came is to be compared, not loaded; nothing was written."""


class StreamRejectedError(OutcomeError):
    """Every record of a stream was rejected; what else came is committed."""


class TooManyRejectsError(TargetError):
    """More than `max_bad_records` records were rejected."""


class GuardError(TargetError):
    """The run would change or delete more than a guard allows; nothing of the batch was written."""


class DeliveryError(TargetError):
    """A message could not be sent."""


class BusyError(TargetError):
    """Another load holds this account's lock."""


class DatabaseError(TargetError):
    """The database refused or went away."""


class TooManyConnectionsError(DatabaseError):
    """The database takes no more connections of this role, or none at all."""
