"""What the database's refusal of a row means, by its SQLSTATE: as a code with arguments that name no person."""

from __future__ import annotations

import re

import psycopg

from target_crm.database_url import without_secrets
from target_crm.problems import Problem

_CODES = {
    "23502": "E_DATABASE_NOT_NULL",
    "23503": "E_DATABASE_FOREIGN_KEY",
    "23505": "E_DATABASE_UNIQUE",
    "23514": "E_DATABASE_CHECK",
    "23P01": "E_DATABASE_EXCLUSION",
    "P0001": "E_DATABASE_RAISED",
}


def is_refusal(error: psycopg.Error) -> bool:
    """Whether the database refuses a value or a row, as opposed to a failure of the session or of a statement."""
    return (error.sqlstate or "")[:2] in ("0A", "22", "23", "44", "54", "P0")


def _key(detail: str | None) -> str:
    """Columns and values of a DETAIL in any language of the server: "Key (inn)=(5) already exists." gives inn = 5."""
    found = re.search(r"\((.*?)\)=\((.*?)\)", detail or "")
    return "" if found is None else without_secrets(f"{found[1]} = {found[2]}")


def refusal(error: psycopg.Error) -> Problem:
    """The problem that a refused row has. The message and DETAIL are the database's; its CONTEXT, which may quote a
    whole record, is left out."""
    found = error.diag
    code = _CODES.get(error.sqlstate or "", "E_DATABASE_REFUSED")
    # Of these the DETAIL is the whole row.
    detail = "" if error.sqlstate in ("23502", "23514", "44000") else found.message_detail
    args = {
        "sqlstate": error.sqlstate or "",
        "message": without_secrets(found.message_primary or type(error).__name__),
        "detail": without_secrets(detail or ""),
        "table": found.table_name or "",
        "column": found.column_name or "",
        "constraint": found.constraint_name or "",
        "key": _key(found.message_detail if detail else None),
    }
    return Problem(code, args)
