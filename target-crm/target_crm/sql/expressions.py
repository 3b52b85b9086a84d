"""SQL expressions of the three-way comparison, one set for each kind of column. Pure: nothing here does I/O."""

from __future__ import annotations

from functools import lru_cache

from psycopg import sql

from target_crm.sql.spec import S, Slot
from target_crm.sql.text import text_rules

# What a decision says (`decision`).
TAKE, MOVE, CONFLICT, EDIT = 1, 2, 4, 8
# What the values of a cell are to one another (`facts`): which are empty, and which are the same when normalised.
# EXACTLY: ours is the base letter by letter; what theirs is to the one it is to the other. LEFT: see `is_stored`.
NO_BASE, NO_OURS, NO_THEIRS, OURS_IS_BASE, THEIRS_IS_BASE, THEIRS_IS_OURS, EXACTLY, LEFT = (1 << n for n in range(8))
_ALL_FACTS = (1 << 8) - 1


def phone_digits(value: sql.Composable) -> sql.Composed:
    """A phone's digits; ten digits of a Russian number, with 8 before them or nothing, are read with 7: one number in
    two spellings gives one text. PostgreSQL refuses patterns under a collation that is not deterministic."""
    digits = S("regexp_replace({}::text COLLATE pg_catalog.\"C\", '\\D', '', 'g')").format(value)
    return S("regexp_replace({}, '^(?:8(?=\\d{{10}}$)|(?=[3489]))(\\d{{10}})$', '7\\1')").format(digits)


def is_empty(slot: Slot, value: sql.Composable) -> sql.Composed:
    """Whether the value is NULL, a blank text or []."""
    family = slot.live.family
    if family == "text":
        return S("({} IS NULL OR {})").format(value, text_rules(slot.live.encoding).is_blank(value))
    if family == "array":
        return S("(coalesce(cardinality({}), 0) = 0)").format(value)
    if family == "json":
        return S("({0} IS NULL OR {0} IN ('null'::jsonb, '{{}}'::jsonb, '[]'::jsonb, '\"\"'::jsonb))").format(value)
    return S("({} IS NULL)").format(value)


def same(slot: Slot, left: sql.Composable, right: sql.Composable) -> sql.Composed:
    """Whether two values, neither empty, are equal when normalised; lists are equal as sets.

    Plain equality comes first: it decides nearly always and costs nothing.
    """
    if slot.live.family == "array":
        return S("({0} = {1} OR ({0} @> {1} AND {0} <@ {1}))").format(left, right)
    if slot.live.host is not None:
        texts = S("({} #>> '{{}}')").format(left), S("({} #>> '{{}}')").format(right)
        return S(
            "CASE WHEN jsonb_typeof({l}) = 'string' AND jsonb_typeof({r}) = 'string' THEN {texts} ELSE {l} = {r} END"
        ).format(l=left, r=right, texts=_same_text(slot, *texts))
    if slot.live.family != "text":
        return S("({} = {})").format(left, right)
    return _same_text(slot, left, right)


def _same_text(slot: Slot, left: sql.Composable, right: sql.Composable) -> sql.Composed:
    if slot.column.transform == "phone":
        # A text without digits is not a phone; it equals only itself.
        return S("({l} = {r} OR ({dl} <> '' AND {dl} = {dr}))").format(
            l=left, r=right, dl=phone_digits(left), dr=phone_digits(right)
        )
    rules = text_rules(slot.live.encoding)
    if slot.column.transform == "email":
        alike = S("{} = {}").format(rules.lower_key(left), rules.lower_key(right))
    else:
        alike = rules.same(left, right)
    return S("({} = {} OR {})").format(left, right, alike)


def is_stored(slot: Slot) -> sql.Composed:
    """Whether ours is what the loader left in the row, in the database's own spelling, or a default that it wrote."""
    name, ours = sql.Literal(slot.column.name), slot.ours
    form = S("(old_stored->{})").format(name)
    if slot.live.family == "array":
        same_form = S("to_jsonb({}) = {}").format(ours, form)
    elif slot.live.family == "json":
        same_form = S("{} = {}").format(ours, form)
    else:
        same_form = S("{} = ({} #>> '{{}}')::{}").format(ours, form, S(slot.live.type_sql))
    return S("CASE WHEN old_stored ? {} THEN {} ELSE false END").format(name, same_form)


