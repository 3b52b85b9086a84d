"""Sections of the page, and the part of docs/scaling.md: many accounts, measured and simulated."""

from __future__ import annotations

from page_parts import Result, middle, paragraph, table

UTILISATION, CORES = 0.7, 2
BEGIN, END = "<!-- fleet: made by benchmarks/page.py -->", "<!-- fleet end -->"
_STEPS = {"nothing_new": "nothing new", "hundredth_changed": "1 % changed"}
_WAYS = {"started": "started each time", "loaded": "kept loaded"}


def accounts_an_hour(result: Result, size: str, step: str, way: str) -> int:
    """How many accounts of a size two cores sync once an hour, the orchestrator's step included."""
    cost = middle(result["accounts"][size][step][way], "cpu_seconds") + (result["empty_step_cpu_seconds"] or 0)
    return int(CORES * UTILISATION * 3600 / cost)


def fleet(result: Result) -> str:
    """CPU seconds of a sync by both ways, and accounts per machine."""
    step = result["empty_step_cpu_seconds"]
    of_dagster = f" and of a step of Dagster ({step:.2g} s, measured with nothing in it)" if step else ""
    head = paragraph(
        "One account synced again and again by `run_pair` (deploy/pair): tap and target as processes that start for",
        "each sync, and as forks of processes that have them loaded. CPU seconds are those of tap, target and",
        "PostgreSQL with the throttle lifted. The last column is what a VACUUM of the whole database and a checkpoint",
        "after the sync took besides; a server does that far more rarely. Accounts an hour: 70 % of the CPU seconds of",
        f"two cores divided by those of a sync{of_dagster}.",
    )
    rows = []
    for size, steps in result["accounts"].items():
        for name, ways in steps.items():
            for way, runs in ways.items():
                figures = [middle(runs, key) for key in ("pair_cpu_seconds", "postgres_cpu_seconds", "cpu_seconds")]
                told = f"{int(size):,} contacts, {_STEPS[name]}, {_WAYS[way]}"
                hourly = accounts_an_hour(result, size, name, way)
                rows.append([told, *figures, hourly, middle(runs, "settle_cpu_seconds")])
    columns = (
        "account, change, commands",
        "tap and target",
        "PostgreSQL",
        "together",
        "accounts an hour",
        "VACUUM, checkpoint",
    )
    return "\n\n".join([head, table(columns, rows)])


def fleet_simulation(result: Result) -> str:
    """What ten thousand accounts would need."""
    sizes = result["contacts"]
    head = paragraph(
        f"{result['accounts']:,} generated accounts ({sizes['median']:,} contacts in the median,",
        f"{sizes['largest']:,} at most, {sizes['sum']:,} in all), each synced once an hour at its own second; a",
        "hundredth of contacts and notes changes in an hour on average; one account in ten is scoped, and the tap's",
        "planner decides how its children are read. Costs of a sync are those that the benchmark `fleet` measured,",
        "requests go at 6.5 a second and account. There are as many hosts of two cores as keep below 70 % of their",
        "CPU, and as many places on each as let 95 % of the syncs begin within a minute.",
        "Computed by `benchmarks/fleet_simulation.py`, not run.",
    )
    rows = []
    for way, found in result["ways"].items():
        figures = [found[k] for k in ("hosts", "places", "cpu_share", "wait_p50", "wait_p95", "wait_p99")]
        rows.append([_WAYS[way], *figures, found["pairs_at_once"], found["connections"], found["requests_a_second"]])
    columns = ("commands", "hosts", "places each", "CPU share", "wait, s: median", "95 %", "99 %")
    columns += ("pairs at once", "connections", "requests a second over all")
    return "\n\n".join([head, table(columns, rows)])


def put(page: str, simulated: Result) -> str:
    """The page on scaling with the simulation between its marks."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        msg = f"the page lacks {BEGIN} and {END}"
        raise ValueError(msg)
    return f"{before}{begin}\n\n{fleet_simulation(simulated)}\n\n{end}{after}"
