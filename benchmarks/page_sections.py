"""Sections of the page: the target, scale, losses, the tap, the simulator."""

from __future__ import annotations

from typing import Any

from page_parts import Result, figure, middle, paragraph, runs_of, table, times, whole

LOADS = ("insert", "update", "unchanged")
# Of a machine's CPU seconds, what may be planned for.
UTILISATION = 0.7
ALLOWED_A_SECOND = 7


def conformance(result: Result) -> str:
    """What clients of others read."""
    rows = [(c["client"], c["records"], c["differences"]) for c in result["clients"]]
    return table(("client", "records compared with the dump", "differences"), rows)


def tap_throughput(result: Result) -> str:
    """Records a second and memory by size."""
    rows = [
        (f"{int(size):,}", len(runs), middle(runs, "records_a_second"), middle(runs, "memory_mb"))
        for size, runs in result["sizes"].items()
    ]
    return table(("contacts", "runs", "records a second", "memory, MB"), rows)


def tap_limit(result: Result) -> str:
    """Requests and their rate."""
    columns = {
        "companies": "companies",
        "latency": "latency, ms",
        "requests": "requests",
        "pages": "pages",
        "bound": "1.05 × pages + 15",
        "average_rps": "requests a second",
        "average_rps_with_start_and_end": "the same with start and end",
        "peak_rps": "peak",
        "refusals": "429",
    }
    names = [name for name in columns if name in result["syncs"][0]]
    rows = [[str(run[n]) if n == "latency" else run[n] for n in names] for run in result["syncs"]]
    return table([columns[n] for n in names], rows)


def resume(result: Result) -> str:
    """Requests with and without kills."""
    rows = []
    for sync in result["syncs"]:
        kills = ", ".join(f"{share:.0%}" for share in sync["kills"]) or "never"
        rows.append((kills, sync["requests"], sync["extra"], f"{sync['extra_percent']:.1f} %", sync["missing"]))
    columns = ("killed after", "requests", "more than undisturbed", "in percent", "records missing")
    head = paragraph(
        f"{result['records']:,} records of {result['companies']:,} companies, {result['rate']} requests a second to a",
        f"server that takes {result['latency']} ms: the limit of 7 and 300 ms, ten times as fast. The tap is killed",
        "(SIGKILL) after a share of the undisturbed requests and run again from the last STATE that it wrote. The",
        f"largest STATE is {max(s['largest_state_bytes'] for s in result['syncs']):,} bytes.",
    )
    return f"{head}\n\n{table(columns, rows)}"


def follow(result: Result) -> str:
    """Seconds from a change to its row, and what that costs."""
    names = {"polling": "a change every two seconds, polling", "quiet": "nothing changes", "hooks": "with webhooks"}
    rows = []
    for part, name in names.items():
        one = result[part]
        cost = (f"{one['share']:.1%}", f"{one['core']:.1%}")
        rows.append((name, f"{one['seconds']:.0f}", one["changes"], one["lost"], one["p50"], one["p95"], *cost))
    hooked = result["hooks"]
    named = (hooked["named"], None, hooked["named_p50"], hooked["named_p95"], None, None)
    rows.append(("... of these, whose webhook came within a second", None, *named))
    columns = (
        "what",
        "seconds",
        "changes",
        "lost",
        "half within, s",
        "95 % within, s",
        "of the 7 requests",
        "of a core",
    )
    kinds = sorted(result["polling"]["median_by_kind"] | result["hooks"]["median_by_kind"])
    by_kind = [[k, *(result[part]["median_by_kind"].get(k) for part in ("polling", "hooks"))] for k in kinds]
    head = paragraph(
        f"An account of {result['contacts']:,} contacts with companies, leads, notes and tasks, {result['rps_limit']}",
        f"requests a second, {result['latency_ms']} ms. The pair follows it (docs/follow.md); the time is from the",
        "change to the row that PostgreSQL has committed. The simulator calls webhooks late, twice or not at all.",
        f"CPU is that of tap and target. Both hold {result['memory_mb']:.0f} MB after the first reading, and",
        f"{result['memory_grown_mb']:+.0f} MB at the end.",
    )
    return f"{head}\n\n{table(columns, rows)}\n\n{table(('median, s', 'polling', 'with webhooks'), by_kind)}"


