"""Where the rows go: the user's PostgreSQL, or the embedded one that needs no installation."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from target_crm.config.settings import Settings
from target_crm.database import cluster, staging_tables
from target_crm.database.errors import as_sentence, is_lost, unreachable
from target_crm.database.schema_version import CURRENT, note_version, schema_version, upgrade
from target_crm.database.scripts import run_script
from target_crm.database.session import PinnedConnection, pin
from target_crm.database.staging_tables import Staging
from target_crm.errors import DatabaseError
from target_crm.extras import require_extra

if TYPE_CHECKING:
    from target_crm.database.embedded import EmbeddedServer

_LEAST_LOCK_SECONDS = 0.2
_WIDE_TABLES = ("companies", "contacts", "leads", "notes", "tasks", "sync_changes")


class Database:
    """The database that the settings name; use it as a context, the embedded server stops with the last holder.

    Raises:
        ConfigError: the URL is wrong or the data directory can't be used.
        MissingExtraError: there is no URL, and the embedded server is not installed.
        DatabaseError: the server can't be reached; the message never holds the password.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.zone: str | None = None
        self._server: EmbeddedServer | None = None
        self._is_probed = False
        # False: a pooler has no further session for us.
        self.has_room = True
        # Whether the server is one of several of Citus; None: nobody has looked yet.
        self.on_citus: bool | None = None
        # The schema of staging tables; None: they are temporary.
        self._staging: str | None = None

    def __enter__(self) -> Database:
        if self.settings.database_url is None:
            require_extra("embedded")
            from target_crm.database.embedded import EmbeddedServer

            self._server = EmbeddedServer(self.settings.data_dir).__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._server is not None:
            self._server.__exit__(kind, error, trace)
            self._server = None

    @property
    def url(self) -> str:
        """The connection string; may hold a password: never log it."""
        if self.settings.database_url is not None:
            return self.settings.database_url
        assert self._server is not None
        return self._server.url

    def connect(self, *, autocommit: bool = False, name: str = "target-crm") -> PinnedConnection:
        """A new connection whose session is pinned: see `database_session.pin`.

        Raises:
            DatabaseError: there is no way in, or not to a session of our own; the message never holds the password.
        """
        url = self.url
        try:
            connection = PinnedConnection.connect(url, autocommit=autocommit, **connection_settings(url, name))
        except psycopg.Error as error:
            raise unreachable(error, url) from None
        try:
            self.configure(connection, lock_seconds(self.settings), probe=not self._is_probed)
            self._is_probed = True
            self.has_room = self.has_room and connection.has_room
            if self.zone is not None:
                self.use_zone(connection, self.zone)
                connection.commit()
        except BaseException as error:
            connection.close()
            if isinstance(error, psycopg.Error):
                raise unreachable(error, url) if is_lost(error) else as_sentence(error) from None
            raise
        return connection

    def configure(self, connection: PinnedConnection, patience: float, *, probe: bool = False) -> None:
        """Make a new session ours (`session.pin`), on Citus one of the cluster, with the staging tables in their place.

        Raises:
            DatabaseError: as `pin`; or it is on another node of Citus than all of them have to be on.
        """
        pin(connection, patience, probe=probe)
        if self.on_citus is None:
            self.on_citus = cluster.is_there(connection)
        if self.on_citus:
            cluster.require_coordinator(connection)
        if connection.autocommit:
            return
        connection.commit()
        if self.on_citus:
            connection.join_cluster()
        self._stage(connection)
        connection.commit()

    def use_staging(self, connection: PinnedConnection, *, sweep: bool = True) -> None:
        """Let this session, and those that are opened later, have their staging tables where the setting says. The
        schema must be there. With `sweep` what killed loads left there is dropped, and the transaction committed.

        Raises:
            DatabaseError: the setting says temporary tables, and Citus has the schema on another node.
        """
        schema, wanted = self.settings.crm_schema, self.settings.staging
        is_elsewhere = bool(self.on_citus) and cluster.has_schema(connection, schema)
        if wanted == "temporary" and is_elsewhere:
            raise DatabaseError.of("E_CITUS_STAGING", schema=schema)
        if sweep and not self.settings.dry_run:
            staging_tables.sweep(connection, schema)
        if wanted == "schema" or is_elsewhere:
            self._staging = schema
            self._stage(connection)

    def _stage(self, connection: PinnedConnection) -> None:
        if self._staging is not None and connection.staging is None:
            connection.stage_in(Staging(self._staging, connection.token, on_citus=bool(self.on_citus)))

    def use_zone(self, connection: psycopg.Connection[Any], zone: str | None) -> None:
        """Let this session, and those that are opened later, read and write columns without a time zone in that zone;
        all other columns take any. The caller commits."""
        if zone is not None:
            self.zone = zone
            connection.execute(sql.SQL("SET timezone = {}").format(sql.Literal(zone)))
            if isinstance(connection, PinnedConnection):
                connection.set_everywhere("timezone", zone)

    def prepare(self, connection: psycopg.Connection[Any], *, builtin: bool, commit: bool = True) -> None:
        """Create what is missing: the loader's own tables, and with the built-in mapping the CRM's; upgrade older ones.

        Without `commit` they last as long as the caller's transaction: a dry run makes no tables.

        Raises:
            DatabaseError: the schema is newer than this program, or the role may not upgrade it.
        """
        schema = self.settings.crm_schema
        if schema_version(connection, schema) == CURRENT and _prepared(connection, schema, builtin=builtin):
            connection.rollback()
            return
        # Two first loads at once would both try to create.
        connection.execute("SELECT pg_advisory_xact_lock(hashtextextended(%s, 7))", (schema,))
        exists = connection.execute("SELECT to_regnamespace(%s)", (sql.Identifier(schema).as_string(connection),))
        if exists.fetchone() == (None,):
            connection.execute(sql.SQL("CREATE SCHEMA {}").format(sql.Identifier(schema)))
        found = schema_version(connection, schema)
        if found is not None and found < CURRENT:
            upgrade(connection, schema, found)
        triggers = "issue_triggers.sql"
        if self.on_citus and cluster.has_schema(connection, schema):
            triggers = "issue_triggers_citus.sql"
            connection.execute("SET LOCAL citus.enable_unsafe_triggers = on")
        for name in ("control.sql", triggers, "builtin.sql") if builtin else ("control.sql", triggers):
            # PostgreSQL 18 has time-ordered UUIDs; older ones have random ones only.
            new_id = "uuidv7" if connection.info.server_version >= 180_000 else "gen_random_uuid"
            slots = {"schema": sql.Identifier(schema), "new_id": sql.Identifier(new_id)}
            run_script(connection, name, **slots)
        for name in _WIDE_TABLES if builtin else ("sync_changes",):
            _store_inline(connection, sql.Identifier(schema, name))
        note_version(connection, schema)
        if commit:
            connection.commit()


