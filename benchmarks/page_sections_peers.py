"""Sections of the page: against the design note and against amochka."""

from __future__ import annotations

from typing import Any

from page_parts import Result, middle, paragraph, runs_of, table, times, whole

METHODS = {"a": "(a) one request per parent", "b": "(b) the note's batches", "c": "(c) ours"}
STEPS = ("insert", "update", "unchanged")
STEP_NAMES = {"insert": "all new", "update": "all changed", "unchanged": "nothing changed"}
# What the design note promises over (a), least and most.
CLAIMS = {"contacts": (10, 50), "notes": (50, 200), "writes": (5, 20), "overall": (3, 10)}
OVERALL_GOAL, WRITES_GOAL = 2, 10


def by_list(result: Result, way: str, kind: str, key: str) -> float:
    """The median of requests or seconds of one kind of list."""
    return middle(result["syncs"][way], "traffic", "by_list", kind, key)


def design_note(result: Result) -> str:
    """Tables of the reading and the writing, the note's claims, and our goals."""
    written = result["writing"]["account"]
    head = paragraph(
        f"One account of {result['companies']:,} companies and {written['records']:,} records in all,",
        f"{result['latency_ms']} ms of latency, {result['rps_limit']} requests a second, an empty database;",
        f"{runs_of(len(result['syncs']['c']))} of each. (a) writes row by row with a query for each, (b) from",
        "dictionaries",
        "loaded before by `bulk_create` and `bulk_update`, both through Django and one request after another.",
        "The runs of",
        "(a) wait for answers side by side, each with its own simulator; (b) and (c) follow one another",
        "in turns. (c)",
        "reads several lists at once, so its seconds overlap. (a) and (b) write only phones as further rows",
        "and overwrite",
        "what people edited; (c) merges three ways and writes phones, e-mails, links and the journal.",
    )
    return "\n\n".join([head, _reading(result), _writing(result), _claims(result), _goals(result)])


def _reading(result: Result) -> str:
    rows: list[list[Any]] = []
    for kind in ("contacts", "notes", "tasks"):
        for way, name in METHODS.items():
            requests, seconds = (by_list(result, way, kind, key) for key in ("requests", "seconds"))
            statements = result["statements"][way][kind]
            rows.append([f"{kind}, {name}", whole(requests), seconds, requests / seconds, statements])
    for way, name in METHODS.items():
        runs = result["syncs"][way]
        traffic = [middle(runs, "traffic", key) for key in ("requests", "average_rps")]
        whole_sync = [whole(traffic[0]), middle(runs, "seconds"), traffic[1], whole(middle(runs, "statements"))]
        rows.append([f"**overall**, {name}", *whole_sync])
    return table(("what is synced", "requests", "seconds", "requests a second", "SQL statements"), rows)


def _writing(result: Result) -> str:
    text = paragraph(
        "Database writes alone: the same records from a file, while no other program runs. The seconds include the",
        "start of the process, which the rows without records show. (a) is not measured on the larger account.",
    )
    rows: list[list[Any]] = []
    for told in result["writing"].values():
        for step in (*STEPS, "start"):
            for way, runs in told["ways"].items():
                what = "nothing to write" if step == "start" else f"{told['records']:,} records, {STEP_NAMES[step]}"
                name = f"{what}, {METHODS[way]}"
                seconds = middle(runs, step, "seconds")
                counts = [whole(middle(runs, step, key)) for key in ("statements", "row_versions")]
                rows.append([name, seconds, told["records"] / seconds if step != "start" else None, *counts])
    columns = ("writes", "seconds", "records a second", "SQL statements", "row versions")
    return f"{text}\n\n{table(columns, rows)}"


def ratios(result: Result, way: str, other: str) -> dict[str, dict[str, float]]:
    """How many times less `way` takes than `other`: by what is synced, in requests and in seconds."""
    found: dict[str, dict[str, float]] = {}
    for kind in ("contacts", "notes"):
        found[kind] = {
            f"in {key}": by_list(result, other, kind, key) / by_list(result, way, kind, key)
            for key in ("requests", "seconds")
        }
    found["writes"] = write_ratios(result, "account", way, other)
    syncs = {w: result["syncs"][w] for w in (way, other)}
    found["overall"] = {
        "in requests": middle(syncs[other], "traffic", "requests") / middle(syncs[way], "traffic", "requests"),
        "in seconds": middle(syncs[other], "seconds") / middle(syncs[way], "seconds"),
    }
    return found


