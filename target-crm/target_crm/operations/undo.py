"""Puts back what a run wrote, wherever nobody has changed it since. The undoing is a run itself, and can be undone."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from psycopg import sql

from target_crm import runs
from target_crm.mapping.check import LiveTable
from target_crm.operations.conflicts import follow_undoing
from target_crm.operations.session import Row, Session, SetTable, UnknownError, as_value
from target_crm.operations.undo_entries import collect_entries, undone
from target_crm.sql.expressions import is_empty
from target_crm.sql.spec import I, S, Slot

SHOWN_LEFT = 50


@dataclass
class Undone:
    """What an undoing did, and what it left alone, by table."""

    restored_columns: int = 0
    removed_rows: int = 0
    returned_rows: int = 0
    restored_items: int = 0
    left_edited: int = 0
    left_rewritten: int = 0

    def add(self, other: Undone) -> None:
        """Add another's counts."""
        for name, value in asdict(other).items():
            setattr(self, name, getattr(self, name) + value)


@dataclass(frozen=True)
class Preview:
    """What an undoing would do by table, and the first cells that it would leave since somebody edited them."""

    counts: dict[str, Undone]
    left: list[Row]


def preview_undo(session: Session, run: int) -> Preview:
    """What `undo` would do: the undoing itself, rolled back.

    Raises:
        As `undo`.
    """
    return _undo(session, run, preview=True)[1]


def take_back(session: Session, run: int) -> tuple[int, dict[str, Undone]]:
    """Undo a run; the undoing's own number, and what was done by table.

    Raises:
        As `undo`.
    """
    number, done = _undo(session, run, preview=False)
    return number, done.counts


def undo(session: Session, run: int, *, preview: bool = False) -> dict[str, Undone]:
    """Undo a run; what was done by table. `preview` does the same and rolls it back.

    A row that a later run wrote is left alone (undo that run first), as is a cell whose value is no longer what the run
    wrote, and an inserted row that somebody edited, added to or pointed at.

    Raises:
        UnknownError: there is no such run, it is still running, or it has been undone.
    """
    return _undo(session, run, preview=preview)[1].counts


def _undo(session: Session, run: int, *, preview: bool) -> tuple[int, Preview]:
    _check(session, run)

    def work(new_run: int) -> tuple[int, Preview]:
        worker = _Undo(session, run, new_run)
        found = Preview(worker.all(), worker.left)
        session.count(new_run, {name: asdict(c) for name, c in found.counts.items()})
        if preview:
            raise _RollBack(found)
        return new_run, found

    try:
        return session.run("undo", work, undoes=run)
    except _RollBack as previewed:
        return 0, previewed.found


class _RollBack(Exception):
    """Rolls a preview back."""

    def __init__(self, found: Preview) -> None:
        super().__init__()
        self.found = found


def _check(session: Session, run: int) -> None:
    runs.close_dead_runs(session.connection, session.settings.crm_schema)
    session.connection.commit()
    found = session.rows(
        S(
            "SELECT status, counts, EXISTS (SELECT FROM {} AS c WHERE c.run_id = r.id) AS has_journal "
            "FROM {} AS r WHERE id = %s"
        ).format(session.control("sync_changes"), session.control("sync_runs")),
        run,
    )
    if not found:
        msg = f"There is no run {run}; target-crm-admin status lists them."
        raise UnknownError(msg)
    if found[0]["status"] == "running":
        msg = f"Run {run} is still running."
        raise UnknownError(msg)
    wrote = (t.get(what, 0) for t in found[0]["counts"].values() for what in ("inserted", "updated", "deleted"))
    if any(wrote) and not found[0]["has_journal"]:
        msg = f"Run {run} can't be undone: its journal was removed, as journal_retention_days says."
        raise UnknownError(msg)
    undone_by = session.rows(
        S("SELECT id FROM {} WHERE undoes = %s AND status = 'succeeded' AND NOT {}").format(
            session.control("sync_runs"), undone(session, S("sync_runs.id"))
        ),
        run,
    )
    if undone_by:
        msg = f"Run {run} was undone by run {undone_by[0]['id']}."
        raise UnknownError(msg)


