"""Compares: a load of the whole reading that is rolled back, and what it would have done."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime, timezone
from typing import IO, Any

from psycopg import sql
from psycopg.rows import dict_row

from target_crm.config.settings import Settings
from target_crm.input_load import InputLoad
from target_crm.load.comparison import Comparison, Sampled
from target_crm.load.load import Load
from target_crm.mapping.check import LiveTable
from target_crm.merge.references import resolve
from target_crm.operations.session import open_session
from target_crm.plan.journal import KEPT_COLUMNS
from target_crm.records.extractor import Extractor
from target_crm.sql import comparison as statements
from target_crm.sql.queries import query
from target_crm.verify.result import Found, StreamResult, Verification

_ALL = 1 << 30


def verify(
    settings: Settings,
    messages: IO[Any],
    limit: int = 100,
    samples: int = 3,
    on_found: Callable[[Verification, Load], None] = lambda _, __: None,
) -> Verification:
    """Compare a whole reading with the CRM. Nothing is written: it is a load in one transaction that is rolled back,
    with the load's own comparison of every value.

    Args:
        settings: The target's.
        messages: The lines of `tap-amocrm --verify`, or of any run that read everything.
        limit: How many differences of a kind are named for each stream; 0 for all.
        samples: How many records of each stream are shown side by side.
        on_found: Called with the result while the connection is still open, everything rolled back.

    Raises:
        TargetError: the input is not whole, or the database can't be compared.
    """
    done: list[Verification] = []

    def collect(load: Load) -> None:
        collector = _Collector(load, comparison, limit)
        done.append(collector.collect())
        on_found(done[0], load)

    with open_session(settings):
        # A CRM into which nothing was loaded yet is not made for being compared.
        pass
    comparison = Comparison(samples)
    InputLoad(_comparing(settings), comparison=comparison, on_compared=collect).load_lines(messages)
    return done[0]


def _comparing(settings: Settings) -> Settings:
    """The settings of a load that stops at nothing and writes nothing."""
    return replace(
        settings,
        dry_run=True,
        plan_file=None,
        on_bad_record="quarantine",
        max_bad_records=_ALL,
        allow_mass_delete=True,
        max_changes_percent=100.0,
        unmapped_streams="warn",
    )


class _Collector:
    """Reads what a load has done before it is rolled back; then the rows as they are."""

    def __init__(self, load: Load, comparison: Comparison, limit: int) -> None:
        self._load, self._comparison, self._limit = load, comparison, limit
        self._schema = load.settings.crm_schema
        self._streams: dict[str, StreamResult] = {}
        self._by_table: dict[str, str] = {}
        self._owners: dict[str, str] = {}
        for stream, live in load.run.live.items():
            table = live.mapping
            if statements.has_keys(live):
                self._owners.setdefault(table.reads, table.table)
            self._streams[stream] = StreamResult(stream, table.table)
            names = [table.table, *(s.table for s in table.sets), *(t.table for t in table.through)]
            self._by_table |= dict.fromkeys(names, stream)

    def collect(self) -> Verification:
        """All that there is to say."""
        load, source = self._load, self._load.outcome.input.source
        self._comparison.prepare(load.connection)
        self._run(statements.SETTLE)
        self._run(statements.find_changes(self._schema, load.run_id))
        named = load.outcome.input.account_id
        came = {row[0] for row in self._run(statements.ACCOUNTS)} | load.run.accounts
        accounts = sorted(came if named is None else came | {named})
        result = Verification(
            accounts,
            is_whole=source is None or source.start_state is None,
            is_scoped=source is not None and source.is_scoped,
            verified_at=datetime.now(timezone.utc).isoformat(timespec="seconds"),
            streams=list(self._streams.values()),
            unmapped=dict(sorted(self._comparison.passed.items())),
        )
        for stream, live in load.run.live.items():
            self._compare(live, self._streams[stream], accounts, judged=result.is_whole and not result.is_scoped)
        self._read_open(result.others)
        self._read_edits()
        self._read_left_over()
        differing = self._differing()
        # From here on everything is as it was.
        load.connection.rollback()
        for stream, live in load.run.live.items():
            found = self._comparison.sampled(live.mapping.table)
            self._streams[stream].samples = [self._beside(live, sample, differing) for sample in found]
        load.connection.rollback()
        return result

    def _run(self, statement: sql.SQL | sql.Composed, *values: Any) -> list[Any]:
        cursor = self._load.connection.execute(statement, values or None)
        return cursor.fetchall() if cursor.description else []

    def _rows(self, statement: sql.SQL | sql.Composed, *values: Any) -> list[dict[str, Any]]:
        with self._load.connection.cursor(row_factory=dict_row) as cursor:
            found: list[dict[str, Any]] = cursor.execute(statement, values or None).fetchall()
            return found

    def _entries(self, statement: sql.SQL | sql.Composed, *values: Any) -> Iterator[dict[str, Any]]:
        """Rows of which there may be many."""
        with self._load.connection.cursor("verify_open", row_factory=dict_row) as cursor:
            yield from cursor.execute(statement, values or None)

    def _compare(self, live: LiveTable, result: StreamResult, accounts: list[int], *, judged: bool) -> None:
        schema = self._schema
        result.in_amocrm = self._run(statements.count_read(live))[0][0]
        counts = statements.TableCounts._make(self._run(statements.count_rows(live, accounts))[0])
        result.in_crm, result.marked_deleted, result.own_rows = counts
        kinds = {
            "missing": statements.find_missing(live, schema),
            "stale": statements.find_stale(live, schema),
            "unmarked": statements.find_unmarked(live),
            "removed": statements.find_removed(live, schema),
        }
        if live.mapping.reads not in self._load.outcome.input.streams:
            # What is not selected, and was not before, is not missed.
            result.found["not_read"] = Found(int(result.in_crm > 0))
        elif judged and statements.has_keys(live):
            for kind, left in (("surplus", False), ("deleted_with", True)):
                kinds[kind] = statements.find_surplus(live, schema, accounts, self._owners, left=left)
        for kind, statement in kinds.items():
            number = self._run(statements.count_of(statement))[0][0]
            entries = self._rows(statements.first_of(statement, self._limit)) if number else []
            result.found[kind] = Found(number, entries)

    def _read_open(self, others: Found) -> None:
        """What waits for somebody: of these tables; of no table where a record names no stream that is mapped."""
        for kind in ("conflicts", "rejects", "warnings", "waiting", "proposals"):
            values = (self._load.run_id,) if kind == "conflicts" else ()
            for entry in self._entries(query("comparison.sql", kind, self._schema), *values):
                stream = entry.pop("stream", None)
                if stream is None:
                    stream = self._by_table.get(entry["table_name"], "")
                found = others if stream not in self._streams else self._streams[stream].found.setdefault(kind, Found())
                self._add(found, entry)
        for table, number in self._run(query("comparison.sql", "links", self._schema)):
            if table in self._by_table:
                self._streams[self._by_table[table]].waiting_links += number

    def _add(self, found: Found, entry: dict[str, Any]) -> None:
        found.number += 1
        if not self._limit or len(found.entries) < self._limit:
            found.entries.append(entry)

    def _read_edits(self) -> None:
        for values in self._load.kept_cells:
            entry = dict(zip(KEPT_COLUMNS, values, strict=True))
            stream = self._by_table.get(entry["table_name"])
            if stream is not None:
                self._add(self._streams[stream].found.setdefault("edited", Found()), entry)

    def _read_left_over(self) -> None:
        for table, kind, name, number in self._run(statements.LEFT_OVER):
            about = self._comparison.left_over[table, kind, name]
            entry = {"kind": kind, "id": name, "name": about.name, "code": about.code, "type": about.type}
            self._streams[self._by_table[table]].without_column.append({**entry, "records": number})

    def _differing(self) -> set[tuple[str, str, str]]:
        """Table, row and column of each value of the sampled records that the load would write, or that was edited."""
        cells, rows = set(), set()
        for live in self._load.run.live.values():
            table = live.mapping.table
            for sample in self._comparison.sampled(table):
                for key, _ in self._run(statements.row_of(live, *sample.record.key, self._schema)):
                    rows.add((table, key))
                    written = self._run(statements.written_of(self._schema, self._load.run_id, table, key))
                    cells |= {(table, key, column) for (column,) in written}
        kept = {(str(table), str(row), str(column)) for table, row, column, *_ in self._load.kept_cells}
        return cells | {cell for cell in kept if cell[:2] in rows}

    def _beside(self, live: LiveTable, sample: Sampled, differing: set[tuple[str, str, str]]) -> dict[str, Any]:
        """A sampled record beside its row: what the mapping makes of the one, and what the other holds."""
        run, record = self._load.run, sample.record
        extractor = Extractor(live, sample.context, run.letters)
        found = extractor.extract([record], lambda _, __: None)
        resolve(self._load.connection, self._schema, live, run.live, found)
        rows = self._run(statements.row_of(live, record.account_id, record.amo_id, self._schema))
        key, row = rows[0] if rows else (None, {})
        table, cells = live.mapping.table, []
        for column, values in zip(live.mapping.columns, found.columns, strict=True):
            theirs = values[0] if values else None
            cells.append(
                {
                    "column": column.name,
                    "amocrm": theirs if isinstance(theirs, (int, float, bool, list, dict, type(None))) else str(theirs),
                    "crm": row.get(column.name),
                    "differs": key is None or not {(table, key, column.name), (table, key, "*")}.isdisjoint(differing),
                }
            )
        return {"account_id": record.account_id, "amo_id": record.amo_id, "row_id": key, "cells": cells}
