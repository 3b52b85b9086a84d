"""What the database's refusal of a row means, by its SQLSTATE: as a code with arguments that name no person."""

from __future__ import annotations

import re

import psycopg

from target_crm.config.database_url import without_secrets
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


# Classes of SQLSTATE that say something of the data: data exceptions, violated constraints and check options, what
# triggers and functions raise, program limits (an index row, a text search document), what a rule does not support,
# triggers that changed the row under the statement. XX000: distributed engines pass on a violation so.
_OF_RECORDS = ("22", "23", "44", "P0", "54", "0A", "27", "21", "38", "39", "2F")
# What RAISE of PL/pgSQL comes from, which takes any code.
_RAISED = "exec_stmt_raise"
_SAME_VALUE = ("23503", "23505", "23P01")


def belongs_to_records(error: psycopg.Error) -> bool:
    """Whether an error may belong to one of the records that a statement wrote; isolating shows to which."""
    state = error.sqlstate or ""
    # Of other classes only what happens inside a function: a trigger that fails for some of the rows.
    in_function = state.startswith("42") and state != "42501" and bool(error.diag.context)
    is_raised = error.diag.source_function == _RAISED
    return state.startswith(_OF_RECORDS) or state in ("XX000", "40002") or in_function or is_raised


def may_pass_later(error: psycopg.Error) -> bool:
    """Whether other rows are in the way, which may be gone by the end of the run."""
    return error.sqlstate in _SAME_VALUE
