"""Every error of the database as one sentence that says what happened and what to do.

Decided by SQLSTATE. While a connection is being made there is none: libpq hands on the server's words alone, in the
server's language.
"""

from __future__ import annotations

import re

import psycopg

from target_crm.database.url import hide_secrets, without_secrets
from target_crm.errors import DatabaseError, TooManyConnectionsError

_AGAIN = "What was committed stays; run again."
# SQLSTATE, or the class of one: what happened, and what to do.
_SENTENCES = {
    "53100": ("The disk of the database is full: {}", f"Free some space. {_AGAIN}"),
    "53200": ("The database is out of memory: {}", "Lower batch_size_rows or parallel_merges, or give it more memory."),
    "53300": ("The database takes no more connections: {}", "Raise the limit, or lower parallel_merges."),
    "53400": ("A limit of the database is exceeded: {}", "Raise it (temp_file_limit, say), or lower batch_size_rows."),
    "54000": ("A limit of PostgreSQL is exceeded: {}", "Shorten the value, or leave its column out of the mapping."),
    "55P03": (
        "A lock was not free in time: {}",
        "The view pg_stat_activity shows who holds it; lock_timeout_seconds sets how long a load waits.",
    ),
    "57014": (
        "A statement was cancelled from outside: {}",
        f"An administrator did that, or a pooler's query_timeout. {_AGAIN}",
    ),
    "25006": (
        "The server is read-only: {}",
        "It may be a standby: name the primary in database_url, or add target_session_attrs=read-write.",
    ),
    "42501": ("The database role lacks a right: {}", "docs/least-rights.md lists the rights that are needed."),
    "3D000": ("The database does not exist: {}", "Check the name in setting database_url."),
    "3F000": ("The schema does not exist: {}", "Check setting crm_schema."),
    "28": ("The server refused user or password: {}", "Check setting database_url."),
    "40P01": ("Other sessions were in the way again and again: {}", _AGAIN),
    "40001": ("Other sessions were in the way again and again: {}", _AGAIN),
    "57P01": ("The database ended the connection: {}", _AGAIN),
    "57P05": ("The database ended the connection: {}", _AGAIN),
    "25P03": ("The database ended the connection: {}", _AGAIN),
    "25P04": ("The database ended the connection: {}", _AGAIN),
    "58": ("The server has trouble with its files: {}", f"The server's log says more. {_AGAIN}"),
    "XX001": ("The database's data is damaged: {}", "The server's log says more; restore it from a backup."),
    "XX002": ("An index of the database is damaged: {}", "REINDEX it; the server's log says more."),
}
_INDEX_WIDTH = "A value is too long for an index: {} Drop that index, or index a part or a hash of the value."
_DOCUMENT_SIZE = "A document is larger than the 256 MB that PostgreSQL takes: {} The record can't be loaded."
_LOST = "The database went away: {} " + _AGAIN
_LOST_CLASSES = ("08", "57P02", "57P03")
# What servers say while a connection is being made, in English and Russian; the first that is found counts.
_TOO_MANY = "The database takes no more connections: {}"
_CONNECTING = (
    (r"no password supplied|fe_sendauth", "The server wants a password: {}", "Put it into setting database_url."),
    (
        r"password authentication failed|authentication failed|проверку подлинности|аутентификаци",
        "The server refused user or password: {}",
        "Check setting database_url.",
    ),
    (r"no pg_hba\.conf entry|pg_hba\.conf rejects|pg_hba\.conf", "The server does not let this user in from here: {}",
     "An administrator allows it in pg_hba.conf."),
    (
        r"too many (clients|connections)|connection slots are reserved|[Сс]лишком много|слоты подключений"
        r"|no more connections allowed|max_client_conn",
        _TOO_MANY,
        "Raise the limit, or end sessions that are not needed.",
    ),
    (r"starting up|shutting down|recovery mode|not yet accepting|запускается|останавливается",
     "The server is not ready: {}", "Try again in a moment."),
    (r"database .* (does not exist|не существует)|no such database|база данных .* не существует",
     "The database does not exist: {}", "Check the name in setting database_url."),
    (r"role .* (does not exist|не существует)|no such user|роль .* не существует",
     "The database role does not exist: {}", "Check setting database_url."),
    (r"not currently accepting connections|permission denied for database|нет доступа к базе|недостаточно прав",
     "The database does not let this role in: {}", "An administrator may GRANT CONNECT, or allow connections."),
    (r"session is (read-only|not read-only)|server is (in|not in) hot standby|not in hot standby",
     "No server of database_url is of the kind that target_session_attrs asks for: {}", "Check both."),
    (r"unsupported startup parameter", "The pooler refuses a parameter: {}",
     "Leave it out of database_url, and PGOPTIONS out of the environment."),
)  # fmt: skip


def as_sentence(error: psycopg.Error) -> DatabaseError:
    """What the database said after the connection was made, as one sentence without a record's text."""
    what = said(error)
    state = error.sqlstate
    if state is None:
        if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
            return DatabaseError(_LOST.format(what))
        return DatabaseError(f"The database refused a statement: {what}")
    if state.startswith(_LOST_CLASSES):
        return DatabaseError(_LOST.format(what))
    if state == "54000":
        if re.search(r"26843545|1073741|0x3fffffff", what):
            return DatabaseError(_DOCUMENT_SIZE.format(what))
        if re.search(r"\b(index|tsvector)\b|индекс", what):
            return DatabaseError(_INDEX_WIDTH.format(what))
    for known in (state, state[:2]):
        if known in _SENTENCES:
            happened, remedy = _SENTENCES[known]
            kind = TooManyConnectionsError if state == "53300" else DatabaseError
            return kind(f"{happened.format(what)} {remedy}")
    return DatabaseError(f"The database refused a statement: {what}")


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
    for pattern, happened, remedy in _CONNECTING:
        if re.search(pattern, text):
            kind = TooManyConnectionsError if happened == _TOO_MANY else DatabaseError
            return kind(f"{happened.format(_sentence(text))} {remedy}")
    return DatabaseError(f"The database can't be reached: {_sentence(text)} Check setting database_url.")


def is_lost(error: BaseException) -> bool:
    """Whether the session is gone, and with it what was not committed."""
    if not isinstance(error, psycopg.OperationalError | psycopg.InterfaceError):
        return False
    state = error.sqlstate
    return state is None or state.startswith((*_LOST_CLASSES, "57P01", "57P05", "25P03", "25P04"))


def _sentence(text: str) -> str:
    text = text.strip()
    return text if text.endswith((".", "!", "?")) else f"{text}."
