"""Plots of a run as SVG with text alternatives, drawn by matplotlib; `t` holds the report's texts."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import matplotlib as mpl

mpl.use("svg")
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from target_crm.presentation.texts import Texts
from target_crm.report.metrics import thinned

LIMIT = 7
_MOST_POINTS = 1500
_LONGEST_LABEL = 40
_BLUE, _GREY, _RED, _GREEN = "#2563eb", "#94a3b8", "#dc2626", "#16a34a"
_STYLE: Any = {
    "font.size": 9,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "axes.spines.top": False,
    "axes.spines.right": False,
}


def _svg(figure: Figure, title: str, description: str) -> str:
    """The drawing as an element of HTML, with a name and a description for those who do not see it."""
    out = io.StringIO()
    figure.axes[0].set_title(title, loc="left", fontsize=10.5, fontweight="bold")
    with warnings.catch_warnings():
        # Letters that the measuring font lacks are drawn by the browser's font.
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(out, format="svg", metadata={"Date": None, "Creator": None})
    text = out.getvalue()
    svg = text[text.index("<svg") :]
    head = re.sub(r'<svg ([^>]*?)width="[^"]*" height="[^"]*"', r"<svg \1", svg, count=1)
    name = "plot-" + re.sub(r"\W+", "-", title.lower()).strip("-")
    opened = head.index(">") + 1
    label = f'<title id="{name}">{escape(title)}</title><desc id="{name}-desc">{escape(description)}</desc>'
    first = head[: opened - 1] + f' role="img" aria-labelledby="{name} {name}-desc">'
    # Ids of the drawing's parts must differ between the drawings of one page.
    rest = re.sub(r'(id="|url\(#|href="#)', rf"\1{name}-", head[opened:])
    return first + label + rest


def _figure(width: float = 6.0, height: float = 2.6) -> tuple[Figure, Any]:
    """All of one width, so that their letters are of one size on the page."""
    with mpl.rc_context(_STYLE):
        figure = Figure(figsize=(width, height), layout="constrained")
        return figure, figure.subplots()


def rate(series: Sequence[int], limit: float | None, t: Texts) -> str:
    """Requests in each second of the run against the limit that it worked under, amoCRM's own where none is known."""
    limit = LIMIT if limit is None else int(limit) if limit == int(limit) else limit
    with mpl.rc_context(_STYLE):
        figure, axes = _figure()
        points, step = thinned(series, _MOST_POINTS)
        axes.step(range(0, len(points) * step, step), points, where="post", color=_BLUE, linewidth=1.2)
        axes.axhline(limit, color=_RED, linestyle="--", linewidth=1)
        axes.annotate(t("plot_limit", n=limit), (0, limit), (2, 3), textcoords="offset points", color=_RED)
        axes.set(xlabel=t("plot_second"), ylabel=t("plot_requests"), ylim=(0, max([*series, limit]) + 1.5))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        most = max(series, default=0)
        told = t("plot_rate_told", requests=sum(series), seconds=len(series), most=most, limit=limit)
        return _svg(figure, t("plot_rate"), told)


def _label(name: str) -> str:
    """A name as a label: of one line, and not longer than the drawing bears."""
    text = "".join(c if c.isprintable() else " " for c in name)
    return text if len(text) <= _LONGEST_LABEL else text[: _LONGEST_LABEL - 1] + "…"


def requests(by_stream: Mapping[str, int], total: int, without: int | None, t: Texts) -> str:
    """Requests by stream, and all of them beside one request for each parent, where that is known."""
    names = sorted(by_stream, key=lambda name: -by_stream[name])
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(height=max(2.6, 0.8 + 0.22 * (len(names) + 2)))
        labels = [*map(_label, names), t("plot_all")]
        values = [*(by_stream[n] for n in names), total]
        if without is not None:
            labels.append(t("plot_without"))
            values.append(without)
        colours = [_BLUE] * (len(names) + 1) + [_GREY]
        axes.barh(range(len(values)), values, color=colours[: len(values)], tick_label=labels)
        axes.invert_yaxis()
        for place, value in enumerate(values):
            axes.text(value, place, f" {t.n(value)}", va="center")
        axes.set(xlabel=t("plot_requests"))
        axes.margins(x=0.12)
        streams = ", ".join(f"{n} {t.n(by_stream[n])}" for n in names)
        told = t("plot_by_stream_total", streams=streams, total=total)
        if without is not None:
            told = t("plot_by_stream_told", streams=streams, total=total, without=without)
        return _svg(figure, t("plot_by_stream"), told)


def records(series: Mapping[str, Sequence[int]], t: Texts) -> str:
    """Records over time by stream, cumulative."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure()
        for name, values in series.items():
            points, step = thinned(values, _MOST_POINTS)
            axes.plot(range(0, len(points) * step, step), points, label=_label(name), linewidth=1.2)
        axes.set(xlabel=t("plot_second"), ylabel=t("plot_records"))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend(frameon=False, fontsize=8, loc="upper left")
        streams = ", ".join(f"{name} {t.n(values[-1])}" for name, values in series.items() if values)
        return _svg(figure, t("plot_records_title"), t("plot_records_told", streams=streams))


def times(parts: Mapping[str, float], t: Texts) -> str:
    """Where the time went, in seconds."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure()
        axes.barh(list(parts), list(parts.values()), color=_GREEN)
        axes.invert_yaxis()
        for place, value in enumerate(parts.values()):
            axes.text(value, place, " " + t("plot_seconds", n=float(value)), va="center")
        axes.set(xlabel=t("seconds"))
        axes.margins(x=0.12)
        told = ", ".join(f"{name} {t('plot_seconds', n=float(value))}" for name, value in parts.items())
        return _svg(figure, t("plot_times"), told)


def trend(runs: Sequence[Mapping[str, Any]], t: Texts) -> str:
    """Rows written and conflicts of the last runs."""
    with mpl.rc_context(_STYLE):
        figure, axes = _figure(width=12)
        labels = [str(run["id"]) for run in runs]
        axes.bar(labels, [run["written"] for run in runs], color=_BLUE, label=t("rows_written"))
        axes.plot(
            labels, [run["conflicts"] for run in runs], color=_RED, marker="o", markersize=3, label=t("count_conflicts")
        )
        axes.set(xlabel=t("run_word"), ylabel=t("plot_rows"))
        axes.legend(frameon=False, fontsize=8)
        told = "; ".join(
            t("plot_trend_told", n=str(r["id"]), written=r["written"], conflicts=r["conflicts"]) for r in runs
        )
        return _svg(figure, t("last"), told)