def speeds(result: Result, load: str) -> dict[str, float]:
    """Records a second of each way in one load."""
    return {way: result["records"] / middle(runs, load) for way, runs in result["seconds"].items()}


def target_speed(result: Result) -> str:
    """Ours beside the peer and the floor."""
    rows = []
    for load in LOADS:
        speed = speeds(result, load)
        ratios = (times(speed["ours"] / speed["peer"]), times(speed["ours"] / speed["floor"]))
        rows.append((load, speed["ours"], speed["peer"], speed["floor"], *ratios))
    columns = ("load", "ours, records/s", "target-postgres 0.8.1", "floor", "ours / peer", "ours / floor")
    head = paragraph(
        f"{result['records']:,} companies and contacts of {result['bytes_a_record']:,.0f} bytes, the same",
        "Singer file",
        f"for all, {runs_of(len(result['seconds']['ours']))} of each in turns. The floor is what PostgreSQL",
        "itself takes:",
        "the raw lines by COPY and one `INSERT ... ON CONFLICT`. The peer overwrites; ours merges three ways,",
        "with the",
        "journal and the sets of phones and e-mails on.",
    )
    return f"{head}\n\n{table(columns, rows)}"


def journal_cost(result: Result) -> str:
    """Time of the statements that write the journal beside that of the others."""
    rows = []
    for load in LOADS:
        m = result["medians"][load]
        shares = (f"{m[share]:.0%}" for share in ("share", "share_without_copy", "wal_share"))
        rows.append((load, m["others_ms"], m["journal_ms"], *shares))
    columns = ("load", "merge without journal, ms", "journal, ms", "journal / merge", "the same without COPY", "of WAL")
    head = paragraph(
        f"{result['records']:,} companies and contacts, {runs_of(len(result['runs']))}; times of statements as",
        "PostgreSQL counts them. A statement that writes rows and the journal at once counts for the journal.",
        "COPY waits for the client.",
    )
    return f"{head}\n\n{table(columns, rows)}"


def matching(result: Result) -> str:
    """How well records are recognised in rows that people typed."""
    columns = ("firms", "with a row", "adopted", "wrong", "precision", "recall", "proposals", "duplicates", "load, s")
    row = [result[key] for key in ("firms", "with_a_row", "adopted", "wrong")]
    row += [f"{result['precision']:.3f}", f"{result['recall']:.3f}"]
    row += [result["proposals"], result["duplicates"], result["seconds"]]
    undone = "leaves the database as it was" if result["undone_exactly"] else "does not restore the database"
    head = paragraph(
        "Companies with known matches. Some have a row in the CRM, by ИНН, a phone in one of eight spellings, an",
        "e-mail or a name; others only look like one: namesakes with another ИНН, companies entered twice.",
        "Recall counts all companies with a row; those neither adopted nor inserted are proposals. A company with",
        f"a row that gets a second one is a duplicate. Undoing the load {undone} (the journal apart).",
    )
    return f"{head}\n\n{table(columns, [tuple(row)])}"


def map_init(result: Result) -> str:
    """How much of a mapping is written by itself."""
    columns = ("expected", "written", "right")
    rows = [
        (name, *(one[key] for key in columns), f"{one['precision']:.3f}", f"{one['recall']:.3f}")
        for name, one in [*result["schemas"].items(), ("all", result["total"])]
    ]
    head = paragraph(
        "Six databases, made like those of Django, Odoo, Rails and Twenty; each has a mapping that a person wrote.",
        "The table counts tables, columns with sources, related and join tables, and the default that names a tenant.",
        "The names that `map --init` knows were completed by these schemas: other databases will have names that it",
        "does not know.",
    )
    return f"{head}\n\n{table(('schema', *columns, 'precision', 'recall'), rows)}"


