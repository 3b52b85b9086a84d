"""Indexes on the letters of texts, for searches for a part of a text: where the extension pg_trgm is installed."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from psycopg import sql

from target_crm.operations.session import Session
from target_crm.sql.spec import I, S

_FIND = S(
    "SELECT nspname FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace WHERE extname = 'pg_trgm'"
)


def install_trigrams(session: Session, tell: Callable[[str], None]) -> None:
    """Install the extension in the embedded database; recommend it to those who have one of their own."""
    if trigram_operators(session) or not session.rows(S("SELECT FROM pg_available_extensions WHERE name = 'pg_trgm'")):
        return
    if session.settings.database_url is None:
        session.connection.execute("CREATE EXTENSION IF NOT EXISTS pg_trgm")
    else:
        tell("Searches by text read all rows. To speed them up, run CREATE EXTENSION pg_trgm in the database.")


def trigram_operators(session: Session) -> sql.Identifier | None:
    """The extension's operator class for GIN indexes, in whatever schema it is; None where the extension is missing."""
    found = session.rows(_FIND)
    return I(found[0]["nspname"], "gin_trgm_ops") if found else None


def letters_index(
    operators: sql.Identifier, name: str, table: sql.Composable, texts: Iterable[sql.Composable]
) -> sql.Composed:
    """The statement that makes an index of texts of a table."""
    columns = S(", ").join(S("{} {}").format(text, operators) for text in texts)
    return S("CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} USING gin ({})").format(I(name), table, columns)
