"""People who may work on the review page, each under their own name."""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from datetime import datetime

import psycopg
from psycopg import sql

from target_crm.config.setting_names import nearest
from target_crm.operations.passwords import LEAST_PASSWORD, LONGEST_PASSWORD, hashed
from target_crm.operations.session import NotPossibleError, Session, UnknownError

S = sql.SQL
LONGEST_NAME = 60


@dataclass(frozen=True)
class User:
    """A person; `password` is the hash that is kept."""

    name: str
    password: str
    created_at: datetime
    changed_at: datetime


def clean_name(text: str) -> str:
    """A name on one line, without control characters, cut."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())[:LONGEST_NAME]


def login_of(name: str) -> str:
    """What tells people apart: their name without regard to case and to how its letters are composed."""
    return unicodedata.normalize("NFC", clean_name(name)).casefold()


def find_user(session: Session, name: str) -> User | None:
    """The person of a name, or None."""
    return next(iter(_read(session, S("WHERE login = {}").format(sql.Literal(login_of(name))))), None)


def is_taken(session: Session, name: str) -> bool:
    """Whether a user with a password has this name; nobody is where the role may not read that."""
    try:
        with session.connection.transaction():
            return find_user(session, name) is not None
    except psycopg.errors.InsufficientPrivilege:
        return False


def list_users(session: Session) -> list[User]:
    """All of them, by name."""
    return _read(session, S("ORDER BY login"))


def has_users(session: Session) -> bool:
    """Whether anybody has their own name and password."""
    return bool(_read(session, S("LIMIT 1")))


def _read(session: Session, which: sql.Composable) -> list[User]:
    rows = session.rows(
        S("SELECT name, password, created_at, changed_at FROM {} {}").format(session.control("sync_users"), which)
    )
    return [User(**row) for row in rows]


def add_user(session: Session, name: str, password: str) -> str:
    """Let somebody in under a name; the name as it is kept.

    Raises:
        NotPossibleError: the name is taken or empty, or the password is too short or too long.
    """
    kept = clean_name(name)
    if not kept:
        raise NotPossibleError.of("E_USER_NO_NAME")
    added = session.execute(
        S("INSERT INTO {} (login, name, password) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING").format(
            session.control("sync_users")
        ),
        login_of(kept),
        kept,
        _checked(password),
    )
    if not added:
        raise NotPossibleError.of("E_USER_TAKEN", name=kept)
    session.connection.commit()
    return kept


def change_password(session: Session, name: str, password: str) -> None:
    """Give somebody another password; whoever is on the page under the name has to enter again.

    Raises:
        UnknownError: there is no such person.
        NotPossibleError: the password is too short or too long.
    """
    changed = session.execute(
        S("UPDATE {} SET password = %s, changed_at = now() WHERE login = %s").format(session.control("sync_users")),
        _checked(password),
        login_of(name),
    )
    _require(session, changed, name)


def remove_user(session: Session, name: str) -> None:
    """Let somebody in no more; who is on the page under the name is out at once.

    Raises:
        UnknownError: there is no such person.
    """
    removed = session.execute(
        S("DELETE FROM {} WHERE login = %s").format(session.control("sync_users")), login_of(name)
    )
    _require(session, removed, name)


def _require(session: Session, touched: int, name: str) -> None:
    if not touched:
        known = [user.name for user in list_users(session)]
        raise UnknownError.of("E_USER_UNKNOWN", name=clean_name(name), nearest=nearest(name, known), known=known)
    session.connection.commit()


def _checked(password: str) -> str:
    """The hash of a password that is long enough.

    Raises:
        NotPossibleError: it is not, or it is too long.
    """
    if not LEAST_PASSWORD <= len(password) <= LONGEST_PASSWORD:
        raise NotPossibleError.of("E_USER_PASSWORD", least=LEAST_PASSWORD, most=LONGEST_PASSWORD)
    return hashed(password)
