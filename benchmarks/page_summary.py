"""What the READMEs show of the results, put between marks: a short table, and how fresh a followed account is."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from page_fleet import accounts_an_hour
from page_parts import Result, middle, table, times
from page_sections import speeds
from page_sections_peers import ratios, write_ratios

# The names of what page.py writes between marks in a README.
TABLE, FRESHNESS = "benchmarks", "freshness"
# README -> words by row; each row is left out while its benchmark was not measured.
LANGUAGES: dict[str, dict[str, str]] = {
    "README.md": {
        "numbers": "en",
        "head": "measured|result",
        "overall": "a whole sync of {n} records, compared with one request per parent; with batching",
        "writes": "database writes, compared with Django bulk_create, bulk_update: all new; all changed; unchanged",
        "peer": "a load, compared with meltanolabs-target-postgres: all new; all changed; unchanged",
        "amochka": "row versions that a second run without changes writes: amochka; ours",
        "edits": "manual edits kept when amoCRM changed another field: amochka; ours",
        "limit": "requests a second, of the 7 allowed",
        "accounts": "accounts of 10,000 contacts (1 % changed) two cores sync hourly: commands loaded; started",
        "fresh": "seconds from a change in amoCRM to its row, 95 % of changes: by polling; named by a webhook in time",
        "picture": "Each point is a change: after how many seconds its row was committed. 95 % within {polling} s by "
        "polling, within {hooks} s where a webhook named it in time; {share} of the requests.",
        "losses": "faults tried in tests (kills, cuts, bad answers, changes meanwhile); records, edits, tokens lost",
        "of": "{kept} of {made}",
    },
    "README.ru.md": {
        "numbers": "ru",
        "head": "что измерено|результат",
        "overall": "синхронизация {n} записей: во сколько раз быстрее поштучных запросов; пакетной загрузки",
        "writes": "запись в базу быстрее bulk_create и bulk_update Django: всё новое; всё изменено; без изменений",
        "peer": "загрузка быстрее meltanolabs-target-postgres: всё новое; всё изменено; без изменений",
        "amochka": "строк перезаписано при повторном запуске без изменений: amochka; наша связка",
        "edits": "сохранено правок, когда в amoCRM изменилось другое поле: amochka; наша связка",
        "limit": "запросов в секунду из 7 разрешённых",
        "accounts": "аккаунтов по 10 000 контактов (1 % изменений в час) на двух ядрах: команды в памяти; новый запуск",
        "fresh": "секунд от изменения в amoCRM до строки в CRM, 95 % изменений: без вебхуков; по вебхуку",
        "picture": "Каждая точка — изменение: через сколько секунд записана его строка. 95 % изменений — за {polling} "
        "с без вебхуков и за {hooks} с, если о них вовремя сообщил вебхук; занято {share} лимита запросов.",
        "losses": "сбоев в тестах (kill, обрывы, плохие ответы, чужие правки); потеряно записей, правок, токенов",
        "of": "{kept} из {made}",
    },
}


def table_of(found: Mapping[str, Result], words: Mapping[str, str]) -> str:
    """The table in the language of these words."""
    rows = [(words[name].format(**numbers), value(words)) for name, numbers, value in _rows(found)]
    made = table(words["head"].split("|"), rows)
    return in_russian_form(made) if words["numbers"] == "ru" else made


def freshness_of(found: Mapping[str, Result], words: Mapping[str, str]) -> str:
    """The picture of how fresh a followed account is, in the language of these words; empty while not measured."""
    if "follow" not in found:
        return ""
    result = found["follow"]
    figures = {"polling": _seconds(result["polling"]["p95"]), "hooks": _seconds(result["hooks"]["named_p95"])}
    text = words["picture"].format(**figures, share=f"{result['polling']['share']:.0%}")
    text = in_russian_form(text) if words["numbers"] == "ru" else text
    return f"![{words['picture'].partition(':')[0]}](docs/images/bench-follow.svg)\n\n{text}"


def _seconds(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def in_russian_form(text: str) -> str:
    """Numbers as Russian writes them: `2 546` for `2,546`, `31,5` for `31.5`."""
    spaced = re.sub(r"(?<=\d),(?=\d{3}(?!\d))", "\N{NO-BREAK SPACE}", text)
    return re.sub(r"(?<=\d)\.(?=\d)", ",", spaced)


def _rows(found: Mapping[str, Result]) -> list[tuple[str, dict[str, str], Any]]:
    """Names of rows, numbers for their words, and what gives their figures in a language."""
    rows: list[tuple[str, dict[str, str], Any]] = []
    if note := found.get("design_note"):
        overall = [times(ratios(note, "c", way)["overall"]["in seconds"]) for way in "ab"]
        account = "larger" if "larger" in note["writing"] else "account"
        writes = [times(ratio) for ratio in write_ratios(note, account, "c", "b").values()]
        rows.append(("overall", {"n": f"{note['writing']['account']['records']:,}"}, _joined(overall)))
        rows.append(("writes", {}, _joined(writes)))
    if target := found.get("target_speed"):
        by_load = [speeds(target, load) for load in ("insert", "update", "unchanged")]
        rows.append(("peer", {}, _joined([times(s["ours"] / s["peer"]) for s in by_load])))
    if etl := found.get("amochka"):
        runs = [etl["ways"][way] for way in ("amochka", "ours")]
        rows.append(("amochka", {}, _joined([f"{middle(r, 'second', 'row_versions'):,.0f}" for r in runs])))
        kept = [[middle(r, "edits", "changed_in_amocrm", key) for key in ("kept", "made")] for r in runs]
        rows.append(("edits", {}, _kept(kept)))
    if limit := found.get("tap_limit"):
        rates = [sync["average_rps"] for sync in limit["syncs"]]
        rows.append(("limit", {}, _joined([f"{min(rates):.2f}–{max(rates):.2f}"])))
    if fresh := found.get("follow"):
        times_of = (fresh["polling"]["p95"], fresh["hooks"]["named_p95"])
        rows.append(("fresh", {}, _joined([_seconds(value) for value in times_of])))
    if (many := found.get("fleet")) and "10000" in many["accounts"]:
        by_way = [f"{accounts_an_hour(many, '10000', 'hundredth_changed', way):,}" for way in ("loaded", "started")]
        rows.append(("accounts", {}, _joined(by_way)))
    if broken := found.get("losses"):
        lost = [sum(f["lost"].get(what, 0) for f in broken["faults"]) for what in ("records", "edits", "tokens")]
        rows.append(("losses", {}, _joined([f"{n:,}" for n in (sum(f["tried"] for f in broken["faults"]), *lost)])))
    return rows


def _joined(figures: list[str]) -> Any:
    return lambda words: "; ".join(figures)


def _kept(kept: list[list[float]]) -> Any:
    return lambda words: "; ".join(words["of"].format(kept=int(k), made=int(m)) for k, m in kept)


def put(readme: str, name: str, made: str) -> str:
    """The README with what was made between the marks of that name.

    Raises:
        ValueError: it lacks them.
    """
    marks = f"<!-- {name}: made by benchmarks/page.py -->", f"<!-- {name} end -->"
    before, begin, rest = readme.partition(marks[0])
    _, end, after = rest.partition(marks[1])
    if not begin or not end:
        msg = f"the README lacks {' and '.join(marks)}"
        raise ValueError(msg)
    return f"{before}{begin}\n\n{made}\n\n{end}{after}" if made else f"{before}{begin}\n{end}{after}"
