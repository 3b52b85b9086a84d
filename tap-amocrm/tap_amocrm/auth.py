"""Authorisation of requests: a long-lived token, or OAuth 2 with single-use refresh tokens."""

from __future__ import annotations

import hashlib
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import requests

from tap_amocrm.errors import AccountBlockedError, AuthorisationError, ConfigError, UnreachableError
from tap_amocrm.token_store import TokenStore

Send = Callable[[str, dict[str, Any]], requests.Response]
# A token is renewed this many seconds before it ends: requests under way still use it.
_AHEAD = 300


class Authenticator(Protocol):
    """What the client needs of any kind of authorisation."""

    def authorization(self) -> str:
        """The value of the Authorization header."""
        ...

    def renew(self, rejected: str) -> bool:
        """After a 401: whether another token is there now and the request may be repeated."""
        ...


class LongLivedToken:
    """A token that a person made in the integration's settings; it can't be renewed."""

    def __init__(self, token: str) -> None:
        self._token = token

    def authorization(self) -> str:
        """The header's value."""
        return f"Bearer {self._token}"

    def renew(self, rejected: str) -> bool:
        """Nothing to renew: False."""
        del rejected
        return False


class OAuth:
    """Access tokens of 24 hours, renewed by refresh tokens that are good once (amocrm.ru/developers, OAuth).

    The rotated refresh token is on disk before the access token that came with it is used.
    """

    def __init__(self, config: Mapping[str, Any], store: TokenStore, send: Send, url: str) -> None:
        self._client = {k: str(config.get(k) or "") for k in ("client_id", "client_secret", "redirect_uri")}
        self._code = config.get("authorization_code")
        self._first_refresh = config.get("refresh_token")
        seed = f"{self._code or ''}|{self._first_refresh or ''}"
        # Of the settings' own token only a digest is kept: a new one means that a person authorised anew.
        self._seed = hashlib.sha256(seed.encode()).hexdigest()
        self._store, self._send, self._url = store, send, f"{url}/oauth2/access_token"
        self._tokens: dict[str, Any] = {}
        self._lock = threading.Lock()

    def authorization(self) -> str:
        """The header's value; renews a token that ends soon.

        Raises:
            AuthorisationError: the chain is broken; a person must authorise again.
        """
        with self._lock:
            if self._tokens.get("expires_at", 0) - _AHEAD < time.time():
                self._refresh(self._tokens.get("access_token"))
            return f"Bearer {self._tokens['access_token']}"

    def renew(self, rejected: str) -> bool:
        """Another token after a 401; True unless it is the same as the rejected one."""
        with self._lock:
            if rejected == f"Bearer {self._tokens.get('access_token')}":
                self._refresh(self._tokens.get("access_token"))
            return rejected != f"Bearer {self._tokens['access_token']}"

    def _refresh(self, rejected: str | None) -> None:
        with self._store.locked():
            stored = self._store.read()
            if stored.get("seed") != self._seed and (self._code or self._first_refresh):
                stored = {}
            fresh = stored.get("expires_at", 0) - _AHEAD > time.time()
            if fresh and stored.get("access_token") != rejected:
                self._tokens = stored  # another process was faster
                return
            tokens = self._exchange(stored.get("refresh_token"))
            self._store.write(tokens)
            self._tokens = tokens

    def _exchange(self, refresh_token: str | None) -> dict[str, Any]:
        if refresh_token is None and not self._code and not self._first_refresh:
            msg = "There is no refresh token yet: give authorization_code or refresh_token, or run tap-amocrm-login."
            raise ConfigError(msg)
        body: dict[str, Any] = dict(self._client)
        if refresh_token is None and self._code:
            body |= {"grant_type": "authorization_code", "code": self._code}
        else:
            body |= {"grant_type": "refresh_token", "refresh_token": refresh_token or self._first_refresh}
        try:
            answer = self._send(self._url, body)
        except requests.RequestException as error:
            msg = f"The token could not be renewed: {type(error).__name__}. Run again."
            raise UnreachableError(msg) from None
        if answer.status_code != 200:
            raise _refused(answer, str(body["grant_type"]))
        given = answer.json()
        return {
            "access_token": given["access_token"],
            "refresh_token": given["refresh_token"],
            "expires_at": time.time() + float(given.get("expires_in", 86_400)),
            "seed": self._seed,
        }


def _refused(answer: requests.Response, grant: str) -> Exception:
    if answer.status_code == 403 and "html" in answer.headers.get("Content-Type", ""):
        return AccountBlockedError(BLOCKED)
    if answer.status_code >= 500:
        return UnreachableError(f"The token could not be renewed: the service answers {answer.status_code}. Run again.")
    what = "authorisation code (good once, for 20 minutes)" if grant == "authorization_code" else "refresh token"
    return AuthorisationError(
        f"amoCRM refuses the {what}, or client_id, client_secret or redirect_uri is wrong "
        f"(answer {answer.status_code}). Authorise the integration again with tap-amocrm-login."
    )


BLOCKED = (
    "amoCRM has blocked this address (403 as HTML) after too many requests. Stop all integrations that run from here "
    "and write to amoCRM's support; running again only prolongs it."
)


def from_config(config: Mapping[str, Any], url: str, send: Send) -> Authenticator:
    """The authorisation that the settings ask for.

    Raises:
        ConfigError: neither a token nor an OAuth client is given; names what is missing.
    """
    if config.get("access_token"):
        return LongLivedToken(str(config["access_token"]))
    missing = [k for k in ("client_id", "client_secret", "redirect_uri") if not config.get(k)]
    if missing:
        msg = f"No access: give access_token (a long-lived token), or for OAuth also {', '.join(missing)}."
        raise ConfigError(msg)
    if not config.get("token_file"):
        msg = "Setting token_file is missing: OAuth's refresh tokens change with every use and must be kept."
        raise ConfigError(msg)
    return OAuth(config, TokenStore(Path(str(config["token_file"])).expanduser()), send, url)
