"""Makes docs/benchmarks.md, its plots and the READMEs' short table of benchmarks/results/*.json.

No figure is typed by hand. `python benchmarks/page.py` writes all of them anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import page_fleet
import page_summary
import plots
from page_fleet import fleet, fleet_simulation
from page_parts import Result, paragraph
from page_sections import (
    conformance,
    follow,
    journal_cost,
    losses,
    map_init,
    matching,
    resume,
    review_page,
    scale,
    scale_million,
    start_up,
    tap_limit,
    tap_throughput,
    target_growth,
    target_speed,
)
from page_sections_peers import amochka, design_note

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
PAGE = ROOT / "docs" / "benchmarks.md"
IMAGES = ROOT / "docs" / "images"
HEAD = (
    "Made by `python benchmarks/page.py` from `benchmarks/results/*.json`, no figure by hand. `make",
    "bench` measures all again, which took {minutes:.0f} minutes on this machine; `python",
    "benchmarks/run.py NAME` measures one part. All runs are against the simulator: the live service was",
    "not reached. Figures of different ways are compared only where they come from one run on one",
    "machine, in turns, and are medians where there is more than one run; look at the ratios. The machine",
    "is a shared one: other work may use the cores at the same time, which slows what starts processes",
    "or keeps both cores busy more than what waits. Peers are installed by the benchmarks into",
    "environments of their own, at pinned versions (`benchmarks/peers/environments.py`).",
)

SECTIONS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "design_note": ("Against the design note", design_note),
    "amochka": ("Against amochka's PostgreSQL ETL", amochka),
    "target_speed": ("The target beside target-postgres and the floor", target_speed),
    "target_growth": ("The target on tables of 10,000 to 1,000,000 rows", target_growth),
    "journal_cost": ("What the journal costs", journal_cost),
    "scale": ("Accounts of 1,000 to 100,000 contacts", scale),
    "scale_million": ("An account of 1,000,000 contacts", scale_million),
    "fleet": ("Many accounts on one machine", fleet),
    "fleet_simulation": ("Ten thousand accounts, simulated", fleet_simulation),
    "losses": ("Faults survived", losses),
    "tap_limit": ("The tap at the limit of 7 requests a second", tap_limit),
    "resume": ("A first sync that is killed and goes on", resume),
    "follow": ("From a change in amoCRM to the committed row", follow),
    "tap_throughput": ("The tap without a limit, to a pipe", tap_throughput),
    "review_page": ("The review page over a large journal", review_page),
    "matching": ("Recognising rows that people typed", matching),
    "map_init": ("What `map --init` finds by itself", map_init),
    "start_up": ("Starting a command", start_up),
    "conformance": ("The simulator, as third-party clients read it", conformance),
}


def read(results: Path) -> dict[str, Result]:
    """The results that are there, by benchmark."""
    files = {name: results / f"{name}.json" for name in SECTIONS}
    return {name: json.loads(file.read_text("utf-8")) for name, file in files.items() if file.exists()}


def page(results: Path) -> str:
    """The whole page."""
    found = read(results)
    minutes = sum(result.get("minutes", 0) for result in found.values())
    parts = ["# Benchmarks\n\n" + paragraph(*HEAD).format(minutes=minutes) + "\n"]
    for name, (title, render) in SECTIONS.items():
        if name not in found:
            parts.append(f"## {title}\n\nNot measured yet: `python benchmarks/run.py {name}`.\n")
            continue
        result = found[name]
        machine = result["machine"]
        told = f"`{result['command']}`, {result['day']}, {machine['cores']} cores, Python {machine['python']}"
        if "minutes" in result:
            told += f", {max(1, round(result['minutes']))} min"
        if "load" in machine:
            told += f", {machine['load']:.3g} processes at once wanting the cores (15 minutes' average at the end)"
        images = [f"![{plot.title}](images/{file})" for file, plot in plots.PLOTS.items() if plot.benchmark == name]
        parts.append("\n\n".join([f"## {title}", f"{told}.", *images, render(result)]) + "\n")
    return "\n".join(parts)


def main() -> None:
    """Write the page, the plots and the READMEs' tables."""
    results = HERE / "results"
    PAGE.write_text(page(results), "utf-8")
    plots.draw_all(results, IMAGES)
    found = read(results)
    if "fleet_simulation" in found:
        scaling = ROOT / "docs" / "scaling.md"
        scaling.write_text(page_fleet.put(scaling.read_text("utf-8"), found["fleet_simulation"]), "utf-8")
    for name, words in page_summary.LANGUAGES.items():
        readme = ROOT / name
        readme.write_text(page_summary.put(readme.read_text("utf-8"), page_summary.table_of(found, words)), "utf-8")


if __name__ == "__main__":
    main()