def _store_inline(connection: psycopg.Connection[Any], table: sql.Identifier) -> None:
    """Keep documents of two kilobytes and more as they are: compressing them is a fifth of an insert's work."""
    try:
        with connection.transaction():
            connection.execute(sql.SQL("ALTER TABLE {} SET (toast_tuple_target = 8160)").format(table))
    except (psycopg.errors.FeatureNotSupported, psycopg.errors.InvalidParameterValue, psycopg.errors.SyntaxError):
        # An engine that stores rows in another way.
        return


def _prepared(connection: psycopg.Connection[Any], schema: str, *, builtin: bool) -> bool:
    """Whether all is there: a role without the right to create can then load."""
    wanted = [
        "sync_runs",
        "sync_changes",
        "sync_conflicts",
        "sync_rejects",
        "sync_keys",
        "sync_pending",
        "sync_lookups",
        "sync_accounts",
        "sync_rules",
        "sync_users",
        "sync_permissions",
        "sync_warnings",
        "sync_issue_changes",
        "sync_proposals",
        "sync_state",
        "sync_released_states",
        "sync_schema",
    ]
    if builtin:
        wanted += [
            "users",
            "companies",
            "contacts",
            "company_phones",
            "company_emails",
            "contact_phones",
        ]
        wanted += ["contact_emails", "leads", "notes", "tasks", "files", "file_links"]
    row = connection.execute(
        "SELECT count(*) FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace "
        "WHERE n.nspname = %s AND c.relname = ANY(%s)",
        (schema, wanted),
    ).fetchone()
    return row is not None and row[0] == len(wanted)


def connection_settings(url: str, name: str) -> dict[str, Any]:
    """What a connection asks for unless its URL says otherwise; a line that is cut is noticed within minutes."""
    wanted: dict[str, Any] = {
        "connect_timeout": 15,
        "keepalives_idle": 30,
        "keepalives_interval": 10,
        "keepalives_count": 6,
        "tcp_user_timeout": 90_000,
    }
    given = conninfo_to_dict(url)
    kept = {key: value for key, value in wanted.items() if key not in given}
    return {**kept, "application_name": given.get("application_name") or name, "client_encoding": "UTF8"}


def lock_seconds(settings: Settings) -> float:
    """How long a statement waits for a lock; never 0, which PostgreSQL takes as "without end"."""
    return max(settings.lock_timeout_seconds, _LEAST_LOCK_SECONDS)
