"""Reads what a mapping file says of a stream's join tables."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from target_crm.mapping.model import Column, Through
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.sources import source_problems
from target_crm.mapping.vocabulary import names
from target_crm.mapping.yaml_lines import bare, key_lines, line_of


def read_throughs(
    reader: SectionReader, stream: str, reads: str, spec: dict[str, Any], more: Collection[str]
) -> tuple[Through, ...]:
    """The join tables of a stream that reads the records of `reads`; what is wrong is collected."""
    section = reader.attempt(lambda: reader.part(spec, "through", f"through of {stream}"), {})
    found = reader.each(section, lambda name, given, line: _through(reader, stream, name, given, line))
    for one in found:
        for path in one.path:
            # All of a list is what a join table is for.
            column = Column(one.name, path=(path,), link=one.link, when_entity=one.when_entity, first=True)
            for problem in source_problems(reads, column, more):
                reader.note(one.line, f"through {one.name} of {stream} {problem}")
    return tuple(found)


def _through(reader: SectionReader, stream: str, name: str, spec: Any, line: int | None) -> Through:
    what = f"through {name} of {stream}"
    spec = reader.section(spec, what[0].upper() + what[1:], line)
    reader.known(spec, names("through"), what)
    for needed in ("table", "parent", "target", "from", "link"):
        if spec.get(needed) is None:
            raise reader.fail(line, f"{what} needs {needed}.")
    defaults = reader.part(spec, "defaults", f"defaults of {what}")
    path = reader.several(spec, "from", (str,), f"from of {what}")
    if len(path) != 1:
        raise reader.fail(line_of(spec, "from"), f"{what} takes one property; name one.")
    return Through(
        name=name,
        table=reader.text(spec, "table", f"table of {what}") or "",
        parent=reader.text(spec, "parent", f"parent of {what}") or "",
        target=reader.text(spec, "target", f"target of {what}") or "",
        path=path,
        link=reader.text(spec, "link", f"link of {what}") or "",
        when_entity=reader.text(spec, "when_entity", f"when_entity of {what}"),
        defaults=bare(defaults),
        line=line,
        default_lines=key_lines(defaults),
    )
