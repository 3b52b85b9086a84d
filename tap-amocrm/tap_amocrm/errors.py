"""What can go wrong between us and the account, each with a sentence that says what to do. Secrets never appear."""

from __future__ import annotations

import time
from typing import Any

from tap_amocrm.error_codes import Language, code_of

BLOCKED = (
    "amoCRM has blocked this address (403 as HTML) after too many requests. Stop all integrations that run from this "
    "address, and contact amoCRM's support; further requests prolong the block."
)


class TapError(Exception):
    """Base of every error that tap-amocrm raises on purpose.

    Args:
        message: What happened and what to do.
        parameters: What the code's texts name, as JSON takes it (docs/errors.md); those of a kind that lists some are
            required.

    Raises:
        KeyError: a parameter of the code is missing.
    """

    def __init__(self, message: str = "", **parameters: Any) -> None:
        super().__init__(message)
        missing = set(code_of(type(self)).parameters) - parameters.keys()
        if missing:
            raise KeyError(f"{type(self).__name__} lacks {', '.join(sorted(missing))}")
        self.parameters: dict[str, Any] = parameters

    @property
    def code(self) -> str:
        """The stable code of this kind of error (docs/errors.md)."""
        return code_of(type(self)).code

    def text(self, language: Language) -> str:
        """What the code and its parameters say, in a language; `str` says more, in English."""
        return code_of(type(self)).rendered(self.parameters, language)

    @property
    def extra(self) -> dict[str, Any]:
        """What a log line in JSON carries beside the message."""
        return {
            "error_code": self.code,
            "error_parameters": self.parameters,
            "error_text_ru": self.text("ru"),
        }

    @property
    def message(self) -> str:
        """What a log or a terminal shows: the sentence and the code."""
        return f"{self} [{self.code}]"


class ConfigError(TapError):
    """A setting is missing or wrong; the message names it."""


class UnknownSettingError(ConfigError):
    """A name that is not a setting, or a setting without effect here; the message names the nearest one."""


class FileError(ConfigError):
    """A file that an option names can't be read, or is not JSON."""


class CatalogError(ConfigError):
    """The catalog asks for nothing that this tap can read."""


class StreamMapError(ConfigError):
    """An expression of stream_maps can't be read."""


class StateError(TapError):
    """The state that the run was given is not one; the message says where."""


class OutputError(TapError):
    """Messages can't be written to standard output."""


class AuthorisationError(TapError):
    """The token is refused, or the chain of refresh tokens is broken."""


class AccountBlockedError(TapError):
    """amoCRM answers 403 as HTML: the address is blocked. Going on would make it worse."""


class UnreachableError(TapError):
    """No usable answer after all retries."""


class PausedError(TapError):
    """The service asks for a pause that is longer than a run waits."""

    @classmethod
    def of(cls, seconds: float, what: str) -> PausedError:
        """The error for a pause that ends some seconds from now."""
        until = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time.time() + seconds))
        return cls(
            f"{what} and requests a wait of {seconds:,.0f} s (Retry-After), until {until}. No request is sent before "
            f"that time; run again then. What was loaded stays.",
            seconds=round(seconds),
            until=until,
        )


class ApiError(TapError):
    """The API refused a request with a problem body."""

    def __init__(self, status: int, path: str, title: str) -> None:
        super().__init__(f"{path}: the API answers {status} {title}".strip(), status=status, path=path)
        self.status, self.path = status, path


class DriveError(TapError):
    """The account names no drive, or one that the token is not sent to."""


class PlaceError(TapError):
    """The place for downloaded files can't be used."""


class UrlTooLongError(ApiError):
    """414: the batch of ids must be smaller."""
