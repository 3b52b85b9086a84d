"""Authorisation of requests: a long-lived token, or OAuth 2 with single-use refresh tokens."""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from tap_amocrm.auth.token_exchange import (
    Grant,
    Granted,
    GrantRefusedError,
    GrantType,
    Integration,
    exchange,
    usable,
)
from tap_amocrm.auth.token_store import Chain, TokenStore
from tap_amocrm.config.user_path import user_path
from tap_amocrm.errors import AccountBlockedError, ConfigError, UnreachableError
from tap_amocrm.http.client import Send

logger = logging.getLogger("tap-amocrm")
# A token is renewed this many seconds before it ends, or after nine tenths of a short life: requests under way still
# use it.
_AHEAD = 300.0
# While the old token is good a renewal that found no answer is tried again after this many seconds.
_AGAIN_AFTER = 30.0


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

    New tokens are on disk before they are used. The settings' own code or token starts a chain, and a new one there
    starts the chain again; everything else goes by the file, so that processes can share it.
    """

    def __init__(
        self, integration: Integration, seeds: Sequence[Grant], store: TokenStore, send: Send, url: str
    ) -> None:
        self._integration, self._seeds = integration, tuple(seeds)
        self._store, self._send, self._url = store, send, url
        self._host = urlsplit(url).hostname or ""
        self._chain = Chain()
        self._renew_at = 0.0
        self._lock = threading.Lock()

    def authorization(self) -> str:
        """The header's value; renews a token that ends soon.

        Raises:
            AuthorisationError: the chain is broken; a person must authorise again.
            ConfigError: a setting or the token file is wrong.
            UnreachableError: no token is good and no new one can be had now.
        """
        with self._lock:
            if time.time() >= self._renew_at:
                try:
                    self._refresh()
                except UnreachableError:
                    if time.time() >= self._chain.expires_at:
                        raise
                    self._renew_at = time.time() + _AGAIN_AFTER
                    logger.warning(
                        "The token could not be renewed in advance; the present one is used until it expires."
                    )
            return self._header()

    def renew(self, rejected: str) -> bool:
        """Another token after a 401; True unless it is the same as the rejected one. Raises as `authorization`."""
        with self._lock:
            if rejected == self._header():
                self._refresh()
            return rejected != self._header()

    def authorise(self, code: str) -> None:
        """Start the chain again with an authorisation code, whatever the file held of this account before.

        Raises: as `authorization`.
        """
        with self._lock, self._store.locked():
            self._take(self._obtain(self._stored(), [Grant("authorization_code", code)]))

    def _header(self) -> str:
        return f"Bearer {self._chain.access_token}"

    def _take(self, chain: Chain) -> None:
        self._chain, self._renew_at = chain, chain.renew_at

    def _refresh(self) -> None:
        """Another token than the present one: what another process has stored, or a new one."""
        with self._store.locked():
            stored = self._stored()
            if not stored.refresh_token and self._chain.refresh_token:
                stored = self._chain  # somebody removed the file while we run
            grants = [seed for seed in self._seeds if _digest(seed) not in stored.spent]
            if not grants and stored.access_token != self._chain.access_token and time.time() < stored.renew_at:
                self._take(stored)
                return
            if stored.refresh_token:
                grants.append(Grant("refresh_token", stored.refresh_token))
            if not grants:
                msg = (
                    "No refresh token is stored yet: run tap-amocrm-login, or set authorization_code or refresh_token."
                )
                raise ConfigError(msg, setting="refresh_token", problem="missing")
            self._take(self._obtain(stored, grants))

    def _stored(self) -> Chain:
        """The file's chain, if it is of this account and integration."""
        stored = self._store.read()
        mine = (self._host, self._integration.client_id)
        if stored.refresh_token and (stored.host, stored.client_id) != mine:
            msg = (
                f"Setting token_file: {self._store.path} holds the tokens of integration {stored.client_id} at "
                f"{stored.host}, not of {mine[1]} at {mine[0]}. Name another file, or remove this one and run "
                "tap-amocrm-login."
            )
            raise ConfigError(msg, setting="token_file", problem="other_content")
        return stored

    def _obtain(self, stored: Chain, grants: Sequence[Grant]) -> Chain:
        """New tokens for the first grant that is accepted, stored. Under the store's lock."""
        refused: GrantRefusedError | None = None
        for grant in grants:
            # Written before the grant is spent: a folder that takes no file is found out while the chain is whole, and
            # a kill from here on leaves a trace that explains a refusal in the next run.
            self._store.write(replace(stored, attempt=_digest(grant)))
            lost = stored.attempt == _digest(grant)
            try:
                granted = exchange(self._send, self._url, self._integration, grant, lost=lost)
            except GrantRefusedError as error:
                refused = refused or error
                if error.lost:
                    stored = replace(stored, attempt=_digest(grant))  # for the next run's message
                continue
            except (ConfigError, AccountBlockedError):
                self._store.write(stored)  # an answer, and nothing is spent
                raise
            if refused is not None:
                logger.warning("%s The tokens of token_file are used.", refused)
            return self._keep(stored, grants, granted)
        self._store.write(stored)
        msg = "No code or refresh token is available to obtain a token with."
        raise refused or ConfigError(msg, setting="refresh_token", problem="missing")

    def _keep(self, stored: Chain, grants: Sequence[Grant], granted: Granted) -> Chain:
        seeds = (_digest(g) for g in (*self._seeds, *grants) if g.value != stored.refresh_token)
        now = time.time()
        chain = Chain(
            access_token=granted.access_token,
            refresh_token=granted.refresh_token,
            renew_at=now + granted.lifetime - min(_AHEAD, granted.lifetime / 10),
            expires_at=now + granted.lifetime,
            host=self._host,
            client_id=self._integration.client_id,
            spent=tuple(dict.fromkeys((*stored.spent, *seeds))),
        )
        self._store.write(chain)
        return chain