def target_growth(result: Result) -> str:
    """Seconds for a part by the size of the table, and memory."""
    runs = len(next(iter(result["sizes"].values()))["ours"])
    head = paragraph(
        f"Seconds for {result['part']:,} contacts, the start of the process included, into a table that holds the",
        f"number of contacts in the first column; {runs_of(runs)} of each in turns. CPU seconds are those of the",
        "target's process, without PostgreSQL.",
    )
    rows: list[list[Any]] = []
    for size, ways in result["sizes"].items():
        for load in LOADS:
            found = [middle(ways[way], load, "seconds") for way in ("ours", "peer", "floor")]
            spent = [middle(ways[way], load, "cpu_seconds") for way in ("ours", "peer")]
            rows.append([f"{int(size):,}, {load}", *found, times(found[1] / found[0]), *spent])
    columns = ("contacts in the table, load", "ours", "target-postgres 0.8.1", "floor", "ours / peer")
    columns += ("CPU seconds of our process", "of the peer's")
    memory = [
        [f"{names[way]}, {load['records']:,} records", load["memory_mb"], load["records"] / load["seconds"]]
        for names in ({"ours": "ours", "peer": "target-postgres 0.8.1"},)
        for way, loads in result["bulk"].items()
        for load in loads
    ]
    memory_table = table(("one load of new contacts", "peak memory, MB", "records a second"), memory)
    return "\n\n".join([head, table(columns, rows), "Memory:", memory_table])


def cpu(runs: list[dict[str, Any]], step: str) -> float:
    """The median of CPU seconds of tap, target and PostgreSQL together."""
    parts = ("tap", "target")
    return middle(
        [{"all": sum(r[step][p]["cpu_seconds"] for p in parts) + r[step]["postgres_cpu_seconds"]} for r in runs],
        "all",
    )


def rate(result: Result) -> float:
    """Requests a second that the largest account reached which was synced at the limit."""
    limited = [runs for runs in result["limited"].values() if runs]
    return middle(limited[-1], "first", "average_rps") if limited else float(result["rps_limit"])


def accounts(result: Result, size: str, step: str, seconds: int) -> int:
    """How many accounts of a size two cores keep up with, each synced once in that many seconds."""
    return int(2 * UTILISATION * seconds / cpu(result["lifted"][size], step))


def scale(result: Result) -> str:
    """Requests, seconds, CPU and memory by size, and how many accounts a machine keeps up with."""
    head = paragraph(
        "Each contact comes with a third of a company and of a lead, two notes and two thirds of a task.",
        "Accounts that",
        f"were synced at {result['rps_limit']} requests a second ({result['latency_ms']} ms of latency) show",
        "the seconds",
        "measured. The others were synced with the throttle lifted, and their seconds are computed: requests",
        "divided by",
        f"the {rate(result):.3g} requests a second that the largest measured account reached. CPU seconds are",
        "those of",
        "tap, target and PostgreSQL with the throttle lifted, VACUUM and checkpoint included.",
    )
    rows: list[list[Any]] = []
    for size, lifted in result["lifted"].items():
        limited = result["limited"][size]
        runs = limited or lifted
        requests = middle(runs, "first", "requests")
        seconds = middle(runs, "first", "seconds") if limited else requests / rate(result)
        told = f"{runs_of(len(runs))}, {'measured' if limited else 'computed'}"
        memory = [middle(lifted, "first", part, "memory_mb") for part in ("tap", "target")]
        row = [f"{int(size):,}", int(middle(runs, "first", "records")), whole(requests), seconds, told]
        rows.append([*row, cpu(lifted, "first"), *memory])
    columns = ("contacts", "records", "requests", "seconds at 7 a second", "", "CPU seconds", "tap, MB", "target, MB")
    parts = [head, "A first sync:", table(columns, rows)]
    rows = []
    for size, lifted in result["lifted"].items():
        row = [f"{int(size):,}", *(cpu(lifted, step) for step in ("nothing_new", "hundredth_changed"))]
        counted = [accounts(result, size, "hundredth_changed", s) for s in (900, 3600, 86_400)]
        rows.append(
            [*row, *(whole(middle(lifted, s, "requests")) for s in ("nothing_new", "hundredth_changed")), *counted]
        )
    columns = ("contacts", "CPU s, nothing new", "CPU s, 1 % changed", "requests, nothing new", "requests, 1 % changed")
    columns += ("accounts: every 15 minutes", "every hour", "every day")
    parts += [
        paragraph(
            "Later syncs, and how many accounts of that size one machine of two cores keeps up with, when a",
            "hundredth of",
            f"the contacts and of their notes changed since the last: {UTILISATION:.0%} of its CPU seconds",
            "between two",
            "syncs divided by those of one. The limit of requests is each account's own and is shared by none.",
        ),
        table(columns, rows),
    ]
    return "\n\n".join(parts)


