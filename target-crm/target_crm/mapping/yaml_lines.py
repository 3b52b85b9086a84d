"""Reads YAML and keeps the lines, so that every error can say where to look."""

from __future__ import annotations

from typing import Any, NamedTuple

import yaml

from target_crm.errors import MappingError

_LINES = "__lines__"
# No mapping comes near it.
_MOST_VALUES = 1_000_000


class _Lines(NamedTuple):
    """Where a YAML mapping begins, and where each of its keys is."""

    start: int
    keys: dict[Any, int]


class LineLoader(yaml.SafeLoader):
    """Keeps the lines, so that an error can say where to look; refuses a name that is given twice."""

    last_line = 1

    def get_single_data(self) -> Any:
        """The document; refused where aliases repeat so much of it that nothing can look at all of it."""
        node = self.get_single_node()
        if node is None:
            return None
        if _size(node, {}) > _MOST_VALUES:
            problem = f"aliases make more than {_MOST_VALUES:,} values of this"
            raise yaml.constructor.ConstructorError(None, None, problem, node.start_mark)
        return self.construct_document(node)

    def construct_scalar(self, node: yaml.ScalarNode | yaml.MappingNode) -> Any:
        """A scalar; its line is kept for errors."""
        self.last_line = node.start_mark.line + 1
        return super().construct_scalar(node)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """A mapping with the lines of its keys; refuses a key that is given twice."""
        lines: dict[Any, int] = {}
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in lines and key != "<<":
                problem = f"{key} appears here for the second time (first in line {lines[key]}); keep one of them"
                raise yaml.constructor.ConstructorError(None, None, problem, key_node.start_mark)
            lines[repr(key) if isinstance(key, (list, dict)) else key] = key_node.start_mark.line + 1
        mapping: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        mapping[_LINES] = _Lines(node.start_mark.line + 1, lines)
        return mapping


def _size(node: yaml.Node, known: dict[int, int]) -> int:
    """How many values a node holds with its aliases written out; `known` are those of nodes met before."""
    found = known.get(id(node))
    if found is None:
        known[id(node)] = 0  # One that holds itself is refused by the constructor.
        parts: list[yaml.Node] = []
        if isinstance(node, yaml.MappingNode):
            parts = [part for pair in node.value for part in pair]
        elif isinstance(node, yaml.SequenceNode):
            parts = node.value
        found = known[id(node)] = 1 + sum(_size(part, known) for part in parts)
    return found


def line_of(section: dict[str, Any], key: Any) -> int | None:
    """The line of a key; of the section where the key is missing."""
    lines = section.get(_LINES)
    return lines.keys.get(key, lines.start) if isinstance(lines, _Lines) else None


def key_lines(section: dict[str, Any]) -> dict[str, int]:
    """The lines of a section's keys."""
    lines = section.get(_LINES)
    return dict(lines.keys) if isinstance(lines, _Lines) else {}


def as_said(value: Any) -> str:
    """A YAML key as amoCRM says it: `true` and numbers are keys in YAML, too."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def plain(section: dict[str, Any]) -> dict[str, Any]:
    """The section without its lines."""
    return {k: v for k, v in section.items() if k != _LINES}


def bare(value: Any) -> Any:
    """A value without lines, however deep."""
    if isinstance(value, dict):
        return {k: bare(v) for k, v in plain(value).items()}
    return [bare(v) for v in value] if isinstance(value, list) else value


def read_yaml(text: str, source_name: str) -> Any:
    """Parse a YAML text; its mappings know their lines.

    Raises:
        MappingError: with the file, the line and what to do.
    """
    loader: LineLoader | None = None
    try:
        loader = LineLoader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        msg = f"{source_name}, line {line}: {error.problem or error.context}; correct the YAML there."
        raise MappingError(msg) from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = error.character if isinstance(error.character, int) else ord(error.character[0])
        msg = f"{source_name}, line {line}: the character U+{character:04X} is not allowed in YAML; remove it."
        raise MappingError(msg) from None
    except RecursionError:
        line = loader.line + 1 if loader is not None else 1
        msg = f"{source_name}, line {line}: lists and mappings are nested too deeply; correct the YAML there."
        raise MappingError(msg) from None
    except ValueError as error:
        # A number or a date that YAML reads as one, but that does not exist.
        place = f"{source_name}, line {loader.last_line if loader is not None else 1}"
        msg = f"{place}: a value can't be read: {error}; correct it, or write it in quotes."
        raise MappingError(msg) from None
