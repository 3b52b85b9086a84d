"""Every error of the database as one sentence that says what happened and what to do.

Decided by SQLSTATE. While a connection is being made there is none: libpq hands on the server's words alone, in the
server's language.
"""

from __future__ import annotations

import re

import psycopg

from target_crm.config.database_url import hide_secrets, without_secrets
from target_crm.errors import DatabaseError, TooManyConnectionsError

# SQLSTATE, or the class of one.
_CODES = {
    "53100": "E_DATABASE_DISK_FULL",
    "53200": "E_DATABASE_MEMORY",
    "53300": "E_DATABASE_NO_ROOM",
    "53400": "E_DATABASE_CONFIGURED_LIMIT",
    "54000": "E_DATABASE_LIMIT",
    "55P03": "E_DATABASE_LOCK",
    "57014": "E_DATABASE_CANCELLED",
    "25006": "E_DATABASE_READ_ONLY",
    "42501": "E_DATABASE_RIGHTS",
    "3D000": "E_DATABASE_UNKNOWN",
    "3F000": "E_DATABASE_SCHEMA_UNKNOWN",
    "28": "E_DATABASE_LOGIN",
    "40P01": "E_DATABASE_CONTENDED",
    "40001": "E_DATABASE_CONTENDED",
    "57P01": "E_DATABASE_ENDED",
    "57P05": "E_DATABASE_ENDED",
    "25P03": "E_DATABASE_ENDED",
    "25P04": "E_DATABASE_ENDED",
    "58": "E_DATABASE_FILES",
    "XX001": "E_DATABASE_DAMAGED",
    "XX002": "E_DATABASE_INDEX_DAMAGED",
}
_LOST_CLASSES = ("08", "57P02", "57P03")
# What servers say while a connection is being made, in English and Russian; the first that is found counts.
_CONNECTING = (
    (r"no password supplied|fe_sendauth", "E_DATABASE_PASSWORD_MISSING"),
    (
        r"password authentication failed|authentication failed|проверку подлинности|аутентификаци",
        "E_DATABASE_LOGIN",
    ),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects|pg_hba\.conf", "E_DATABASE_HBA"),
    (
        r"too many (clients|connections)|connection slots are reserved|[Сс]лишком много|слоты подключений"
        r"|no more connections allowed|max_client_conn",
        "E_DATABASE_NO_ROOM",
    ),
    (
        r"starting up|shutting down|recovery mode|not yet accepting|запускается|останавливается",
        "E_DATABASE_NOT_READY",
    ),
    (
        r"database .* (does not exist|не существует)|no such database|база данных .* не существует",
        "E_DATABASE_UNKNOWN",
    ),
    (r"role .* (does not exist|не существует)|no such user|роль .* не существует", "E_DATABASE_ROLE_UNKNOWN"),
    (
        r"not currently accepting connections|permission denied for database|нет доступа к базе|недостаточно прав",
        "E_DATABASE_CLOSED",
    ),
    (
        r"session is (read-only|not read-only)|server is (in|not in) hot standby|not in hot standby",
        "E_DATABASE_SERVER_KIND",
    ),
    (r"unsupported startup parameter", "E_DATABASE_POOLER"),
)


def as_sentence(error: psycopg.Error) -> DatabaseError:
    """What the database said after the connection was made, as one sentence without a record's text."""
    return _error(_code(error, said(error)), said(error))


def _code(error: psycopg.Error, what: str) -> str:
    state = error.sqlstate
    if state is None:
        is_lost_session = isinstance(error, psycopg.OperationalError | psycopg.InterfaceError)
        return "E_DATABASE_LOST" if is_lost_session else "E_DATABASE_STATEMENT"
    if state.startswith(_LOST_CLASSES):
        return "E_DATABASE_LOST"
    if state == "54000":
        if re.search(r"26843545|1073741|0x3fffffff", what):
            return "E_DATABASE_DOCUMENT_SIZE"
        if re.search(r"\b(index|tsvector)\b|индекс", what):
            return "E_DATABASE_INDEX_WIDTH"
    return _CODES.get(state) or _CODES.get(state[:2]) or "E_DATABASE_STATEMENT"


def _error(code: str, what: str) -> DatabaseError:
    return (TooManyConnectionsError if code == "E_DATABASE_NO_ROOM" else DatabaseError).of(code, said=what)


def said(error: psycopg.Error) -> str:
    """The server's own words, as a sentence: its first line only, for the others quote records."""
    text = error.diag.message_primary
    if text is None:
        text = " ".join(str(error).split("\nCONTEXT")[0].split())
    return _sentence(without_secrets(text))


def unreachable(error: psycopg.Error, url: str | None) -> DatabaseError:
    """Why a connection could not be made, as one sentence that never holds the password."""
    text = hide_secrets(without_secrets(" ".join(str(error).split())), url)
    # The prefix of the address stays: with several hosts it tells them apart.
    found = next((code for pattern, code in _CONNECTING if re.search(pattern, text)), "E_DATABASE_UNREACHABLE")
    return _error(found, _sentence(text))


def is_lost(error: BaseException) -> bool:
    """Whether the session is gone, and with it what was not committed."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith((*_LOST_CLASSES, "57P01", "57P05", "25P03", "25P04"))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
