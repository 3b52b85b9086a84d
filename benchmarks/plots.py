"""Plots of the results as SVG. Each carries the digest of the result that it was drawn from."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from page_parts import Result, middle
from page_sections import LOADS, cpu, rate, speeds
from page_sections_peers import METHODS, STEP_NAMES, STEPS

mpl.use("Agg")
# Text stays text, and the same figures give the same file.
mpl.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "benchmarks", "font.size": 9, "axes.grid.axis": "y"})
COLOURS = {"ours": "#1b6ca8", "peer": "#d9822b", "floor": "#8a8f98"}
WAY_COLOURS = {"a": "#8a8f98", "b": "#d9822b", "c": "#1b6ca8"}
DIGEST = re.compile(r"result sha256 ([0-9a-f]{64})")


@dataclass(frozen=True)
class Plot:
    """A plot: the benchmark whose result it shows, what it is called, how wide it is, what draws it on the axes."""

    benchmark: str
    title: str
    panels: int
    draw: Callable[[Sequence[Axes], Result], None]


def _bars(axes: Axes, groups: Sequence[str], series: Mapping[str, Sequence[float]], colours: Mapping[str, str]) -> None:
    """Bars side by side in groups, each with its figure above."""
    width = 0.8 / len(series)
    for number, (name, values) in enumerate(series.items()):
        places = [group + (number - (len(series) - 1) / 2) * width for group in range(len(groups))]
        drawn = axes.bar(places, values, width, label=name, color=colours[name])
        axes.bar_label(drawn, [f"{v:,.0f}" if v >= 100 else f"{v:.3g}" for v in values], fontsize=7)
    axes.set_xticks(range(len(groups)), groups)
    axes.spines[["top", "right"]].set_visible(False)


def design_note(axes: Sequence[Axes], result: Result) -> None:
    """Seconds of whole syncs, and seconds of the writing alone, on logarithmic scales."""
    names = {METHODS[way]: way for way in METHODS}
    colours = {name: WAY_COLOURS[way] for name, way in names.items()}
    whole = {name: [middle(result["syncs"][way], "seconds")] for name, way in names.items()}
    _bars(axes[0], ["whole sync"], whole, colours)
    told = result["writing"]["account"]
    writing = {name: [middle(told["ways"][way], step, "seconds") for step in STEPS] for name, way in names.items()}
    _bars(axes[1], [STEP_NAMES[step] for step in STEPS], writing, colours)
    for panel in axes:
        panel.set_yscale("log")
        panel.set_ylabel("seconds")
    axes[0].set_title(f"{result['companies']:,} companies")
    axes[1].set_title("database writes alone")
    axes[0].legend(frameon=False, fontsize=7)


def amochka(axes: Sequence[Axes], result: Result) -> None:
    """Row versions of two runs."""
    ways = {"amochka": "peer", "ours": "ours"}
    series = {
        name: [middle(result["ways"][name], step, "row_versions") for step in ("first", "second")] for name in ways
    }
    _bars(axes[0], ["first run", "second run, nothing changed"], series, {n: COLOURS[c] for n, c in ways.items()})
    axes[0].set_ylabel("row versions written")
    axes[0].legend(frameon=False)


def target_speed(axes: Sequence[Axes], result: Result) -> None:
    """Records a second of the three ways."""
    by_load = {load: speeds(result, load) for load in LOADS}
    series = {way: [by_load[load][way] for load in LOADS] for way in ("ours", "peer", "floor")}
    _bars(axes[0], LOADS, series, COLOURS)
    axes[0].set_ylabel("records a second")
    axes[0].legend(["ours", "target-postgres", "floor"], frameon=False)


def target_growth(axes: Sequence[Axes], result: Result) -> None:
    """Seconds for a part by the size of the table."""
    sizes = list(result["sizes"])
    for panel, load in zip(axes, LOADS, strict=True):
        for way, colour in COLOURS.items():
            values = [middle(result["sizes"][size][way], load, "seconds") for size in sizes]
            panel.plot([int(size) for size in sizes], values, marker="o", color=colour, label=way)
        panel.set_xscale("log")
        panel.set_ylim(bottom=0)
        panel.set_title(load)
        panel.set_xlabel("contacts in the table")
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel(f"seconds for {result['part']:,} contacts")
    axes[0].legend(["ours", "target-postgres", "floor"], frameon=False)


def follow(axes: Sequence[Axes], result: Result) -> None:
    """Each change as a point: when it was made, and after how many seconds its row was there."""
    for panel, (part, title) in zip(axes, (("polling", "by polling"), ("hooks", "with webhooks")), strict=True):
        points = [(at, seconds) for at, seconds in result[part]["points"] if seconds is not None]
        panel.scatter([at for at, _ in points], [s for _, s in points], s=8, color=COLOURS["ours"])
        panel.axhline(result["goals"][part], color=COLOURS["peer"], linewidth=1)
        panel.set_ylim(bottom=0)
        named = result[part].get("named_p95")
        shown = (
            f"those named in time: 95 % within {named:.1f} s" if named else f"95 % within {result[part]['p95']:.1f} s"
        )
        panel.set_title(f"{title}: {shown}", fontsize=8)
        panel.set_xlabel("seconds since the first change")
        panel.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("seconds to the committed row")


def scale(axes: Sequence[Axes], result: Result) -> None:
    """Seconds at the limit, CPU seconds, memory by size, all logarithmic."""
    sizes = [int(size) for size in result["lifted"]]
    runs = list(result["lifted"].values())
    seconds = [
        middle(limited, "first", "seconds") if limited else middle(lifted, "first", "requests") / rate(result)
        for lifted, limited in zip(runs, result["limited"].values(), strict=True)
    ]
    lines = {"at 7 requests a second": seconds, "CPU, first sync": [cpu(r, "first") for r in runs]}
    lines["CPU, 1 % changed"] = [cpu(r, "hundredth_changed") for r in runs]
    for name, values in lines.items():
        axes[0].plot(sizes, values, marker="o", label=name)
    axes[0].set_yscale("log")
    axes[0].set_ylabel("seconds")
    for part in ("tap", "target"):
        axes[1].plot(sizes, [middle(r, "first", part, "memory_mb") for r in runs], marker="o", label=part)
    axes[1].set_ylim(bottom=0)
    axes[1].set_ylabel("peak memory, MB")
    for panel in axes:
        panel.set_xscale("log")
        panel.set_xlabel("contacts")
        panel.legend(frameon=False)
        panel.spines[["top", "right"]].set_visible(False)


PLOTS: dict[str, Plot] = {
    "bench-design-note.svg": Plot(
        "design_note", "Seconds of whole syncs and of writes alone, by three ways", 2, design_note
    ),
    "bench-amochka.svg": Plot("amochka", "Row versions written by amochka and by ours", 1, amochka),
    "bench-target-speed.svg": Plot(
        "target_speed", "Records a second of ours, target-postgres, the floor", 1, target_speed
    ),
    "bench-target-growth.svg": Plot("target_growth", "Seconds for a part by the size of the table", 3, target_growth),
    "bench-follow.svg": Plot("follow", "Seconds from a change in amoCRM to its row, over the span measured", 2, follow),
    "bench-scale.svg": Plot("scale", "Seconds and memory by the size of the account", 2, scale),
}


def digest(results: Path, benchmark: str) -> str:
    """The digest of a benchmark's result file; line ends do not matter."""
    text = (results / f"{benchmark}.json").read_text("utf-8")
    return hashlib.sha256(text.encode()).hexdigest()


def drawn_from(image: Path) -> str:
    """The digest of the result that an image was drawn from; empty if it names none."""
    found = DIGEST.search(image.read_text("utf-8"))
    return found[1] if found else ""


def draw_all(results: Path, folder: Path) -> list[Path]:
    """Draw the plots of the results that are there; return the files."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for name, plot in PLOTS.items():
        file = results / f"{plot.benchmark}.json"
        if not file.exists():
            continue
        result: dict[str, Any] = json.loads(file.read_text("utf-8"))
        figure = Figure(figsize=(3.6 * max(plot.panels, 1.6), 3.2), layout="constrained")
        panels = figure.subplots(1, plot.panels, squeeze=False)[0]
        plot.draw(panels, result)
        told = {"Date": None, "Creator": None, "Description": f"result sha256 {digest(results, plot.benchmark)}"}
        figure.savefig(folder / name, format="svg", metadata=told)
        made.append(folder / name)
    return made
