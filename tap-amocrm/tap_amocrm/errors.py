"""What can go wrong between us and the account, each with a sentence that says what to do. Secrets never appear."""

from __future__ import annotations

from tap_amocrm.error_codes import code_of


class TapError(Exception):
    """Base of every error that tap-amocrm raises on purpose."""

    @property
    def code(self) -> str:
        """The stable code of this kind of error (docs/errors.md)."""
        return code_of(type(self)).code

    @property
    def message(self) -> str:
        """What a log or a terminal shows: the sentence and the code."""
        return f"{self} [{self.code}]"


class ConfigError(TapError):
    """A setting is missing or wrong; the message names it."""


class UnknownSettingError(ConfigError):
    """A name is no setting, or one that has no effect here; the message names the nearest."""


class FileError(ConfigError):
    """A file that an option names can't be read, or is not JSON."""


class CatalogError(ConfigError):
    """The catalog asks for nothing that this tap can read."""


class StreamMapError(ConfigError):
    """An expression of stream_maps can't be read."""


class AuthorisationError(TapError):
    """The token is refused, or the chain of refresh tokens is broken."""


class AccountBlockedError(TapError):
    """amoCRM answers 403 as HTML: the address is blocked. Going on would make it worse."""


class UnreachableError(TapError):
    """No usable answer after all retries."""


class ApiError(TapError):
    """The API refused a request with a problem body."""

    def __init__(self, status: int, path: str, title: str) -> None:
        super().__init__(f"{path}: the API answers {status} {title}".strip())
        self.status, self.path = status, path


class UrlTooLongError(ApiError):
    """414: the batch of ids must be smaller."""