def _digest(grant: Grant) -> str:
    # Codes and tokens are long and random: their digest gives nothing away.
    return hashlib.sha256(grant.value.encode()).hexdigest()


def _given(config: Mapping[str, Any], name: str) -> str:
    return str(config.get(name) or "").strip()


def from_config(config: Mapping[str, Any], url: str, send: Send) -> LongLivedToken | OAuth:
    """The authorisation that the settings ask for; access_token goes before OAuth.

    `url` is the account's address without a slash at its end; `send` posts a JSON body to a URL.

    Raises:
        ConfigError: neither a token nor an OAuth client is given; names what is missing.
    """
    token = _given(config, "access_token")
    if token:
        if not usable(token):
            msg = (
                "Setting access_token: the value contains spaces, line breaks or other characters that tokens do "
                "not have. Copy it again."
            )
            raise ConfigError(msg, setting="access_token", problem="format")
        return LongLivedToken(token)
    missing = [k for k in ("client_id", "client_secret", "redirect_uri") if not _given(config, k)]
    if missing:
        msg = f"No access: set access_token (a long-lived token), or for OAuth also {', '.join(missing)}."
        raise ConfigError(msg, setting=["access_token", *missing], problem="missing")
    file = _given(config, "token_file")
    if not file:
        msg = "Setting token_file is missing: OAuth's refresh tokens change with every use and must be kept."
        raise ConfigError(msg, setting="token_file", problem="missing")
    integration = Integration(*(_given(config, k) for k in ("client_id", "client_secret", "redirect_uri")))
    kinds: tuple[tuple[GrantType, str], ...] = (
        ("authorization_code", _given(config, "authorization_code")),
        ("refresh_token", _given(config, "refresh_token")),
    )
    seeds = [Grant(kind, value) for kind, value in kinds if value]
    store = TokenStore(user_path("token_file", file))
    store.check()
    return OAuth(integration, seeds, store, send, url)
