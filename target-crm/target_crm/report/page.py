"""Collects what the tables hold about a run and renders it; it keeps nothing of its own."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from psycopg import sql

from target_crm.errors import ConfigError
from target_crm.files import write_private
from target_crm.operations.accounts import cards_of, read_accounts
from target_crm.operations.cells import grouped_warnings
from target_crm.operations.history import changes_by_column, find_run, find_runs, undone_by
from target_crm.operations.kept import WHY, KeptCell, kept_cells
from target_crm.operations.overview import count_waiting, done_by, told_of
from target_crm.operations.session import Row, Session
from target_crm.operations.shown import Shown
from target_crm.presentation import values
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.report import TEXTS
from target_crm.report import bottleneck, plots
from target_crm.report.metrics import Metrics, read_metrics, require_run

# Told though they are 0.
_ALWAYS = values.COUNTS[:9]
_SAMPLES = 100
_LISTED = 500
_TREND = 30
_TOP = 10
_MOST_COUNTED = 10_000


def write_report(
    session: Session, run: int | None, file: Path, metrics_file: Path | None = None, language: str = "en"
) -> int:
    """Write the page about a run (the last one for None) to a file, in one of `LANGUAGES`; the run's number.

    Raises:
        UnknownError: there is no such run.
        ConfigError: the metrics can't be read, or the file can't be written.
    """
    accounts = read_accounts(session)
    found, t = find_run(session, run), Texts(language, TEXTS, accounts.zone)
    shown = Shown(session, t, accounts)
    metrics = None
    if metrics_file is not None:
        metrics = read_metrics(metrics_file)
        require_run(metrics, metrics_file, found["id"], found["tap_run"])
    runs = find_runs(session, before=found["id"] + 1, limit=_TREND)
    counts = {table: c for table, c in shown.in_order(found["counts"]) if isinstance(c, dict)}
    kept, kept_total, kept_shown = _kept(session, shown, counts)
    samples = _samples(session, shown, found["id"])
    template = _environment().get_template("page.html.j2")
    text = template.render(
        t=t,
        show=shown,
        run=found,
        told=told_of(t, done_by(found)) if found["kind"] == "load" else [],
        done=done_by(found),
        todo=[(kind, n) for kind, n in count_waiting(session, _MOST_COUNTED).items() if n],
        counted=_MOST_COUNTED,
        top=samples[:_TOP],
        cards=cards_of(session, accounts, [(c["table_name"], c["row_id"]) for c in samples[:_TOP]]),
        **_waits(found, metrics, t),
        home=(session.settings.public_url or "").rstrip("/"),
        undone=undone_by(session, found["id"]),
        counts=counts,
        count_names=[n for n in values.COUNTS if _is_told(n, counts)] or _other_names(counts),
        changes=shown.cells_in_order(_without_documents(session, changes_by_column(session, found["id"]))),
        samples=samples,
        kept=kept,
        kept_total=kept_total,
        kept_shown=kept_shown,
        reasons=WHY,
        conflicts=_named(shown, _entries(session, "sync_conflicts", found["id"], _LISTED)),
        conflicts_total=_count(session, "sync_conflicts", found["id"]),
        rejects=_entries(session, "sync_rejects", found["id"], _LISTED),
        rejects_total=_count(session, "sync_rejects", found["id"]),
        warnings=grouped_warnings(session, found["id"]),
        plots=_plots(found, metrics, t),
        runs=[{**r, **_totals(r)} for r in runs],
        trend=plots.trend([_totals(r) for r in reversed(runs)], t),
    )
    try:
        write_private(file, text)
    except OSError as error:
        raise ConfigError.of("E_REPORT_NOT_WRITTEN", file=str(file), reason=error.strerror) from None
    return int(found["id"])


def _waits(run: Row, metrics: Metrics | None, t: Texts) -> dict[str, Any]:
    """What the run waited for: in sentences, as shares of its time, and by stream."""
    slow = bottleneck.find_bottleneck(metrics, run["seconds"], run.get("merge_seconds"))
    streams = metrics.waits_by_stream.items() if metrics is not None else ()
    return {
        "slow": bottleneck.told(slow, t),
        "shares": slow.shares,
        "streams": sorted(streams, key=lambda stream: -stream[1].answers),
    }


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("target_crm.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(json=values.readable_json, short=values.short)
    environment.globals.update(is_empty=values.is_empty)
    return environment


def _is_told(name: str, counts: dict[str, Any]) -> bool:
    return any(name in c if name in _ALWAYS else c.get(name) for c in counts.values())


def _other_names(counts: dict[str, Any]) -> list[str]:
    """What runs of other kinds (decisions, undos) count."""
    return sorted({name for c in counts.values() for name in c})


def _documents(session: Session) -> set[str]:
    return {live.mapping.raw_fields for live in session.tables.values()}


def _without_documents(session: Session, changes: list[Row]) -> list[Row]:
    documents = _documents(session)
    return [c for c in changes if c["column_name"] not in documents]


def _entries(session: Session, table: str, run: int, limit: int, condition: sql.Composable | None = None) -> list[Row]:
    return session.rows(
        sql.SQL("SELECT * FROM {} WHERE run_id = %s AND {} ORDER BY id LIMIT %s").format(
            session.control(table), condition or sql.SQL("true")
        ),
        run,
        limit,
    )


def _count(session: Session, table: str, run: int) -> int:
    (found,) = session.rows(
        sql.SQL("SELECT count(*) AS n FROM {} WHERE run_id = %s").format(session.control(table)), run
    )
    return int(found["n"])


def _samples(session: Session, shown: Shown, run: int) -> list[Row]:
    """The first cells that the run wrote, with the names of their rows."""
    left_out = sorted({"*", *_documents(session)})
    columns = sql.SQL("column_name <> ALL({})").format(sql.Literal(left_out))
    found = _entries(session, "sync_changes", run, _SAMPLES, columns)
    return _with_names(shown, found, ("old_value", "new_value"))


def _named(shown: Shown, conflicts: list[Row]) -> list[Row]:
    return _with_names(shown, conflicts, ("base_value", "crm_value", "amo_value"))


def _with_names(shown: Shown, entries: list[Row], sides: tuple[str, ...]) -> list[Row]:
    """Entries with the name of the row that each is about; what their values link to is read at once."""
    names = shown.names(entries)
    shown.learn(entries, *sides)
    return [{**e, "name": shown.name(names, e["table_name"], e["row_id"])} for e in entries]


def _kept(session: Session, shown: Shown, counts: dict[str, Any]) -> tuple[list[Row], dict[str, int], int]:
    """Cells that are kept in the tables in which the run kept rows: the first of them, and how many by reason."""
    total: dict[str, int] = {}
    cells: list[KeptCell] = []
    for table, counted in counts.items():
        if counted.get("kept") and table in session.tables:
            by_reason, found = kept_cells(session, table, _SAMPLES)
            cells += found
            for why, number in by_reason.items():
                total[why] = total.get(why, 0) + number
    rows = [
        {
            "table_name": c.table,
            "row_id": c.row_id,
            "column_name": c.column,
            "value": c.value,
            "amo_value": c.amo_value,
            "why": c.why,
        }
        for c in cells[:_SAMPLES]
    ]
    return _with_names(shown, rows, ("value", "amo_value")), total, len(rows)


def _totals(run: Row) -> dict[str, Any]:
    counts = [c for c in run["counts"].values() if isinstance(c, dict)]
    written = sum(c.get("inserted", 0) + c.get("updated", 0) + c.get("deleted", 0) for c in counts)
    return {"id": run["id"], "written": written, "conflicts": sum(c.get("conflicts", 0) for c in counts)}


def _plots(run: Row, metrics: Metrics | None, t: Texts) -> list[str]:
    parts: dict[str, float] = {}
    drawn = []
    if metrics is not None:
        if metrics.requests_per_second_series:
            drawn.append(plots.rate(metrics.requests_per_second_series, metrics.requests_per_second, t))
        if metrics.requests_by_stream:
            drawn.append(
                plots.requests(metrics.requests_by_stream, metrics.requests, metrics.requests_without_batching, t)
            )
        if metrics.records_series:
            drawn.append(plots.records(metrics.records_series, t))
        parts[t("time_api")] = metrics.seconds_waiting_for_api
        parts[t("time_tap")] = metrics.duration_seconds
    if run["seconds"] is not None:
        parts[t("time_target")] = run["seconds"]
    if run.get("merge_seconds") is not None:
        parts[t("time_merge")] = run["merge_seconds"]
    if parts:
        drawn.append(plots.times(parts, t))
    return drawn
