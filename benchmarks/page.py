"""Makes docs/benchmarks.md of benchmarks/results/*.json; no figure on it is typed by hand."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

HERE = Path(__file__).resolve().parent
PAGE = HERE.parent / "docs" / "benchmarks.md"
Result = dict[str, Any]
HEAD = """# Benchmarks

Made by `python benchmarks/page.py` from `benchmarks/results/*.json`; `make bench` measures all anew. All runs are
against the simulator: the live service was not reached. Figures of different ways stand side by side only where they
come from one run on one machine; look at the ratios.
"""


def table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """A Markdown table; numbers to the right."""
    head = "| " + " | ".join(columns) + " |\n|" + " --- |" + " ---: |" * (len(columns) - 1)
    return "\n".join([head, *("| " + " | ".join(figure(v) for v in row) + " |" for row in rows)])


def figure(value: Any) -> str:
    """A number with three figures that count, large ones whole."""
    if not isinstance(value, float):
        return f"{value:,}" if isinstance(value, int) else str(value)
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def conformance(result: Result) -> str:
    """What clients of others read."""
    rows = [(c["client"], c["records"], c["differences"]) for c in result["clients"]]
    return table(("client", "records compared with the dump", "differences"), rows)


def tap_throughput(result: Result) -> str:
    """Records a second and memory by size."""
    rows = [
        (f"{int(size):,}", len(runs), median(r["records_a_second"] for r in runs), median(r["memory_mb"] for r in runs))
        for size, runs in result["sizes"].items()
    ]
    return table(("contacts", "runs", "records a second", "memory, MB"), rows)


def tap_limit(result: Result) -> str:
    """Requests and their rate."""
    names = ("companies", "latency", "requests", "pages", "bound", "average_rps", "peak_rps", "refusals")
    columns = ("companies", "latency, ms", "requests", "pages", "1.05 × pages + 15", "requests a second", "peak", "429")
    return table(
        columns, [[str(run["latency"]) if n == "latency" else run[n] for n in names] for run in result["syncs"]]
    )


def target_speed(result: Result) -> str:
    """Ours beside the peer and the floor."""
    rows = []
    for load in ("insert", "update", "unchanged"):
        speed = {w: result["records"] / median(r[load] for r in runs) for w, runs in result["seconds"].items()}
        ratios = (speed["ours"] / speed["peer"], speed["ours"] / speed["floor"])
        rows.append((load, speed["ours"], speed["peer"], speed["floor"], *ratios))
    columns = ("load", "ours, records/s", "target-postgres 0.8.1", "floor", "ours / peer", "ours / floor")
    head = (
        f"{result['records']:,} records of {result['bytes_a_record']:,.0f} bytes; medians of {result['runs']} runs.\n\n"
    )
    return head + table(columns, rows)


SECTIONS: dict[str, tuple[str, Callable[[Result], str]]] = {
    "tap_limit": ("The tap at the limit of 7 requests a second", tap_limit),
    "tap_throughput": ("The tap without a limit, to a pipe", tap_throughput),
    "target_speed": ("The target beside target-postgres and the floor", target_speed),
    "conformance": ("The simulator, as third-party clients read it", conformance),
}


def page(results: Path) -> str:
    """The whole page."""
    parts = [HEAD]
    for name, (title, render) in SECTIONS.items():
        file = results / f"{name}.json"
        if not file.exists():
            parts.append(f"## {title}\n\nNot measured yet: `python benchmarks/run.py {name}`.\n")
            continue
        result = json.loads(file.read_text("utf-8"))
        machine = result["machine"]
        told = f"`{result['command']}`, {result['day']}, {machine['cores']} cores, Python {machine['python']}."
        parts.append(f"## {title}\n\n{told}\n\n{render(result)}\n")
    return "\n".join(parts)


if __name__ == "__main__":
    PAGE.write_text(page(HERE / "results"), "utf-8")
