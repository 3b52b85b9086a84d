"""The codes of the tap's errors, by the name of their class: what docs/errors.md lists and every message ends with."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ErrorCode:
    """A stable code, what it means, what to do, and the parameters that every error of it carries."""

    code: str
    meaning: str
    remedy: str
    parameters: tuple[str, ...] = ()


CODES: dict[str, ErrorCode] = {
    "TapError": ErrorCode("E_READING", "The account can't be read as it is.", "Follow the message; run again."),
    "ConfigError": ErrorCode(
        "E_SETTING", "A setting is missing or wrong.", "Correct the setting that the message names."
    ),
    "UnknownSettingError": ErrorCode(
        "E_SETTING_UNKNOWN",
        "A setting or a variable `TAP_AMOCRM_...` is misspelt, or is one of the Singer SDK without an effect here.",
        "Take the name that the message proposes, or remove the setting.",
    ),
    "FileError": ErrorCode(
        "E_FILE",
        "A file that an option names can't be read, or is not JSON.",
        "Correct the path or the file.",
        ("source",),
    ),
    "CatalogError": ErrorCode(
        "E_CATALOG",
        "The catalog is not a Singer catalog, selects no stream, lacks the stream that a selected one is made of, or "
        "asks for an unknown replication method.",
        "Make one with `tap-amocrm --discover`, or correct the select rules.",
    ),
    "StreamMapError": ErrorCode(
        "E_STREAM_MAP", "An expression of `stream_maps` can't be read.", "Correct the expression."
    ),
    "StateError": ErrorCode(
        "E_STATE",
        "The state is not a state of tap-amocrm.",
        "Give the last STATE of a run, or none to read everything.",
    ),
    "OutputError": ErrorCode(
        "E_OUTPUT",
        "Messages can't be written: the loader has ended, or the disk is full.",
        "Look at the loader's own message; run again.",
    ),
    "ForeignAnswerError": ErrorCode(
        "E_LOGIN_ANSWER", "The answer is not to the login under way.", "Open the address that the command printed."
    ),
    "AuthorisationError": ErrorCode(
        "E_TOKEN_REFUSED", "amoCRM refuses the token.", "Make a new token, or run `tap-amocrm-login`."
    ),
    "GrantRefusedError": ErrorCode(
        "E_GRANT_REFUSED", "amoCRM gives no new token for the code or refresh token.", "Run `tap-amocrm-login`."
    ),
    "AccountBlockedError": ErrorCode(
        "E_ADDRESS_BLOCKED",
        "amoCRM has blocked this address after too many requests.",
        "Stop all integrations that run from here and write to amoCRM's support.",
    ),
    "UnreachableError": ErrorCode(
        "E_UNREACHABLE",
        "No usable answer after all retries.",
        "Check `subdomain` or `api_url` and the network; run again.",
    ),
    "PausedError": ErrorCode(
        "E_PAUSED",
        "amoCRM asks for a pause that is longer than a run waits.",
        "Run again after the time in the message.",
        ("seconds", "until"),
    ),
    "ApiError": ErrorCode(
        "E_API_REFUSED",
        "The API refuses a request.",
        "Look at the status, the path and the reason in the message.",
        ("status", "path"),
    ),
    "UrlTooLongError": ErrorCode(
        "E_URL_TOO_LONG",
        "An address was too long for the API even with one id.",
        "Report it with the log.",
        ("status", "path"),
    ),
    "DriveError": ErrorCode(
        "E_DRIVE",
        "The account's files can't be read: it names no drive, or one that is not a host of amoCRM.",
        "Set `drive_url` if the address in the message is right.",
    ),
    "PlaceError": ErrorCode(
        "E_PLACE",
        "The place for downloaded files can't be used.",
        "Correct the address or the access to it; install the extra that the message names.",
        ("place",),
    ),
    "EndlessListError": ErrorCode(
        "E_LIST_ENDLESS",
        "A list of the API does not come to an end.",
        "Report it with the log; run again.",
        ("path", "pages"),
    ),
    "LockedError": ErrorCode(
        "E_LOCKED",
        "Another process holds a file that processes share.",
        "End that process, or wait for it; run again.",
        ("file",),
    ),
}


def code_of(error: type) -> ErrorCode:
    """The code of an error's class, or of the nearest class above it that has one."""
    return next(CODES[base.__name__] for base in error.__mro__ if base.__name__ in CODES)
