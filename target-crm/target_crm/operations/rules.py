"""Standing rules: decisions that every load makes by itself for the conflicts of a column."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.errors import as_sentence
from target_crm.database.lenient import read_everything
from target_crm.errors import BusyError
from target_crm.operations.conflicts import Filter, count_conflicts, require_rule, resolve
from target_crm.operations.known import require_column
from target_crm.operations.session import Row, Session, UnknownError, prepare_session
from target_crm.sql.conflicts import RULES, rule_condition

logger = logging.getLogger("target-crm")
S = sql.SQL
ALWAYS = "always"
CONDITIONS = (ALWAYS, *RULES)
TAKES = ("amo", "crm")
# So many equal decisions about a column, and no other one, suggest a rule.
LEAST_EQUAL = 5
_MOST_COUNTED = 10_000
_FILE = "conflicts.sql"


@dataclass(frozen=True)
class Draft:
    """A rule that is not stored yet: for conflicts of a column under a condition, whose value is taken."""

    table: str
    column: str
    condition: str
    take: str

    @property
    def kind(self) -> str | None:
        """The condition as a kind of difference; None for every conflict."""
        return None if self.condition == ALWAYS else self.condition


@dataclass(frozen=True)
class Effect:
    """What a rule means: open conflicts that it decides, and past ones that people decided alike or otherwise."""

    open: int
    alike: int
    otherwise: int


def draft(session: Session, table: str, column: str, condition: str, take: str) -> Draft:
    """A rule of these parts.

    Raises:
        UnknownError: there is no such table, column, condition or side.
    """
    require_column(session, table, column)
    if condition != ALWAYS:
        require_rule(condition)
    if take not in TAKES:
        raise UnknownError.of("E_TAKE_UNKNOWN", take=take, known=", ".join(TAKES))
    return Draft(table, column, condition, take)


def effect_of(session: Session, rule: Draft) -> Effect:
    """What a rule would decide now, and how it would have decided what people decided; each counted up to 10,001."""
    which = Filter(table=rule.table, column=rule.column, rule=rule.kind)
    open_now, _ = count_conflicts(session, which, _MOST_COUNTED)
    condition = rule_condition(rule.kind, "conflict") if rule.kind else S("true")
    (past,) = session.rows(
        session.query(_FILE, "count_decided", condition=condition, most=sql.Literal(_MOST_COUNTED + 1)),
        rule.take,
        rule.take,
        rule.table,
        rule.column,
    )
    return Effect(open_now, past["alike"], past["otherwise"])


def find_rules(session: Session, *, active: bool = False) -> list[Row]:
    """The rules, the newest first; `applied` is how many conflicts each has decided."""
    return session.rows(session.query(_FILE, "find_rules"), active)


def suggestions(session: Session) -> list[Draft]:
    """Rules that past decisions suggest: at least five equal ones about a column, no other one, and no rule yet."""
    rows = session.rows(
        session.query(_FILE, "suggest_rules", most=sql.Literal(_MOST_COUNTED), least=sql.Literal(LEAST_EQUAL))
    )
    return [
        Draft(row["table_name"], row["column_name"], ALWAYS, row["take"])
        for row in rows
        if row["table_name"] in session.tables
    ]


def add_rule(session: Session, rule: Draft) -> int:
    """Store a rule; its number. The loads that end from now on apply it."""
    (found,) = session.rows(
        session.query(_FILE, "add_rule"),
        rule.table,
        rule.column,
        rule.condition,
        rule.take,
        session.made_by,
    )
    session.connection.commit()
    return int(found["id"])


def switch_off(session: Session, number: int) -> bool:
    """Switch a rule off; False where there is no such active rule. What it decided stays, and can be undone."""
    done = session.execute(
        S("UPDATE {} SET switched_off_at = now() WHERE id = %s AND switched_off_at IS NULL").format(
            session.control("sync_rules")
        ),
        number,
    )
    session.connection.commit()
    return done == 1


def apply_rules(session: Session, *, run: int | None = None, only: int | None = None) -> int:
    """Decide open conflicts by the active rules, the oldest rule first; how many were decided.

    Each rule's decisions are a run of kind `resolve` of its own, and are undone like any other.

    Args:
        session: The CRM.
        run: Only conflicts that this load found.
        only: Only this rule.

    Raises:
        BusyError: a load, or another session that holds rows, was in the way.
    """
    decided = 0
    for rule in reversed(find_rules(session, active=True)):
        if only is not None and rule["id"] != only:
            continue
        which = _filter(rule, run)
        number, done = resolve(session, which, rule["take"])
        if number is not None:
            session.execute(
                S("UPDATE {} SET rule_id = %s, made_by = NULL WHERE id = %s").format(session.control("sync_runs")),
                rule["id"],
                number,
            )
            session.connection.commit()
            logger.info("Rule %d resolved %d conflicts of %s.", rule["id"], done.settled, rule["table_name"])
        decided += done.settled
    return decided


def _filter(rule: Row, run: int | None) -> Filter:
    kind: Any = rule["condition"] if rule["condition"] in RULES else None
    return Filter(table=rule["table_name"], column=rule["column_name"], rule=kind, run=run)


def apply_after_load(settings: Settings, database: Database, run: int) -> None:
    """Apply the active rules to what a load found. If rows are held meanwhile, the conflicts stay open.

    Raises:
        DatabaseError: the database failed; the load itself is committed and closed.
    """
    connection = database.connect(name="target-crm rules")
    try:
        read_everything(connection)
        session = prepare_session(settings, database, connection)
        if find_rules(session, active=True):
            apply_rules(session, run=run)
    except BusyError as error:
        logger.warning("The standing rules were not applied: %s", error)
    except psycopg.Error as error:
        raise as_sentence(error) from None
    finally:
        connection.close()
