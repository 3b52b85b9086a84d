"""Reads what a mapping file says of one column."""

from __future__ import annotations

import re
from collections.abc import Collection
from dataclasses import replace
from decimal import Decimal
from typing import Any

from target_crm.config.settings import POLICIES
from target_crm.mapping.model import Column
from target_crm.mapping.section_reader import SectionReader
from target_crm.mapping.sources import source_problems
from target_crm.mapping.vocabulary import LOOKUPS, names
from target_crm.mapping.yaml_lines import as_said, bare, line_of, plain
from target_crm.normalise import TRANSFORMS

# What is in a template's braces, and how it names a custom field there.
PLACEHOLDER = re.compile(r"\{([^{}]*)\}")
FIELD_PREFIX = "field:"
_OF_SEVERAL = ("first_name", "note_text")


def read_column(
    reader: SectionReader, stream: str, reads: str, name: str, spec: Any, line: int | None, more: Collection[str]
) -> Column:
    """One column of a stream that reads the records of `reads`, a stream of amoCRM or ''; `more` are properties that
    the mapping lists.

    Raises:
        MappingError: it can't be read.
    """
    what = f"column {name} of {stream}"
    if isinstance(spec, str):
        spec = {"from": spec}
    spec = reader.section(spec, f"Column {name} of {stream}", line)
    reader.known(spec, names("column"), f"Column {name} of {stream}")
    if spec.get("transform") == "task_type":
        # Version 0.1 had the names in its code; they come from the account now.
        spec = {**spec, "transform": None, "lookup": "task_type"}
    wanted = 0 if "template" in spec or "via" in spec else 1
    if ("from" in spec and ("template" in spec or "field" in spec)) or ("from" in spec) + ("field" in spec) < wanted:
        raise reader.fail(line, f"{what} needs either from or field, or template or via.")
    column = _with_template(reader, spec, _plain_column(reader, name, spec, line), what)
    problem = _contradiction(column) or _odd_choice(column)
    if problem:
        raise reader.fail(line, f"{what} {problem}")
    for problem in source_problems(reads, column, more):
        reader.note(line, f"{what} {problem}")
    return column


def _plain_column(reader: SectionReader, name: str, spec: dict[str, Any], line: int | None) -> Column:
    values = reader.part(spec, "values", f"values of {name}") if spec.get("values") is not None else None
    return Column(
        name=name,
        path=reader.several(spec, "from", (str,), f"from of {name}"),
        fields=reader.several(spec, "field", (str, int), f"field of {name}"),
        part=reader.text(spec, "part", f"part of {name}"),
        transform=reader.choice(spec, "transform", sorted(TRANSFORMS), f"transform of {name}"),
        link=None if isinstance(spec.get("link"), dict) else reader.text(spec, "link", f"link of {name}"),
        links=_links(reader, spec, name),
        type_column=reader.text(spec, "type_column", f"type_column of {name}"),
        via=_via(reader, spec, name),
        required=reader.choice(spec, "required", ("skip", "wait"), f"required of {name}"),
        lookup=reader.choice(spec, "lookup", LOOKUPS, f"lookup of {name}"),
        when_entity=reader.text(spec, "when_entity", f"when_entity of {name}"),
        values=None if values is None else {as_said(k): bare(v) for k, v in plain(values).items()},
        policy=reader.choice(spec, "policy", POLICIES, f"policy of {name}"),
        respect_clears=reader.flag(spec, "respect_clears", f"respect_clears of {name}"),
        label=reader.text(spec, "label", f"label of {name}"),
        first=reader.flag(spec, "first", f"first of {name}"),
        kinds=reader.several(spec, "kind", (str,), f"kind of {name}"),
        nth=reader.count(spec, "nth", f"nth of {name}"),
        rest=reader.flag(spec, "rest", f"rest of {name}"),
        join=reader.text(spec, "join", f"join of {name}"),
        template=reader.text(spec, "template", f"template of {name}"),
        factor=_factor(reader, spec, name),
        line=line,
    )


def _links(reader: SectionReader, spec: dict[str, Any], name: str) -> tuple[tuple[str, Any], ...]:
    """The streams of a polymorphic link, each with what the column of the type holds."""
    if not isinstance(spec.get("link"), dict):
        return ()
    section = reader.part(spec, "link", f"link of {name}")
    for stream, kind in plain(section).items():
        if not isinstance(kind, (str, int)) or isinstance(kind, bool):
            raise reader.fail(line_of(section, stream), f"link of {name}: {stream} takes a text or a number.")
    return tuple(plain(section).items())


def _via(reader: SectionReader, spec: dict[str, Any], name: str) -> tuple[str, str] | None:
    given = reader.text(spec, "via", f"via of {name}")
    if given is None:
        return None
    first, dot, second = given.partition(".")
    if not first or not dot or not second or "." in second:
        raise reader.fail(line_of(spec, "via"), f"via of {name} is LINK.COLUMN (contact_id.company_id), not {given!r}.")
    return first, second


