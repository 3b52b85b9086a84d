"""Whether a load can work: database, rights, tables, mapping, space, clock, the last syncs. Nothing is written."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

import psycopg
from psycopg import sql

from target_crm.config.settings import Settings
from target_crm.database.connection import Database
from target_crm.database.errors import as_sentence
from target_crm.database.lenient import read_everything
from target_crm.database.schema_version import CURRENT, schema_version
from target_crm.database.session import PinnedConnection
from target_crm.errors import MappingError, TargetError
from target_crm.mapping.check import LiveTable, check_mapping
from target_crm.mapping.load import load_mapping
from target_crm.mapping.model import Mapping
from target_crm.operations.health import Health, age_text, read_health
from target_crm.operations.session import Session

OK, WARNING, ERROR = LEVELS = ("ok", "warning", "error")
_OLDEST_SERVER = 130_000
_GIGABYTE = 1 << 30
_LITTLE_SPACE, _NO_SPACE = _GIGABYTE, _GIGABYTE // 10
_CLOCK_SECONDS = 120
_RIGHTS = "Grant them as docs/least-privilege.md says."
# The loader's own tables from which a load deletes (docs/least-privilege.md).
_DELETED_FROM = (
    "sync_keys",
    "sync_pending",
    "sync_links",
    "sync_changes",
    "sync_issue_changes",
    "sync_released_states",
    "sync_proposals",
)


@dataclass(frozen=True)
class Check:
    """One thing that was looked at: `level` is one of `LEVELS`; `remedy` says what to do unless all is well."""

    what: str
    level: str
    text: str
    remedy: str = ""


def worst(checks: list[Check]) -> str:
    """The worst level of all."""
    return max((check.level for check in checks), key=LEVELS.index, default=OK)


def is_configured(settings: Settings) -> bool:
    """Whether a database is named, or an embedded one exists."""
    return settings.database_url is not None or (settings.data_dir.expanduser() / "PG_VERSION").exists()


def examine(settings: Settings) -> Iterator[Check]:
    """Every check, as it is done; those that need what an earlier one did not find are left out."""
    try:
        mapping = load_mapping(settings.mapping_file)
    except MappingError as error:
        mapping = None
        yield Check("mapping", ERROR, str(error), "Correct the file; docs/mapping.md describes every key.")
    if not is_configured(settings):
        folder = settings.data_dir.expanduser().resolve()
        yield Check("database", OK, f"The first load creates the embedded PostgreSQL in {folder}.")
        yield _disk(folder)
        return
    try:
        with Database(settings) as database, database.connect(name="target-crm-admin doctor") as connection:
            read_everything(connection)
            yield from _in_database(settings, connection, mapping)
    except TargetError as error:
        yield Check("database", ERROR, *_parts(error))
        return
    except psycopg.Error as error:
        yield Check("database", ERROR, *_parts(as_sentence(error)))
        return
    if settings.database_url is None:
        yield _disk(settings.data_dir.expanduser().resolve())


def _parts(error: TargetError) -> tuple[str, str]:
    """What happened and what to do."""
    if error.problem is None:
        return str(error), ""
    text = error.problem.text()
    return text, str(error).removeprefix(text).strip()


def _in_database(settings: Settings, connection: PinnedConnection, mapping: Mapping | None) -> Iterator[Check]:
    yield _server(connection)
    yield _clock(connection)
    version = schema_version(connection, settings.crm_schema)
    yield _tables(settings, connection, version)
    live: dict[str, LiveTable] | None = None
    if mapping is not None and (version == CURRENT or not mapping.builtin):
        try:
            live = check_mapping(connection, mapping, settings.crm_schema)
        except MappingError as error:
            yield Check("mapping", ERROR, str(error), "Correct the mapping or the tables; target-crm-admin map checks.")
        else:
            columns = sum(len(table.mapping.columns) for table in live.values())
            yield Check("mapping", OK, f"{len(live)} streams with {columns} columns fit the tables.")
    elif mapping is not None:
        yield Check("mapping", OK, "The built-in mapping; the next load creates or upgrades its tables.")
    if version is not None:
        yield _rights(settings, connection, live or {})
    if settings.database_url is not None:
        yield _size(connection)
    if version == CURRENT:
        yield from _syncs(read_health(Session(settings, connection)))
    connection.rollback()


def _server(connection: psycopg.Connection[object]) -> Check:
    info = connection.info
    major, minor = divmod(info.server_version, 10_000)
    text = f"PostgreSQL {major}.{minor}, database {info.dbname}, role {info.user}."
    if info.server_version < _OLDEST_SERVER:
        return Check("database", ERROR, text, "target-crm needs PostgreSQL 13 or newer (docs/database.md).")
    return Check("database", OK, text)


def _clock(connection: psycopg.Connection[object]) -> Check:
    row = connection.execute("SELECT clock_timestamp()").fetchone()
    there = row[0] if isinstance(row, tuple) else None
    off = abs((datetime.now(timezone.utc) - there).total_seconds()) if isinstance(there, datetime) else 0.0
    if off > _CLOCK_SECONDS:
        text = f"This machine's clock and the database's differ by {age_text(off)}."
        return Check("clock", WARNING, text, "Synchronise both by NTP; until then, times of runs and ages are wrong.")
    return Check("clock", OK, "This machine's clock and the database's agree.")


def _tables(settings: Settings, connection: psycopg.Connection[object], version: int | None) -> Check:
    schema = settings.crm_schema
    if version == CURRENT:
        return Check("tables", OK, f"Schema {schema} has version {version}.")
    row = connection.execute(
        "SELECT CASE WHEN to_regnamespace(quote_ident(%s)) IS NULL "
        "THEN has_database_privilege(current_database(), 'CREATE') "
        "ELSE has_schema_privilege(quote_ident(%s), 'CREATE') END",
        (schema, schema),
    ).fetchone()
    may_create = isinstance(row, tuple) and bool(row[0])
    what = "makes the tables" if version is None else f"upgrades the tables from version {version} to {CURRENT}"
    if may_create:
        level = OK if version is None else WARNING
        remedy = "" if version is None else "Back up first; the role must own the tables (docs/operate.md)."
        return Check("tables", level, f"The next load {what} in schema {schema}.", remedy)
    text = f"The next load {what} in schema {schema}, and this role may not create tables."
    return Check("tables", ERROR, text, "Run one load under the owner's role (docs/least-privilege.md).")


def _rights(settings: Settings, connection: psycopg.Connection[object], live: dict[str, LiveTable]) -> Check:
    """The rights that docs/least-privilege.md names."""
    needed = dict(_needed(settings, connection, live))
    missing: list[str] = []
    for table, rights in needed.items():
        for right in rights:
            by_column = "" if right == "DELETE" else " OR has_any_column_privilege(%(t)s, %(r)s)"
            query = "SELECT has_table_privilege(%(t)s, %(r)s)" + by_column
            row = connection.execute(query.encode(), {"t": table, "r": right}).fetchone()
            if not (isinstance(row, tuple) and row[0]):
                missing.append(f"{right} on {table}")
    row = connection.execute("SELECT has_database_privilege(current_database(), 'TEMPORARY')").fetchone()
    if not (isinstance(row, tuple) and row[0]):
        missing.append("TEMPORARY on the database")
    if missing:
        shown = ", ".join(missing[:10]) + (f" and {len(missing) - 10} more" if len(missing) > 10 else "")
        return Check("rights", ERROR, f"The role lacks {shown}.", _RIGHTS)
    return Check("rights", OK, f"The role has the privileges that a load needs, on {len(needed)} tables.")


def _needed(
    settings: Settings, connection: psycopg.Connection[object], live: dict[str, LiveTable]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    own = connection.execute(
        """
        SELECT own.relname FROM pg_catalog.pg_class AS own
        JOIN pg_catalog.pg_namespace AS place ON place.oid = own.relnamespace
        WHERE place.nspname = %s AND own.relkind IN ('r', 'p') AND own.relname LIKE 'sync\\_%%' ORDER BY 1
        """,
        (settings.crm_schema,),
    ).fetchall()
    write = ("SELECT", "INSERT", "UPDATE")
    for row in own:
        name = str(row[0]) if isinstance(row, tuple) else ""
        rights = (*write, "DELETE") if name in _DELETED_FROM else write
        yield sql.Identifier(settings.crm_schema, name).as_string(connection), rights
    for table in live.values():
        yield table.identifier.as_string(connection), ("SELECT",) if table.mapping.match_only else write
        for related in (*table.sets.values(), *table.through.values()):
            yield related.identifier.as_string(connection), (*write, "DELETE")


def _size(connection: psycopg.Connection[object]) -> Check:
    row = connection.execute("SELECT pg_database_size(current_database())").fetchone()
    size = int(str(row[0])) if isinstance(row, tuple) else 0
    return Check("space", OK, f"The database has {_bytes(size)}; the free space of its server is unknown.")


def _disk(folder: Path) -> Check:
    there = next(f for f in (folder, *folder.parents) if f.exists())
    free = shutil.disk_usage(there).free
    text = f"{_bytes(free)} are free on the disk of {folder}."
    if free < _LITTLE_SPACE:
        level = ERROR if free < _NO_SPACE else WARNING
        return Check("space", level, text, "Free some space, or set data_dir to a folder on a larger disk.")
    return Check("space", OK, text)


def _bytes(number: int) -> str:
    for unit, size in (("TB", 1 << 40), ("GB", 1 << 30), ("MB", 1 << 20)):
        if number >= size:
            return f"{number / size:,.1f} {unit}"
    return f"{number / 1024:,.0f} kB"


def _syncs(health: Health) -> Iterator[Check]:
    if not health.accounts:
        yield Check("syncs", WARNING, "There has been no complete sync yet.", "target-crm-admin status says why.")
    for account in health.accounts:
        text = f"The last complete sync of account {account.account_id} was {age_text(account.age_seconds)} ago."
        if account.is_stale:
            yield Check("syncs", WARNING, text, "It is overdue: check the schedule and its log.")
        else:
            yield Check("syncs", OK, text)
    for gap in health.gaps:
        yield Check("syncs", WARNING, gap.text, f"Run {gap.command} once.")