def write_ratios(result: Result, account: str, way: str, other: str) -> dict[str, float]:
    """How many times faster `way` writes than `other`, by kind of load."""
    ways = result["writing"][account]["ways"]
    return {
        STEP_NAMES[step]: middle(ways[other], step, "seconds") / middle(ways[way], step, "seconds") for step in STEPS
    }


def started_ratios(result: Result, account: str, way: str, other: str) -> dict[str, float | None]:
    """The same without the start of the process; None where there is nothing beside the start that could be timed."""
    ways = result["writing"][account]["ways"]
    found: dict[str, float | None] = {}
    for step in STEPS:
        seconds = {w: middle(ways[w], step, "seconds") - middle(ways[w], "start", "seconds") for w in (way, other)}
        found[STEP_NAMES[step]] = seconds[other] / seconds[way] if min(seconds.values()) > 0 else None
    return found


def _claims(result: Result) -> str:
    rows = []
    measured = {way: ratios(result, way, "a") for way in "bc"}
    for kind, (least, most) in CLAIMS.items():
        for unit, value in measured["b"][kind].items():
            rows.append([f"{kind}, {unit}", f"{least}–{most} ×", times(value), times(measured["c"][kind][unit])])
    return "What the note claims over (a), and what is true:\n\n" + table(
        ("", "the note", "(b) / (a)", "(c) / (a)"), rows
    )


def goals(result: Result) -> list[tuple[str, int, float, float | None]]:
    """What ours should reach over (b), and what it does: name, goal, measured, measured without the process's start."""
    overall = ratios(result, "c", "b")["overall"]["in seconds"]
    found: list[tuple[str, int, float, float | None]] = [
        (f"whole sync, {result['writing']['account']['records']:,} records", OVERALL_GOAL, overall, None)
    ]
    for account, told in result["writing"].items():
        started = started_ratios(result, account, "c", "b")
        for name, value in write_ratios(result, account, "c", "b").items():
            found.append((f"writes, {told['records']:,} records, {name}", WRITES_GOAL, value, started[name]))
    return found


def _goals(result: Result) -> str:
    rows = [
        [name, f"{goal} ×", times(value), times(started) if started else None, _verdict(goal, value, started)]
        for name, goal, value, started in goals(result)
    ]
    columns = ("", "goal", "(c) / (b)", "without the start", "")
    return "Ours over (b), in seconds:\n\n" + table(columns, rows)


def _verdict(goal: int, value: float, started: float | None) -> str:
    if value >= goal:
        return "reached"
    return "reached without the start alone" if started and started >= goal else "**not reached**"


def amochka(result: Result) -> str:
    """Two runs by both, what they wrote, and manual edits."""
    names = {"amochka": f"amochka {result['version']}", "ours": "ours"}
    head = paragraph(
        f"{result['leads']:,} leads with a contact, a task and two notes each, since amochka loads only",
        "records of leads;",
        f"{result['latency_ms']} ms, {result['rps_limit']} requests a second;",
        f"{runs_of(len(result['ways']['ours']))} of each",
        "in turns. Row versions are rows inserted, updated and deleted.",
    )
    rows: list[list[Any]] = []
    for step, text in (("first", "first run"), ("second", "second run, nothing changed")):
        for way, runs in result["ways"].items():
            requests = whole(middle(runs, step, "traffic", "requests"))
            counts = [whole(middle(runs, step, key)) for key in ("statements", "row_versions")]
            rows.append([f"{text}, {names[way]}", requests, middle(runs, step, "seconds"), *counts])
    first = table(("", "requests", "seconds", "SQL statements", "row versions"), rows)
    edits = []
    for way, runs in result["ways"].items():
        kept = [
            f"{middle(runs, 'edits', n, 'kept'):.0f} of {middle(runs, 'edits', n, 'made'):.0f}"
            for n in ("unchanged_in_amocrm", "changed_in_amocrm")
        ]
        edits.append([names[way], *kept])
    columns = ("names of leads edited by hand and kept", "lead unchanged in amoCRM", "another field changed in amoCRM")
    parts = [head, first, table(columns, edits)]
    if result["stops_at_twice_the_leads"]:
        parts.append(
            paragraph(
                f"With {2 * result['leads']:,} leads amochka stops: it puts the IDs of all their contacts into one",
                "address, which the server refuses (414).",
            )
        )
    return "\n\n".join(parts)
