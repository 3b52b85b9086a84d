"""Turns final answers of the API into errors with a remedy. The token never appears in them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from tap_amocrm.errors import BLOCKED, AccountBlockedError, ApiError, AuthorisationError, TapError, UrlTooLongError

# Maximum length of the API's message that is shown.
_SHOWN = 300


def refusal(status: int, path: str, headers: Mapping[str, str], content: bytes, secret: str) -> TapError:
    """The error for a final answer. `secret` is the token, which is removed if the answer repeats it."""
    problem = _problem(content)
    if status == 403 and "html" in headers.get("Content-Type", ""):
        return AccountBlockedError(BLOCKED)
    if status == 401:
        hint = f", {_clean(problem['hint'], secret)}" if problem.get("hint") else ""
        return AuthorisationError(
            f"amoCRM refuses the token (401{hint}). Make a new long-lived token in the integration's "
            "settings, or authorise again with tap-amocrm-login.",
            status=status,
        )
    if status == 414:
        return UrlTooLongError(status, path, "URI too long")
    if 300 <= status < 400:
        other = urlsplit(headers.get("Location", "")).hostname or "another address"
        return ApiError(
            status, path, f"and redirects to {other[:100]}: set subdomain and domain to that account's address"
        )
    said = " ".join(_clean(problem[k], secret) for k in ("title", "detail") if problem.get(k))[:_SHOWN]
    if status == 402:
        return ApiError(status, path, f"{said}: the account's plan has run out, or does not include this".lstrip(": "))
    faults = "; ".join(_validation(problem, secret))[:_SHOWN]
    return ApiError(status, path, f"{said} ({faults})".strip() if faults else said)


def _validation(problem: Mapping[str, Any], secret: str) -> list[str]:
    """Code and path of each validation error, with what the API says of it."""
    found: list[str] = []
    groups = problem.get("validation-errors")
    for group in groups if isinstance(groups, list) else ():
        errors = group.get("errors") if isinstance(group, dict) else None
        for error in errors if isinstance(errors, list) else ():
            if isinstance(error, dict):
                code, path, detail = (_clean(error.get(k) or "", secret) for k in ("code", "path", "detail"))
                found.append(f"{code} at {path}{': ' + detail if detail else ''}")
    return found


def _clean(text: object, secret: str) -> str:
    shown = " ".join(str(text).split())
    return shown.replace(secret, "…") if secret else shown


def _problem(content: bytes) -> Mapping[str, Any]:
    try:
        body = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return body if isinstance(body, dict) else {}
