"""Collects what the tables hold about a run and renders it; it keeps nothing of its own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from psycopg import sql

from target_crm.errors import ConfigError
from target_crm.operations.history import changes_by_column, find_run, find_runs
from target_crm.operations.session import Row, Session
from target_crm.report import plots

COUNTS = ("read", "inserted", "updated", "unchanged", "kept", "conflicts", "deleted", "restored", "rejected")
_SAMPLES = 100
_LISTED = 500
_TREND = 30


def write_report(session: Session, run: int | None, file: Path, metrics_file: Path | None = None) -> int:
    """Write the page about a run (the last one for None) to a file; the run's number.

    Raises:
        UnknownError: there is no such run.
        ConfigError: the metrics are no JSON.
    """
    found = find_run(session, run)
    metrics = _metrics(metrics_file)
    environment = Environment(
        loader=PackageLoader("target_crm.report", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["value"] = _value
    runs = find_runs(session, before=found["id"] + 1, limit=_TREND)
    text = environment.get_template("page.html.j2").render(
        run=found,
        count_names=COUNTS,
        changes=[c for c in changes_by_column(session, found["id"]) if c["column_name"] != "raw_fields"],
        samples=_entries(session, "sync_changes", found["id"], _SAMPLES, "column_name NOT IN ('*', 'raw_fields')"),
        conflicts=_entries(session, "sync_conflicts", found["id"], _LISTED),
        rejects=_entries(session, "sync_rejects", found["id"], _LISTED),
        plots=_plots(found, metrics),
        runs=runs,
        trend=plots.trend([_totals(r) for r in reversed(runs)]),
    )
    file.write_text(text, "utf-8")
    return int(found["id"])


def _metrics(file: Path | None) -> dict[str, Any] | None:
    if file is None:
        return None
    try:
        document = json.loads(file.read_text("utf-8"))
    except ValueError as error:
        msg = f"{file} holds no metrics of tap-amocrm: {error}."
        raise ConfigError(msg) from None
    return document if isinstance(document, dict) else None


def _entries(session: Session, table: str, run: int, limit: int, condition: str = "true") -> list[Row]:
    return session.rows(
        sql.SQL("SELECT * FROM {} WHERE run_id = %s AND {} ORDER BY id LIMIT %s").format(
            session.control(table), sql.SQL(condition)
        ),
        run,
        limit,
    )


def _totals(run: Row) -> dict[str, Any]:
    counts = run["counts"].values()
    written = sum(c.get("inserted", 0) + c.get("updated", 0) + c.get("deleted", 0) for c in counts)
    return {"id": run["id"], "written": written, "conflicts": sum(c.get("conflicts", 0) for c in counts)}


def _plots(run: Row, metrics: dict[str, Any] | None) -> list[str]:
    if metrics is None:
        return []
    drawn = []
    if metrics.get("requests_per_second_series"):
        drawn.append(plots.rate(metrics["requests_per_second_series"]))
    if metrics.get("requests_by_stream"):
        drawn.append(
            plots.requests(metrics["requests_by_stream"], metrics["requests"], metrics["requests_without_batching"])
        )
    if metrics.get("records_series"):
        drawn.append(plots.records(metrics["records_series"]))
    parts = {"the tap, from start to end": metrics.get("duration_seconds", 0.0)}
    parts["answers awaited (in flight together)"] = metrics.get("seconds_waiting_for_api", 0.0)
    if run["seconds"] is not None:
        parts["the load, from start to end"] = run["seconds"]
    drawn.append(plots.times(parts))
    return drawn


def _value(value: Any) -> str:
    if value is None:
        return "(empty)"
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 300 else text[:299] + "…"
