"""One exchange at `/oauth2/access_token`: a code or a refresh token against new tokens, or what its refusal means."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import urlsplit

import requests

from tap_amocrm.errors import BLOCKED, AccountBlockedError, AuthorisationError, ConfigError, TapError, UnreachableError
from tap_amocrm.http.client import Send
from tap_amocrm.http.faults import described, hopeless
from tap_amocrm.http.retry import WORTH_A_LINE, RetryPolicy, is_transient
from tap_amocrm.http.retry_after import retry_after
from tap_amocrm.http.server_clock import ServerClock

GrantType = Literal["authorization_code", "refresh_token"]

# Tries with the same token, when no usable answer came: a run does not wait long for a token.
RETRIES = RetryPolicy(tries=4, factor=3.0, longest=5.0, longest_asked=60.0)
logger = logging.getLogger("tap-amocrm")
# The vendor's figure (reference of POST /oauth2/access_token), for an answer without expires_in.
_LIFETIME = 86_400.0


class GrantRefusedError(AuthorisationError):
    """The code or the refresh token is not valid (any more); another one may be.

    `lost`: an answer to it was lost before; that may be why.
    """

    def __init__(self, message: str, *, lost: bool, status: int, grant: GrantType) -> None:
        super().__init__(message, status=status, grant=grant)
        self.lost = lost


@dataclass(frozen=True)
class Integration:
    """What identifies the integration to the token endpoint; exactly as on its page in amoCRM."""

    client_id: str
    client_secret: str = field(repr=False)
    redirect_uri: str


@dataclass(frozen=True)
class Grant:
    """What is given for tokens; good once."""

    kind: GrantType
    value: str = field(repr=False)


@dataclass(frozen=True)
class Granted:
    """New tokens; the access token lives for `lifetime` seconds."""

    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    lifetime: float


def exchange(send: Send, account_url: str, integration: Integration, grant: Grant, *, lost: bool = False) -> Granted:
    """Send a grant until a usable answer comes, four times at most.

    After a lost answer the same grant is sent again: some accounts answer a repeated one for a short time. `lost` says
    that an answer to this grant was lost before, for the message of a refusal.

    Raises:
        GrantRefusedError: the grant is spent, too old, withdrawn or of another integration.
        ConfigError: client_id, client_secret, redirect_uri or the account's address is wrong.
        AccountBlockedError: 403 as HTML.
        UnreachableError: no usable answer; the grant may or may not be spent.
    """
    body: dict[str, Any] = {
        "client_id": integration.client_id,
        "client_secret": integration.client_secret,
        "redirect_uri": integration.redirect_uri,
        "grant_type": grant.kind,
        "code" if grant.kind == "authorization_code" else "refresh_token": grant.value,
    }
    reason = ""
    for tried in range(1, RETRIES.tries + 1):
        asked = None
        try:
            answer = send(f"{account_url}/oauth2/access_token", body)
        except requests.RequestException as error:
            if not lost:
                hopeless(error, account_url)
            reason = described(error)  # its own text may hold the body
        else:
            if answer.status_code == 200:
                granted = _granted(answer)
                if granted is not None:
                    return granted
                reason = "an unreadable body"
            elif is_transient(answer.status_code):
                reason, asked = str(answer.status_code), retry_after(answer.headers, ServerClock())
            else:
                raise _refusal(answer, account_url, grant.kind, lost, (grant.value, integration.client_secret))
        lost = True
        if tried < RETRIES.tries:
            wait = RETRIES.pause(tried, asked)
            if wait > WORTH_A_LINE:
                logger.warning("New tokens: %s. The next try is in %.0f s.", reason, wait)
            time.sleep(wait)
    msg = (
        f"{account_url}/oauth2/access_token gave no usable answer after {RETRIES.tries} tries ({reason}). Check "
        "api_url or subdomain and the network; the next run tries again with the same token."
    )
    raise UnreachableError(msg, host=urlsplit(account_url).hostname)


def _granted(answer: requests.Response) -> Granted | None:
    """The tokens of a 200; None when it holds none."""
    given = _json(answer)
    access, refresh = given.get("access_token"), given.get("refresh_token")
    if not isinstance(access, str) or not isinstance(refresh, str) or not usable(access) or not refresh:
        return None
    lifetime = given.get("expires_in")
    # A string of digits is taken, too: what is refused here would cost the chain.
    try:
        seconds = float(lifetime) if isinstance(lifetime, (int, float, str)) else _LIFETIME
    except (ValueError, OverflowError):
        seconds = _LIFETIME
    return Granted(access, refresh, seconds if math.isfinite(seconds) and seconds > 0 else _LIFETIME)


def usable(token: str) -> bool:
    """Whether a token can be sent in a header: visible ASCII alone (RFC 6750, section 2.1)."""
    return bool(token) and all("!" <= c <= "~" for c in token)


def _json(answer: requests.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}


def _refusal(
    answer: requests.Response, account_url: str, kind: GrantType, lost: bool, secrets: tuple[str, ...]
) -> TapError:
    """What a refusal means and what to do.

    Status codes do not tell the reasons apart: a spent refresh token is answered 400 or 401 (amocrm/amocrm-api-php,
    issue 123). The hints are those of the OAuth server that the problem bodies come from (league/oauth2-server).
    """
    status = answer.status_code
    if status == 403 and "html" in answer.headers.get("Content-Type", ""):
        return AccountBlockedError(BLOCKED)
    if 300 <= status < 400:
        other = urlsplit(answer.headers.get("Location", "")).hostname or "another address"
        return ConfigError(
            f"{account_url} redirects token requests to {other}: set subdomain and domain to that account.",
            setting="subdomain",
            problem="other_account",
        )
    if status == 404:
        msg = f"{account_url} has no token endpoint (404): check subdomain and domain, or api_url."
        return ConfigError(msg, setting="subdomain", problem="no_account")
    problem = _json(answer)
    hint = " ".join(str(problem[k]) for k in ("hint", "title") if problem.get(k))
    for secret in secrets:
        hint = hint.replace(secret, "…")
    shown = f"answer {status}{', ' + hint[:200] if hint else ''}"
    said = " ".join(str(problem.get(k, "")) for k in ("hint", "title", "detail", "error", "message")).lower()
    what = "authorisation code" if kind == "authorization_code" else "refresh token"
    if "redirect" in said:
        return ConfigError(
            f"Setting redirect_uri is refused ({shown}): it must equal the integration's redirect address exactly.",
            setting="redirect_uri",
            problem="refused",
        )
    if "this client" in said or "linked to client" in said:
        return GrantRefusedError(
            f"The {what} belongs to another integration than client_id ({shown}): run tap-amocrm-login for this one.",
            lost=False,
            status=status,
            grant=kind,
        )
    if "client" in said:
        return ConfigError(
            f"Settings client_id and client_secret are refused ({shown}): compare them with the integration's page, "
            "where the secret may have been renewed.",
            setting=["client_id", "client_secret"],
            problem="refused",
        )
    if lost:
        why = "it was sent before and the answer was lost, perhaps with the next token in it"
    elif kind == "authorization_code":
        why = "it can be used once and within 20 minutes"
    else:
        why = "it can be used once and within 3 months, and an administrator can withdraw it"
    return GrantRefusedError(
        f"amoCRM refuses the {what} ({shown}): {why}; run tap-amocrm-login to authorise the integration again.",
        lost=lost,
        status=status,
        grant=kind,
    )