def type_column_of(column: Column) -> Column | None:
    """The column that says what a polymorphic link points to, as one of the mapping; None for other columns."""
    if column.type_column is None:
        return None
    values = {**dict(column.links), "*": None}
    required = "skip" if column.required else None
    return Column(column.type_column, path=("entity_type",), values=values, required=required, line=column.line)


def _factor(reader: SectionReader, spec: dict[str, Any], name: str) -> Decimal | None:
    given = spec.get("factor")
    if given is None:
        return None
    number = Decimal(str(given)) if isinstance(given, (int, float)) and not isinstance(given, bool) else None
    if number is None or not number.is_finite() or not number:
        raise reader.fail(line_of(spec, "factor"), f"factor of {name} must be a number other than 0, it is {given!r}.")
    return number


def _with_template(reader: SectionReader, spec: dict[str, Any], column: Column, what: str) -> Column:
    """The column with the properties and custom fields that its template names."""
    if column.template is None:
        return column
    found = PLACEHOLDER.findall(column.template)
    bare_braces = set("{}") & set(PLACEHOLDER.sub("", column.template))
    if not found or bare_braces or not all(found):
        raise reader.fail(
            line_of(spec, "template"),
            f"{what}: template {column.template!r} needs names in braces, as in '{{city}}, {{address_line_1}}'.",
        )
    if column.fields:
        return column
    fields = tuple(name.removeprefix(FIELD_PREFIX) for name in found if name.startswith(FIELD_PREFIX))
    paths = tuple(name for name in found if not name.startswith(FIELD_PREFIX))
    return replace(column, path=paths, fields=fields)


def _contradiction(column: Column) -> str | None:  # noqa: PLR0911 - one rule after the other
    """What is wrong between the words of one column."""
    if column.link and column.lookup:
        return "has both link and lookup; a value is either a row or a name."
    if column.source and column.fields:
        return "takes a custom field, but link and lookup need an id: use from."
    if bool(column.links) != (column.type_column is not None):
        return "has a polymorphic link only with both: link as stream → type, and type_column."
    if column.links and (column.path == () or column.when_entity or column.transform or column.values or column.part):
        return "has a polymorphic link, which takes from and nothing to transform it."
    if column.via and (column.fields or column.lookup or column.links or (column.path and not column.link)):
        return "has via, which only goes with from and link."
    if column.required == "wait" and not (column.link or column.links or column.via):
        return "has required: wait, but no link to wait for; use skip."
    if column.link and (column.transform or column.values or column.part):
        return "has a link, which leaves nothing to transform, values or part; remove those."
    if column.lookup and (column.transform or column.part):
        return "has a lookup, which gives a name: remove transform and part; values translate the name."
    if (column.link or column.links) and len(column.path) != 1:
        return "links by more than one property; name one."
    wanted = LOOKUPS.get(column.lookup or "")
    if wanted and len(column.path) != wanted:
        example = "[pipeline_id, status_id]" if wanted == 2 else "one property"
        return f"looks up a {column.lookup}, which takes {example}."
    if column.when_entity and not column.link:
        return "has when_entity, which only means something beside link."
    one_of_many = column.lookup is None and column.template is None and column.transform not in _OF_SEVERAL
    if len(column.path) > 1 and one_of_many and not column.first:
        return "takes several properties; set first: true for the first that is not empty, or name one."
    if column.part and column.transform in ("phone", "email"):
        return (
            f"has part, which is a key inside an object value; a {column.transform} of a kind is kind: {column.part}."
        )
    if column.part and not column.fields:
        return "has part, which only means something beside field; a property's part is named in its path."
    return None


def _odd_choice(column: Column) -> str | None:
    """What is wrong with the words that choose among several values, join or multiply them."""
    choosing = {"kind": column.kinds, "nth": column.nth, "rest": column.rest, "join": column.join}
    given = [word for word, value in choosing.items() if value]
    if column.source and (given or column.factor or column.template):
        words = [*given, *(["factor"] if column.factor else []), *(["template"] if column.template else [])]
        return f"has {' and '.join(words)} beside a link or lookup; remove it."
    if column.kinds and (not column.fields or column.template):
        return "has kind, which only means something beside field: values of properties have no kinds."
    if column.template and (given or column.part or column.first or column.transform in _OF_SEVERAL):
        return "has a template, which already sets the order; remove part, first, kind, nth, rest and join."
    if column.nth and (column.rest or column.first):
        return "has nth beside rest or first; use one of them."
    if column.rest and column.first:
        return "has both first and rest; use one of them."
    if column.join and column.transform not in (None, "text", "phone", "email"):
        return f"has join, which makes a text, and transform {column.transform}; remove one of them."
    if column.factor and column.transform not in (None, "integer", "number"):
        return f"has factor, which needs a number, and transform {column.transform}; remove one of them."
    return None
