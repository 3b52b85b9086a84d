"""Reads the words by which records are recognised in rows that a table has already: `match` and `adopt`."""

from __future__ import annotations

from typing import Any

from target_crm.config.setting_names import did_you_mean
from target_crm.config.settings import POLICIES
from target_crm.mapping.model import ADOPT_BASES, Adoption
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.yaml_lines import line_of, plain

Rules = tuple[tuple[str, ...], ...]


def read_rules(
    reader: SectionReader, stream: str, spec: dict[str, Any], columns: dict[str, Any], sets: dict[str, Any]
) -> Rules:
    """The rules of `match`, each the names of what must agree.

    Raises:
        MappingError: a rule is neither a name nor a list of names; names that are not mapped are noted.
    """
    given, line = spec.get("match"), line_of(spec, "match")
    entries = [] if given is None else given if isinstance(given, list) else [given]
    rules: list[tuple[str, ...]] = []
    for entry in entries:
        names = entry if isinstance(entry, list) else [entry]
        if not names or not all(isinstance(name, str) and name for name in names):
            raise reader.fail(
                line, f"match of {stream} takes columns, sets, and lists of those that must all agree, not {entry!r}."
            )
        rules.append(tuple(names))
        for name in names:
            _check(reader, stream, name, line, columns, sets)
    return tuple(rules)


def _check(
    reader: SectionReader, stream: str, name: str, line: int | None, columns: dict[str, Any], sets: dict[str, Any]
) -> None:
    known = plain(columns) | plain(sets)
    if name not in known:
        reader.note(
            line,
            f"stream {stream} matches by {name}, which is not among its columns and sets.{did_you_mean(name, known)}",
        )
        return
    source = columns.get(name)
    for word in ("link", "lookup"):
        if isinstance(source, dict) and source.get(word) is not None:
            reader.note(line, f"stream {stream} matches by {name}, which is a {word}; match by a value of the record.")


def read_adoption(reader: SectionReader, stream: str, spec: dict[str, Any]) -> Adoption:
    """What `adopt` says.

    Raises:
        MappingError: it says something that there is not.
    """
    what = f"adopt of {stream}"
    section = reader.part(spec, "adopt", what)
    reader.known(section, ("base", "policy"), what)
    return Adoption(
        base=reader.choice(section, "base", ADOPT_BASES, f"base in {what}") or "distrust",
        policy=reader.choice(section, "policy", POLICIES, f"policy in {what}"),
    )