class _Undo:
    """One undoing: entries of the run, then each kind of them, set-based."""

    def __init__(self, session: Session, run: int, new_run: int) -> None:
        self.session, self.run, self.new_run = session, run, new_run
        self.counts: dict[str, Undone] = {}
        self.left: list[Row] = []

    def count(self, table: str) -> Undone:
        return self.counts.setdefault(table, Undone())

    def all(self) -> dict[str, Undone]:
        for table, number in collect_entries(self.session, self.run).items():
            self.count(table).left_rewritten += number
        # Tables that are only matched were never written to, and have no columns for that.
        tables = [live for live in self.session.tables.values() if not live.mapping.match_only]
        for live in tables:
            self.return_rows(live)
        for live in tables:
            self.restore_columns(live)
        for item_set in self.session.sets.values():
            self.restore_items(item_set)
        for live in reversed(tables):
            self.remove_rows(live)
        follow_undoing(self.session, self.run, self.new_run)
        return self.counts

    # rows that were there before

    def restore_columns(self, live: LiveTable) -> None:
        """Columns whose value is still the one that the run wrote, then the documents with the base."""
        name = live.mapping.table
        columns = self.session.rows(
            S("SELECT DISTINCT column_name FROM undo_entries WHERE table_name = %s AND column_name <> '*'"), name
        )
        raw = live.mapping.raw_fields
        for found in columns:
            column = found["column_name"]
            if column != raw and column in live.columns:
                self._restore_column(live, column)
        self._restore_documents(live)

    def _restore_column(self, live: LiveTable, column: str) -> None:
        table, counts = live.mapping, self.count(live.mapping.table)
        same = S("t.{} IS NOT DISTINCT FROM {}").format(I(column), as_value(live, column, S("e.new_value")))
        entries = S("e.table_name = %s AND e.column_name = %s AND NOT e.rewritten AND t.{}::text = e.row_id").format(
            I(table.id)
        )
        left = self.session.rows(
            S("SELECT count(*) AS n FROM undo_entries AS e JOIN {} AS t ON {} WHERE NOT ({})").format(
                live.identifier, entries, same
            ),
            table.table,
            column,
        )
        counts.left_edited += left[0]["n"]
        if left[0]["n"]:
            self._show_left(live, column, entries, same)
        written = S("WITH x AS (UPDATE {} AS t SET {} = {} FROM undo_entries AS e WHERE {} AND {} {}) {}").format(
            live.identifier,
            I(column),
            as_value(live, column, S("e.old_value")),
            entries,
            same,
            S("RETURNING e.row_id, e.column_name, e.new_value, e.old_value"),
            self._journal(table.table),
        )
        counts.restored_columns += self.session.execute(written, table.table, column)
        if column == table.service.get("amo_deleted_at"):
            self.session.execute(
                S(
                    "UPDATE {} AS k SET amo_deleted_at = (e.old_value #>> '{{}}')::timestamptz FROM undo_entries AS e "
                    "WHERE k.table_name = e.table_name AND k.row_id = e.row_id AND e.table_name = %s "
                    "AND e.column_name = %s AND NOT e.rewritten"
                ).format(self.session.control("sync_keys")),
                table.table,
                column,
            )

    def _show_left(self, live: LiveTable, column: str, entries: sql.Composable, same: sql.Composable) -> None:
        """Keep a few of the cells that were edited since, for a preview."""
        self.left += self.session.rows(
            S(
                "SELECT e.table_name, e.row_id, e.column_name, e.old_value, e.new_value, to_jsonb(t.{}) AS value_now "
                "FROM undo_entries AS e JOIN {} AS t ON {} WHERE NOT ({}) ORDER BY e.row_id LIMIT {}"
            ).format(I(column), live.identifier, entries, same, sql.Literal(max(SHOWN_LEFT - len(self.left), 0))),
            live.mapping.table,
            column,
        )

    def _journal(self, table: str) -> sql.Composed:
        """Writes the rows of `x` to the journal; its third column is what was, the fourth what is now."""
        return S(
            "INSERT INTO {} (run_id, table_name, row_id, column_name, old_value, new_value) "
            "SELECT {}, {}, x.row_id, x.column_name, x.new_value, x.old_value FROM x"
        ).format(self.session.control("sync_changes"), sql.Literal(self.new_run), sql.Literal(table))

    def _restore_documents(self, live: LiveTable) -> None:
        """The record and the base as they were; the next load then compares with what it did before."""
        table = live.mapping
        raw = table.raw_fields
        updated = table.service.get("amo_updated_at")
        stamp: sql.Composable = S("")
        if updated and updated in live.columns:
            stamp = S(", {} = coalesce((e.old_value->'amo'->>'updated_at')::{}, t.{})").format(
                I(updated), S(live.columns[updated].type_sql), I(updated)
            )
        self.session.execute(
            S(
                "WITH old AS (SELECT t.{id}::text AS row_id, t.{raw} AS doc FROM {table} AS t JOIN undo_entries AS e "
                "ON e.table_name = {name} AND e.column_name = {raw_name} AND NOT e.rewritten "
                "AND t.{id}::text = e.row_id), "
                "written AS (UPDATE {table} AS t SET {raw} = e.old_value {stamp} FROM undo_entries AS e "
                "WHERE e.table_name = {name} AND e.column_name = {raw_name} AND NOT e.rewritten "
                "AND e.old_value IS NOT NULL AND t.{id}::text = e.row_id RETURNING e.row_id), "
                "x AS (SELECT w.row_id, {raw_name}::text AS column_name, old.doc AS new_value, "
                "NULL::jsonb AS old_value "
                "FROM written AS w JOIN old USING (row_id)), "
                "k AS (UPDATE {keys} AS k SET record_hash = NULL, "
                "amo_updated_at = coalesce((e.old_value->'amo'->>'updated_at')::timestamptz, k.amo_updated_at) "
                "FROM undo_entries AS e "
                "WHERE k.table_name = {name} AND e.table_name = {name} AND e.column_name = {raw_name} "
                "AND NOT e.rewritten AND k.row_id = e.row_id) {journal}"
            ).format(
                id=I(table.id),
                raw=I(raw),
                raw_name=sql.Literal(raw),
                table=live.identifier,
                name=sql.Literal(table.table),
                stamp=stamp,
                keys=self.session.control("sync_keys"),
                journal=self._journal(table.table),
            )
        )

    # whole rows

    def return_rows(self, live: LiveTable) -> None:
        """Rows that the run removed (an undoing did), with their keys."""
        table = live.mapping
        returned = self._insert_old(live, table.table, table.id)
        self.count(table.table).returned_rows += returned
        if returned and table.account and table.amo_id:
            self.session.execute(
                S(
                    "INSERT INTO {} (account_id, table_name, amo_id, row_id, amo_updated_at) "
                    "SELECT t.{account}, {name}, t.{amo_id}, e.row_id, (t.{raw}->'amo'->>'updated_at')::timestamptz "
                    "FROM undo_entries AS e JOIN {table} AS t ON t.{id}::text = e.row_id WHERE e.table_name = {name} "
                    "AND e.column_name = '*' AND e.new_value IS NULL ON CONFLICT (account_id, table_name, amo_id) "
                    "DO UPDATE SET row_id = excluded.row_id, record_hash = NULL"
                ).format(
                    self.session.control("sync_keys"),
                    account=I(table.account),
                    amo_id=I(table.amo_id),
                    raw=I(table.raw_fields),
                    name=sql.Literal(table.table),
                    table=live.identifier,
                    id=I(table.id),
                )
            )

    def _insert_old(self, live: LiveTable, name: str, key: str) -> int:
        return self.session.execute(
            S(
                "WITH x AS (INSERT INTO {table} AS t OVERRIDING SYSTEM VALUE "
                "SELECT r.* FROM undo_entries AS e, jsonb_populate_record(NULL::{table}, e.old_value) AS r "
                "WHERE e.table_name = {name} AND e.column_name = '*' AND e.new_value IS NULL "
                "AND NOT e.rewritten AND NOT EXISTS (SELECT FROM {table} AS there WHERE there.{key} = r.{key}) "
                "RETURNING t.{key}::text AS row_id, '*'::text AS column_name, NULL::jsonb AS new_value, "
                "to_jsonb(t) AS old_value) {journal}"
            ).format(table=live.identifier, name=sql.Literal(name), key=I(key), journal=self._journal(name))
        )

    def remove_rows(self, live: LiveTable) -> None:
        """Rows that the run inserted and that nobody edited, added to or points at."""
        table = live.mapping
        if table.account is None or table.amo_id is None:
            return
        name = table.table
        self.session.execute(S("DROP TABLE IF EXISTS pg_temp.undo_rows, pg_temp.undo_removed"))
        self.session.execute(
            S(
                "CREATE TEMP TABLE undo_rows ON COMMIT DROP AS SELECT e.row_id FROM undo_entries AS e "
                "JOIN undo_born AS b ON b.table_name = e.table_name AND b.row_id = e.row_id "
                "JOIN {table} AS t ON t.{id}::text = e.row_id WHERE e.table_name = {name} AND e.column_name = '*' "
                "AND e.old_value IS NULL AND NOT e.rewritten AND {untouched} FOR UPDATE OF t"
            ).format(
                table=live.identifier,
                id=I(table.id),
                name=sql.Literal(name),
                untouched=S(" AND ").join([*self._untouched_columns(live), *self._unreferenced(live)]),
            )
        )
        for item_set in self.session.sets.values():
            if item_set.parent is live:
                self._remove_items_of(item_set)
        self.session.execute(
            S(
                "CREATE TEMP TABLE undo_removed ON COMMIT DROP AS SELECT t.{} AS account, t.{} AS amo_id "
                "FROM {} AS t JOIN undo_rows AS u ON t.{}::text = u.row_id"
            ).format(I(table.account), I(table.amo_id), live.identifier, I(table.id))
        )
        removed = self.session.execute(
            S(
                "WITH x AS (DELETE FROM {table} AS t USING undo_rows AS u WHERE t.{id}::text = u.row_id "
                "RETURNING u.row_id, '*'::text AS column_name, to_jsonb(t) AS new_value, NULL::jsonb AS old_value), "
                "k AS (DELETE FROM {keys} AS k USING undo_rows AS u "
                "WHERE k.table_name = {name} AND k.row_id = u.row_id) "
                "{journal}"
            ).format(
                table=live.identifier,
                id=I(table.id),
                keys=self.session.control("sync_keys"),
                name=sql.Literal(name),
                journal=self._journal(name),
            )
        )
        if removed:
            self._wait_again(live)
        counts = self.count(name)
        counts.removed_rows += removed
        inserted = self.session.rows(
            S(
                "SELECT count(*) AS n FROM undo_entries AS e JOIN {} AS t ON t.{}::text = e.row_id "
                "WHERE e.table_name = %s AND e.column_name = '*' AND e.old_value IS NULL AND NOT e.rewritten"
            ).format(live.identifier, I(table.id)),
            name,
        )
        counts.left_edited += inserted[0]["n"]

    def _wait_again(self, parent: LiveTable) -> None:
        """Records that name a removed row wait for it again: should it come once more, they are linked."""
        for live in self.session.tables.values():
            table = live.mapping
            if table.match_only or table.account is None or table.amo_id is None:
                continue
            record = S("(c.{}->'amo')").format(I(table.raw_fields))
            for column in table.columns:
                if column.link != parent.mapping.stream:
                    continue
                entity: sql.Composable = S("true")
                if column.when_entity is not None:
                    entity = S("{}->>'entity_type' = {}").format(record, sql.Literal(column.when_entity))
                self.session.execute(
                    S(
                        "INSERT INTO {pending} (account_id, table_name, column_name, amo_id, source, ref) "
                        "SELECT c.{account}, {name}, {column}, c.{amo_id}, {source}, x.amo_id::text "
                        "FROM undo_removed AS x JOIN {table} AS c ON c.{account} = x.account "
                        "AND {record}#>>{path} = x.amo_id::text AND {entity} ON CONFLICT DO NOTHING"
                    ).format(
                        pending=self.session.control("sync_pending"),
                        account=I(table.account),
                        amo_id=I(table.amo_id),
                        name=sql.Literal(table.table),
                        column=sql.Literal(column.name),
                        source=sql.Literal(column.link),
                        table=live.identifier,
                        record=record,
                        path=sql.Literal(column.path[0].split(".")),
                        entity=entity,
                    )
                )

    def _untouched_columns(self, live: LiveTable) -> list[sql.Composable]:
        """Each mapped column still holds what the run left there, if only nothing (`b` is of undo_born)."""
        conditions: list[sql.Composable] = []
        for column in live.mapping.columns:
            slot = Slot(0, column, live.columns[column.name])
            now = S("t.{}").format(I(column.name))
            left = as_value(live, column.name, S("(b.lasting->{})").format(sql.Literal(column.name)))
            conditions.append(
                S("({now} IS NOT DISTINCT FROM {left} OR ({} AND {}))").format(
                    is_empty(slot, now), is_empty(slot, left), now=now, left=left
                )
            )
        return conditions

    def _unreferenced(self, live: LiveTable) -> list[sql.Composable]:
        """No foreign key points at the row, but for the items that came with it."""
        found = self.session.rows(
            S(
                "SELECT n.nspname AS schema, c.relname AS name, a.attname AS column FROM pg_constraint AS k "
                "JOIN pg_class AS c ON c.oid = k.conrelid JOIN pg_namespace AS n ON n.oid = c.relnamespace "
                "JOIN pg_attribute AS a ON a.attrelid = k.conrelid AND a.attnum = k.conkey[1] "
                "WHERE k.contype = 'f' AND array_length(k.conkey, 1) = 1 AND k.confrelid = to_regclass(%s)"
            ),
            live.identifier.as_string(self.session.connection),
        )
        sets = {(s.live.schema, s.live.name): s for s in self.session.sets.values() if s.parent is live}
        conditions: list[sql.Composable] = []
        for key in found:
            item_set = sets.get((key["schema"], key["name"]))
            extra: sql.Composable = S("")
            if item_set is not None and key["column"] == item_set.item_set.parent:
                extra = S(" AND NOT {}").format(_item_untouched(item_set))
            conditions.append(
                S("NOT EXISTS (SELECT FROM {} AS c WHERE c.{} = t.{}{})").format(
                    I(key["schema"], key["name"]), I(key["column"]), I(live.mapping.id), extra
                )
            )
        return conditions

    # sets

    def _remove_items_of(self, item_set: SetTable) -> None:
        self.session.execute(
            S(
                "WITH x AS (DELETE FROM {table} AS c USING undo_rows AS u WHERE c.{parent}::text = u.row_id "
                "RETURNING c.{id}::text AS row_id, '*'::text AS column_name, to_jsonb(c) AS new_value, "
                "NULL::jsonb AS old_value) {journal}"
            ).format(
                table=item_set.live.identifier,
                parent=I(item_set.item_set.parent),
                id=I(item_set.item_set.id),
                journal=self._journal(item_set.item_set.table),
            )
        )

    def restore_items(self, item_set: SetTable) -> None:
        """Items that the run added go, those it removed return, those it changed are as before."""
        live, name, key = item_set.live, item_set.item_set.table, item_set.item_set.id
        counts = self.count(name)
        entry = S("e.table_name = {} AND e.column_name = '*' AND NOT e.rewritten AND c.{}::text = e.row_id").format(
            sql.Literal(name), I(key)
        )
        counts.restored_items += self.session.execute(
            S(
                "WITH x AS (DELETE FROM {} AS c USING undo_entries AS e WHERE {} AND e.old_value IS NULL "
                "AND to_jsonb(c) = e.new_value RETURNING e.row_id, '*'::text AS column_name, to_jsonb(c) AS new_value, "
                "NULL::jsonb AS old_value) {}"
            ).format(live.identifier, entry, self._journal(name))
        )
        columns = [c for c in live.columns if c != key]
        counts.restored_items += self.session.execute(
            S(
                "WITH x AS (UPDATE {} AS c SET {} FROM undo_entries AS e, LATERAL jsonb_populate_record(NULL::{}, "
                "e.old_value) AS r WHERE {} AND e.old_value IS NOT NULL AND to_jsonb(c) = e.new_value "
                "RETURNING e.row_id, '*'::text AS column_name, e.new_value, to_jsonb(c) AS old_value) {}"
            ).format(
                live.identifier,
                S(", ").join(S("{} = r.{}").format(I(c), I(c)) for c in columns),
                live.identifier,
                entry,
                self._journal(name),
            )
        )
        counts.restored_items += self._insert_old(live, name, key)


def _item_untouched(item_set: SetTable) -> sql.Composed:
    """Whether an item's row came from amoCRM and nobody edited it."""
    base = S("(c.{}->'amo_values')").format(I(item_set.item_set.raw_fields))
    data = [role for role in ("value", "comment", "type", "position") if role in item_set.item_set.columns]
    return S("({}->>'key' IS NOT NULL AND {})").format(
        base,
        S(" AND ").join(
            S("c.{}::text IS NOT DISTINCT FROM {}->>{}").format(
                I(item_set.item_set.columns[role]), base, sql.Literal(role)
            )
            for role in data
        ),
    )
