"""Messages, pages, comments and docstrings use the usual words (docs/glossary.md): a list of phrases is kept out."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
# What is written, and what to write instead.
PHRASES = {
    "is no ...": (r"(?<![Tt]here )\b(?:is|are) no\b(?! longer| more| less| other)", "is not a ..."),
    "is none": (r"(?<![Tt]here )\b(?:is|are) none\b", "is not one of ..., or the noun"),
    "anew": (r"\banew\b", "again"),
    "told": (r"\btold\b", "reported, known, shown"),
    "so many": (r"\bso many\b", "the number"),
    "heed": (r"\bheed(?:s|ed|ing)?\b", "honour, support"),
    "wants": (r"\bwants?\b", "needs, requires"),
    "lies": (r"\blies\b", "is"),
    "stands": (r"\bstands?\b(?! for)", "is"),
    "heal": (r"\bheal(?:s|ed|ing)?\b", "repair"),
    "vanish": (r"\bvanish(?:es|ed|ing)?\b", "deleted"),
    "bury, grave": (r"\b(?:bury|buries|buried|graves?)\b", "tombstone"),
    "born": (r"\bborn\b", "inserted"),
    "put aside": (r"\bput(?:s|ting)? aside\b", "reject"),
    "held against": (r"\bheld against\b", "compared with"),
    "take apart": (r"\bt(?:ake|akes|aken|ook) apart\b", "decode, extract"),
    "border": (r"\bborders?\b", "page boundary"),
    "hang on": (r"\b(?:hang|hangs|hung) on\b", "belong to"),
    "a ... of its own": (r"\ban? \w+ of (?:its|their|one's) own\b", "a separate ..., its own ..."),
    "in the place of": (r"\bin the place of\b", "instead of"),
    "as it came": (r"\bas (?:it|they) came\b", "as received"),
    "edit by hand": (r"\bedits? by hand\b", "manual edit"),
    "undoing, undoings": (r"\b(?:the|an) undoing\b|\bundoings\b", "undo"),
    "let go": (r"\b(?:never|was|were) let go\b", "released"),
    "to the letter": (r"\bto the letter\b", "exactly"),
    "without a word": (r"\bwithout a word\b", "silently"),
    "There is no ...": (r"(?:^|[.!?] )There (?:is|are) no\b", "... does not exist"),
    "is there already": (r"\b(?:is|are) there already\b", "already exists"),
    "in the making": (r"\bin (?:the|its) making\b", "not tested"),
    "needs more packages": (r"\bneeds more packages\b", "requires additional packages"),
}
SQL = re.compile(r"\b(?:SELECT|UPDATE|INSERT|CREATE|FROM)\b")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md"), *ROOT.glob("examples/*/README.md")]
NOT_OURS = {"CHANGELOG.md", "README.ru.md", "glossary.md"}
# How many of these phrases each package and the pages still have. The numbers only ever go down: lower them with each
# text that is rewritten.
LEFT = {
    "pages": 0,
    "tap-amocrm": 0,
    "target-crm": 0,
    "amocrm-sim": 0,
    "benchmarks": 0,
    "deploy": 0,
    "demo": 0,
    "tests": 0,
}
TESTS = ("tests", "tap-amocrm/tests", "target-crm/tests", "amocrm-sim/tests")


def of_page(text):
    """A page's sentences without its code."""
    yield re.sub(r"`[^`\n]*`", "`code`", re.sub(r"```.*?```", "", text, flags=re.DOTALL))


def of_code(text, texts=True):
    """A module's comments and docstrings, and with `texts` its other texts; not SQL and single words."""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    tree = ast.parse(text)
    statements = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        value = getattr(node, "value", None) if isinstance(node, ast.Constant) else None
        if not texts and id(node) not in statements:
            continue
        if (
            isinstance(value, str)
            and " " in value
            and not re.search(r"\b(?:SELECT|UPDATE|INSERT|CREATE|FROM)\b", value)
        ):
            yield value


def texts(area):
    """File and text of an area."""
    if area == "pages":
        for page in PAGES:
            if page.name not in NOT_OURS:
                yield from ((page, text) for text in of_page(page.read_text("utf-8")))
        return
    package = ROOT / area / area.replace("-", "_")
    folders = [ROOT / folder for folder in TESTS] if area == "tests" else [package if package.exists() else ROOT / area]
    for file in (file for folder in folders for file in folder.rglob("*.py")):
        # This list names the phrases itself.
        if file != Path(__file__).resolve():
            yield from ((file, text) for text in of_code(file.read_text("utf-8"), texts=area != "tests"))


@cache
def found(area):
    """Every use of a phrase: file, phrase, and the words around it."""
    uses = []
    for file, text in texts(area):
        plain = re.sub(r"\s+", " ", text)
        for name, (pattern, instead) in PHRASES.items():
            for match in re.finditer(pattern, plain):
                around = plain[max(0, match.start() - 40) : match.end() + 30]
                uses.append(f"{file.relative_to(ROOT)}: {name} (better: {instead}): ...{around}...")
    return uses


@pytest.mark.parametrize("area", LEFT)
def test_phrases_of_the_private_dialect_become_fewer(area):
    uses = found(area)
    assert len(uses) <= LEFT[area], "\n".join([*uses, str(Counter(use.partition(":")[0] for use in uses))])


def test_the_list_finds_what_it_names():
    written = (
        "The page is no list, it stands anew at the border, wants so many, and vanishes; it is none of these; told."
    )
    names = [name for name, (pattern, _) in PHRASES.items() if re.search(pattern, written)]
    assert names == ["is no ...", "is none", "anew", "told", "so many", "wants", "stands", "vanish", "border"]
    written = "There is no run 9. An edit by hand is there already, as it came; the undoing hangs on a run of its own."
    names = [name for name, (pattern, _) in PHRASES.items() if re.search(pattern, written)]
    assert names == [
        "hang on",
        "a ... of its own",
        "as it came",
        "edit by hand",
        "undoing, undoings",
        "There is no ...",
        "is there already",
    ]
    usual = "Run 9 does not exist; where there is none, it stands for nothing and is no longer read."
    assert not [name for name, (pattern, _) in PHRASES.items() if re.search(pattern, usual)]
