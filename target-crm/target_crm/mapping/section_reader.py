"""Reads and checks the sections of a mapping file; every problem names the file and the line."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection
from typing import Any, TypeVar

from target_crm.errors import MappingError
from target_crm.mapping.yaml_lines import line_of, plain

_Read = TypeVar("_Read")


class SectionReader:
    """Reads the sections of a parsed mapping file. Problems are collected, so that all of them are reported at once."""

    def __init__(self, source_name: str) -> None:
        self.source_name = source_name
        self.problems: list[str] = []

    def attempt(self, read: Callable[[], Any], instead: Any) -> Any:
        """What a part of the mapping says; if it is wrong, that is noted, and something else taken to continue with."""
        try:
            return read()
        except MappingError as error:
            self.problems.append(str(error))
            return instead

    def note(self, line: int | None, what: str) -> None:
        """Something that is wrong, after which the reading can continue."""
        self.problems.append(str(self.fail(line, what)))

    def fail(self, line: int | None, what: str) -> MappingError:
        """The error for a problem, with its file and line."""
        place = f"{self.source_name}, line {line}" if line else self.source_name
        return MappingError(f"{place}: {what}")

    def section(self, value: Any, what: str, line: int | None) -> dict[str, Any]:
        """A mapping of names to values."""
        if not isinstance(value, dict):
            raise self.fail(line, f"{what} must be a mapping of names to values.")
        for name in plain(value):
            if not isinstance(name, str):
                said = str(name).lower() if isinstance(name, bool) else name
                raise self.fail(
                    line_of(value, name),
                    f"{what}: YAML reads the name {said} as a {type(name).__name__}; write it in quotes.",
                )
        return value

    def part(self, spec: dict[str, Any], key: str, what: str) -> dict[str, Any]:
        """A section that may be missing."""
        return self.section({} if spec.get(key) is None else spec[key], what, line_of(spec, key))

    def known(self, given: dict[str, Any], allowed: Collection[str], what: str) -> None:
        """Report the names in a section that are not supported."""
        for name in plain(given):
            if name in allowed:
                continue
            near = difflib.get_close_matches(name, allowed, 1)
            meant = f" (did you mean {near[0]}?)" if near else ""
            # What is not a name may be a line of quite another file, which must not be shown.
            is_name = re.fullmatch(r"[\w.-]{1,63}", str(name)) is not None
            shown = name if is_name else "what is written there"
            self.note(
                line_of(given, name), f"{what} does not know {shown}{meant}; it takes {', '.join(sorted(allowed))}."
            )
            if not is_name:
                return

    def choice(self, spec: dict[str, Any], key: str, allowed: Collection[str], what: str) -> str | None:
        """One of the allowed texts; None if the key is missing."""
        given = spec.get(key)
        if given is None:
            return None
        if given not in allowed:
            raise self.fail(line_of(spec, key), f"{what} {given!r} is not one of {', '.join(allowed)}.")
        return str(given)

    def text(self, spec: dict[str, Any], key: str, what: str) -> str | None:
        """A text that is not empty; None if the key is missing."""
        given = spec.get(key)
        if given is not None and (not isinstance(given, str) or not given):
            raise self.fail(line_of(spec, key), f"{what} must be a text, it is {given!r}.")
        return given

    def flag(self, spec: dict[str, Any], key: str, what: str) -> bool:
        """A boolean; False if the key is missing."""
        given = spec.get(key, False)
        if not isinstance(given, bool):
            raise self.fail(line_of(spec, key), f"{what} must be true or false, it is {given!r}.")
        return given

    def count(self, spec: dict[str, Any], key: str, what: str) -> int | None:
        """A whole number from 1 on; None if the key is missing."""
        given = spec.get(key)
        if given is not None and (not isinstance(given, int) or isinstance(given, bool) or given < 1):
            raise self.fail(line_of(spec, key), f"{what} must be a whole number from 1 on, it is {given!r}.")
        return given

    def several(self, spec: dict[str, Any], key: str, kinds: tuple[type, ...], what: str) -> tuple[Any, ...]:
        """One value or a list of values."""
        given = spec.get(key)
        values = () if given is None else tuple(given) if isinstance(given, list) else (given,)
        for value in values:
            if not isinstance(value, kinds) or isinstance(value, bool) or value == "":
                wanted = "texts or numbers" if int in kinds else "texts"
                raise self.fail(line_of(spec, key), f"{what} takes {wanted}, not {value!r}.")
        return values

    def names(self, spec: dict[str, Any], key: str, allowed: Collection[str], what: str) -> dict[str, str | None]:
        """A section of roles and the columns that play them; null where there is none."""
        section = self.part(spec, key, what)
        self.known(section, allowed, what)
        for role, name in plain(section).items():
            if name is not None and (not isinstance(name, str) or not name):
                raise self.fail(line_of(section, role), f"{what}: {role} names a column, or null; it is {name!r}.")
        return plain(section)

    def each(self, section: dict[str, Any], read: Callable[[str, Any, int | None], _Read]) -> list[_Read]:
        """What the entries of a section say, those left out that are wrong."""
        found: list[_Read] = []
        for name, spec in plain(section).items():
            try:
                found.append(read(name, spec, line_of(section, name)))
            except MappingError as error:
                self.problems.append(str(error))
        return found