def _is_exactly(slot: Slot, left: sql.Composable, right: sql.Composable) -> sql.Composed:
    """Whether two values are the same, letter by letter, or both NULL."""
    if slot.live.family == "text":
        # Byte by byte: what a collation that is not deterministic takes for equal may be blank and not blank.
        left, right = (S('{}::text COLLATE pg_catalog."C"').format(value) for value in (left, right))
    return S("{} IS NOT DISTINCT FROM {}").format(left, right)


def _flag(flag: int, condition: sql.Composable) -> sql.Composed:
    return S("CASE WHEN {} THEN {} ELSE 0 END").format(condition, sql.Literal(flag))


def facts(slot: Slot) -> sql.Composed:
    """What base, ours and theirs of a cell are to one another: a sum of the flags above; NULL where all three are
    the same, as nearly always. `decide` reads it, so that each test is made once, and the dear ones seldom.
    """
    base, ours, theirs = slot.base, slot.ours, slot.theirs
    return S(
        """
        CASE WHEN {ours_exact} AND {theirs_exact} THEN NULL
        ELSE {no_base} + {no_ours} + {no_theirs} + {left} + {theirs_is_ours}
            + CASE WHEN {ours_exact} THEN {exact} ELSE {ours_is_base} + {theirs_is_base} END
        END
        """
    ).format(
        ours_exact=_is_exactly(slot, ours, base),
        theirs_exact=_is_exactly(slot, theirs, base),
        no_base=_flag(NO_BASE, is_empty(slot, base)),
        no_ours=_flag(NO_OURS, is_empty(slot, ours)),
        no_theirs=_flag(NO_THEIRS, is_empty(slot, theirs)),
        left=_flag(LEFT, is_stored(slot)),
        theirs_is_ours=_flag(THEIRS_IS_OURS, same(slot, ours, theirs)),
        exact=sql.Literal(OURS_IS_BASE | EXACTLY),
        ours_is_base=_flag(OURS_IS_BASE, same(slot, ours, base)),
        theirs_is_base=_flag(THEIRS_IS_BASE, same(slot, base, theirs)),
    )


def decide(facts: int, policy: str, *, respect_clears: bool = False, late: bool = False) -> int:
    """The truth table of docs/soft-update.md for one column of a row that exists, by its facts (`facts`).

    A sum of: 1 write theirs, 2 the base moves to theirs, 4 conflict, 8 the row holds a manual edit. `late`: the value
    is a link or a name that was not known when its record came.

    What the loader itself left in the row counts as the base, in whatever spelling; a default that it wrote where the
    record said nothing counts as empty.
    """
    no_base = bool(facts & NO_BASE)
    no_ours = bool(facts & NO_OURS) or facts & (LEFT | NO_BASE) == LEFT | NO_BASE
    is_base = bool(facts & (OURS_IS_BASE | LEFT))
    theirs_is_base = bool(facts & THEIRS_IS_BASE) or facts & (THEIRS_IS_OURS | EXACTLY) == THEIRS_IS_OURS | EXACTLY
    edited = 0 if no_base or no_ours or is_base else EDIT
    moves = 0 if theirs_is_base and not no_base else MOVE
    if facts & NO_THEIRS:
        return edited
    if no_ours:
        if respect_clears and policy in ("soft", "fill_empty") and theirs_is_base and not no_base:
            return 0
        # A late value belongs to the insertion, which `crm_wins` writes: the row had to wait for it.
        return moves if policy == "crm_wins" and not (late and no_base) else TAKE | moves
    if facts & THEIRS_IS_OURS or (facts & LEFT and theirs_is_base and not no_base):
        return moves
    # Both sides hold something, and not the same.
    if policy == "amo_wins":
        return TAKE | moves
    if policy != "soft":
        return moves | edited
    if is_base and not no_base:
        return TAKE | MOVE
    return EDIT if theirs_is_base and not no_base else CONFLICT | MOVE | EDIT


@lru_cache
def _decisions(policy: str, respect_clears: bool, late: bool) -> sql.Composed:
    decided = [decide(facts, policy, respect_clears=respect_clears, late=late) for facts in range(_ALL_FACTS + 1)]
    return S("{}::integer[]").format(sql.Literal("{" + ",".join(map(str, decided)) + "}"))


def decisions(slot: Slot, policy: str, *, late: bool = False) -> sql.Composed:
    """What is decided for a column by each sum of facts, from 0 on, as an array."""
    return _decisions(policy, slot.column.respect_clears, late)
