"""The digest as text, HTML and JSON."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from target_crm.digest.words import Words
from target_crm.operations.digest import MOST_COUNTED, Digest
from target_crm.operations.health import Complete
from target_crm.presentation.texts.rendering import problem_text
from target_crm.presentation.visible import visible

# What is said of a table's counts, in this order; other counts are the loader's own.
_CHANGES = {
    "inserted": "night_inserted",
    "updated": "night_updated",
    "deleted": "night_deleted",
    "restored": "digest_restored",
    "adopted": "digest_adopted",
    "kept": "night_kept",
    "conflicts": "night_conflicts",
    "rejected": "night_rejected",
    "warnings": "night_left_out",
}
_SECTIONS = ("conflicts", "proposals", "rejects", "warnings")


@dataclass(frozen=True)
class Line:
    """A sentence; `link` leads to the page that it is about, `is_bad` marks what is wrong."""

    text: str
    link: str = ""
    is_bad: bool = False


@dataclass(frozen=True)
class Message:
    """A digest in one language: a title, sentences on the syncs, what changed, what waits."""

    title: str
    period: str
    state: list[Line]
    changed: list[Line]
    waits: list[Line]
    words: Words
    home: str = ""
    document: Mapping[str, Any] = field(default_factory=dict)

    def text(self) -> str:
        """As plain text."""
        parts = [self.title, self.period, "", *(line.text for line in self.state)]
        for heading, lines in ((self.words("changed_title"), self.changed), (self.words("waits_title"), self.waits)):
            parts += ["", heading, *(f"  {line.text}{': ' if line.link else ''}{line.link}" for line in lines)]
        if self.home:
            parts += ["", f"{self.words('open_page')}: {self.home}"]
        return visible("\n".join(parts)) + "\n"

    def html(self) -> str:
        """As one HTML page with no address but the review page's."""
        return _template().render(message=self, w=self.words)


@lru_cache(maxsize=1)
def _template() -> Template:
    environment = Environment(loader=PackageLoader("target_crm.digest"), autoescape=True, undefined=StrictUndefined,
                              trim_blocks=True, lstrip_blocks=True)  # fmt: skip
    return environment.get_template("digest.html.j2")


def compose(digest: Digest, words: Words, name_of: Callable[[str], str], public_url: str | None) -> Message:
    """The message of a digest.

    Args:
        digest: What happened.
        words: The reader's words.
        name_of: What the records of a table are called.
        public_url: The address of the review page; without one there are no links.
    """
    home = (public_url or "").rstrip("/")
    waits = [_waiting(digest, words, kind, home) for kind in _SECTIONS if digest.waiting.get(kind)]
    changed = [
        Line(words("changed_in", table=name_of(table), what=words.listed(parts)))
        for table, counts in digest.changes.items()
        if (parts := [words.many(key, counts[kind]) for kind, key in _CHANGES.items() if counts.get(kind)])
    ]
    title = _title(digest, words)
    links = {kind: f"{home}/{kind}" for kind in _SECTIONS} if home else {}
    return Message(
        title=title,
        period=words("period", since=words.when(digest.since), until=words.when(digest.until)),
        state=_state(digest, words, home),
        changed=changed or [Line(words("changed_nothing"))],
        waits=waits or [Line(words("waits_nothing"))],
        words=words,
        home=home,
        document={"title": title, **digest.as_dict(), "links": links},
    )


def _title(digest: Digest, words: Words) -> str:
    if not digest.health.accounts:
        return words("digest_never")
    if digest.late:
        return words("digest_late")
    if digest.has_failed:
        return words("digest_failed")
    if digest.health.gaps:
        return words("digest_gap")
    waiting = sum(digest.waiting.values())
    return words.many("digest_waits", waiting) if waiting else words("digest_well")


def _state(digest: Digest, words: Words, home: str) -> list[Line]:
    health = digest.health
    found = [_complete(account, words, len(health.accounts) > 1, home) for account in health.accounts]
    if not found:
        found.append(Line(words("never"), is_bad=True))
    if digest.has_failed:
        status = words.of("status", health.last_status)
        link = f"{home}/runs/{health.last_run}" if home else ""
        found.append(Line(words("last_ended", run=str(health.last_run), status=status), link, is_bad=True))
    for gap in health.gaps:
        text = problem_text("W_STATE_GAP", {"streams": gap.streams}, words.language)
        found.append(Line(words("gap", run=str(gap.run), text=text, command=gap.command), is_bad=True))
    found.append(Line(_loads(digest, words)))
    for key, kinds in (("decided", ("resolve", "decide")), ("rolled_back", ("undo",))):
        if number := digest.ran(*kinds).get("succeeded"):
            found.append(Line(words.many(key, number)))
    return found


def _complete(account: Complete, words: Words, is_one_of_several: bool, home: str) -> Line:
    given = {"age": words.age(account.age_seconds), "run": str(account.run)}
    text = words("complete_of", account=str(account.account_id), **given) if is_one_of_several else words(
        "complete", **given
    )  # fmt: skip
    if account.is_stale and account.longest_seconds is not None:
        text += " " + words("overdue", limit=words.span(account.longest_seconds))
    return Line(text, f"{home}/runs/{account.run}" if home else "", account.is_stale)


def _loads(digest: Digest, words: Words) -> str:
    loads = digest.ran("load")
    if not loads:
        return words("loads_none")
    if loads.keys() == {"succeeded"}:
        return words.many("loads_good", loads["succeeded"])
    parts = [words("loads_of", n=number, status=words.of("status", status)) for status, number in loads.items()]
    return words("loads_mixed", what=", ".join(parts))


def _waiting(digest: Digest, words: Words, kind: str, home: str) -> Line:
    number = digest.waiting[kind]
    text = words.many(f"waits_{kind}", number)
    if number > MOST_COUNTED:
        text = text.replace(words.n(number), words.up_to(number, MOST_COUNTED))
    if kind in digest.oldest:
        text = words("waits_since", what=text, day=words.day(digest.oldest[kind]))
    return Line(text, f"{home}/{kind}" if home else "")
