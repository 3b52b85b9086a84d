"""What can go wrong between us and the account, each with a sentence that says what to do. Secrets never appear."""

from __future__ import annotations


class TapError(Exception):
    """Base of every error that tap-amocrm raises on purpose."""


class ConfigError(TapError):
    """A setting is missing or wrong; the message names it."""


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
