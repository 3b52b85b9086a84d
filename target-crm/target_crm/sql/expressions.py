"""SQL expressions of the three-way comparison, one set per kind of column. Pure functions: nothing here does I/O."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.check import LiveColumn
from target_crm.mapping.model import Column

# What Python's str.strip() takes off and people leave behind: blanks, line ends, no-break space.
_BLANKS = sql.Literal(" \t\r\n\u00a0")


def phone_digits(value: sql.Composable) -> sql.Composed:
    """A phone's digits, 8 before ten digits read as 7: the same number in two spellings gives the same text."""
    digits = sql.SQL("regexp_replace({}, '\\D', '', 'g')").format(value)
    return sql.SQL("regexp_replace({}, '^8(\\d{{10}})$', '7\\1')").format(digits)


def comparable(column: Column, live: LiveColumn, value: sql.Composable) -> sql.Composed:
    """The value in the form in which it is compared; NULL when it is empty (NULL, '' or [])."""
    if column.transform == "phone":
        text = sql.SQL("nullif(btrim({}, {}), '')").format(value, _BLANKS)
        # A text without digits is no phone; it is compared as it stands.
        return sql.SQL("coalesce(nullif({}, ''), {})").format(phone_digits(value), text)
    if live.family == "text":
        text = sql.SQL("nullif(btrim({}::text, {}), '')").format(value, _BLANKS)
        return sql.SQL("lower({})").format(text) if column.transform == "email" else text
    if live.family == "array":
        return sql.SQL("CASE WHEN cardinality({0}) > 0 THEN {0} END").format(value)
    if live.family == "json":
        return sql.SQL(
            "CASE WHEN {0} NOT IN ('null'::jsonb, '{{}}'::jsonb, '[]'::jsonb, '\"\"'::jsonb) THEN {0} END"
        ).format(value)
    return sql.SQL("{}").format(value)


def same(live: LiveColumn, left: sql.Composable, right: sql.Composable) -> sql.Composed:
    """Whether two comparable values are equal; lists are equal as sets. NULL if either is NULL."""
    if live.family == "array":
        return sql.SQL("({0} @> {1} AND {0} <@ {1})").format(left, right)
    return sql.SQL("({} = {})").format(left, right)


def take_theirs(
    column: Column, live: LiveColumn, policy: str, base: sql.Composable, ours: sql.Composable, theirs: sql.Composable
) -> sql.Composed:
    """Whether the row's column becomes theirs (rows 2, 3 and 4 of the truth table); the values are comparable ones."""
    if policy == "crm_wins":
        return sql.SQL("false")
    differs = sql.SQL("{} IS NOT NULL AND ({} IS NULL OR NOT {})").format(theirs, ours, same(live, ours, theirs))
    if policy == "amo_wins":
        return sql.SQL("({})").format(differs)
    ours_empty = sql.SQL("{} IS NULL").format(ours)
    if column.respect_clears:
        ours_empty = sql.SQL("({} IS NULL AND ({} IS NULL OR NOT {}))").format(ours, base, same(live, base, theirs))
    if policy == "fill_empty":
        return sql.SQL("({} IS NOT NULL AND {})").format(theirs, ours_empty)
    return sql.SQL("({} AND ({} OR ({} IS NOT NULL AND {} IS NOT NULL AND {})))").format(
        differs, ours_empty, ours, base, same(live, ours, base)
    )


def move_base(live: LiveColumn, base: sql.Composable, theirs: sql.Composable) -> sql.Composed:
    """Whether the base becomes theirs: always but where amoCRM sends nothing or the same again."""
    return sql.SQL("({0} IS NOT NULL AND ({1} IS NULL OR NOT {2}))").format(theirs, base, same(live, base, theirs))


def is_conflict(
    live: LiveColumn, policy: str, base: sql.Composable, ours: sql.Composable, theirs: sql.Composable
) -> sql.Composed:
    """Rows 7 and 8: both sides hold something, neither equals the other nor the base."""
    if policy != "soft":
        return sql.SQL("false")
    return sql.SQL(
        "({theirs} IS NOT NULL AND {ours} IS NOT NULL AND NOT {same_both} "
        "AND ({base} IS NULL OR (NOT {same_ours} AND NOT {same_theirs})))"
    ).format(
        theirs=theirs,
        ours=ours,
        base=base,
        same_both=same(live, ours, theirs),
        same_ours=same(live, ours, base),
        same_theirs=same(live, theirs, base),
    )


def is_kept_edit(live: LiveColumn, base: sql.Composable, ours: sql.Composable) -> sql.Composed:
    """Whether a person changed the value that came from amoCRM."""
    return sql.SQL("({0} IS NOT NULL AND {1} IS NOT NULL AND NOT {2})").format(ours, base, same(live, ours, base))
