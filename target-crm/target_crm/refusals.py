"""What the database's refusal of a row means, by its SQLSTATE: as a code with arguments that name no person."""

from __future__ import annotations

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
    }
    return Problem(code, args)