def scale_million(result: Result) -> str:
    """The three syncs of the largest account."""
    names = {"first": "first sync", "nothing_new": "nothing new", "hundredth_changed": "1 % of contacts changed"}
    rows = []
    for step, name in names.items():
        found = result["steps"][step]
        memory = [found[part]["memory_mb"] for part in ("tap", "target")]
        row = [name, found["records"], found["requests"], found["requests"] / ALLOWED_A_SECOND, found["seconds"]]
        rows.append([*row, cpu([result["steps"]], step), *memory])
    columns = ("sync", "records", "requests", "requests / 7", "seconds without the limit", "CPU seconds")
    head = paragraph(
        f"{result['contacts']:,} contacts and a third as many companies, without leads, notes and tasks, once, with",
        "the throttle lifted. The minimum seconds at the limit are computed: requests divided by seven.",
    )
    return f"{head}\n\n{table((*columns, 'tap, MB', 'target, MB'), rows)}"


def losses(result: Result) -> str:
    """Faults, how often they were tried, what was lost."""
    sizes = ", ".join(f"`{name}={value}`" for name, value in result["sizes"].items())
    head = paragraph(
        f"Counted by the tests that break things while they run ({sizes}). Records lost are those that the",
        "account has",
        "and the output or the database lacks or holds in another version; edits are rows that hold other",
        "values than",
        "people and amoCRM gave them; tokens are refresh tokens spent twice or gone. A dash: the fault can't",
        "lose it.",
    )
    rows: list[list[Any]] = []
    for fault in result["faults"]:
        kinds = sorted(((n, kind) for kind, n in fault["kinds"].items() if kind), reverse=True)
        named = ", ".join(f"{kind} {n:,}" for n, kind in kinds)
        lost = [fault["lost"].get(what) for what in ("records", "edits", "tokens")]
        rows.append([fault["fault"] + (f" ({named})" if named else ""), fault["cases"], fault["tried"], *lost])
    return f"{head}\n\n{table(('fault', 'cases', 'times', 'records lost', 'edits lost', 'tokens lost'), rows)}"


def review_page(result: Result) -> str:
    """Milliseconds by page."""
    size = result["size"]
    rows = [(name, t["first_ms"], t["median_ms"], t["slowest_ms"]) for name, t in result["pages"].items()]
    told = paragraph(
        f"`target-crm-admin serve` over {size['conflicts']:,} open conflicts and {size['changes']:,} entries of the",
        f"journal, half of them of one run, with {size['contacts']:,} contacts. Milliseconds from the request to the",
        f"end of the answer; the median may take {result['limit_ms']:.0f}. All are below it:",
        f"{'yes' if result['all_under_limit'] else 'no'}. The first start took {figure(result['start_seconds'])} s,",
        "most of it for the page's indexes. The preview of an undo runs the undo and rolls it back; it has no limit.",
    )
    return told + "\n\n" + table(("page", "first", "median", "slowest"), rows)


def start_up(result: Result) -> str:
    """CPU seconds and ratios by command."""
    told = paragraph(
        "CPU time of `--version` beside that of `python -c 'import singer_sdk'`, which every Singer command pays;",
        "medians of pairs. The SDK imports numpy wherever it finds it; our commands leave it out.",
    )
    rows = [
        (f"`{name}`", c["seconds"], times(c["ratio"]), times(c["ratio_without_numpy"]))
        for name, c in result["commands"].items()
    ]
    columns = ("command", "CPU seconds", "beside the SDK", "beside the SDK without numpy")
    return told + "\n\n" + table(columns, rows)
