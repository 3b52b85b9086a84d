"""Which links were sent to the target: the next runs compare, and mark those that are gone.

The state keeps them packed, some bytes for each link.
"""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Collection, Iterator, Mapping, Sequence

# The entries of each owner, by the owner's ID.
Links = dict[int, tuple[int, ...]]


def packed(links: Mapping[int, tuple[int, ...]]) -> str:
    """Links as short text. Owners without any are kept, too: later parts win over earlier ones."""
    numbers: list[int] = []
    last_owner = last_entry = 0
    for owner in sorted(links):
        entries = links[owner]
        numbers += (owner - last_owner, len(entries))
        for entry in entries:
            numbers.append(entry - last_entry)
            last_entry = entry
        last_owner = owner
    text = json.dumps(numbers, separators=(",", ":"))
    return base64.b64encode(zlib.compress(text.encode())).decode("ascii")


def unpacked(text: str) -> Links:
    """The links of `packed`.

    Raises:
        ValueError: the text is damaged.
    """
    try:
        numbers = iter(json.loads(zlib.decompress(base64.b64decode(text))))
        links: Links = {}
        owner = entry = 0
        for step in numbers:
            owner += step
            entries = []
            for _ in range(next(numbers)):
                entry += next(numbers)
                entries.append(entry)
            links[owner] = tuple(entries)
    except (TypeError, StopIteration, RuntimeError, zlib.error) as error:
        raise ValueError from error
    return links


class SentLinks:
    """The links that the target holds.

    Args:
        parts: What the state keeps of them.

    Raises:
        ValueError: it can't be read.
    """

    def __init__(self, parts: Sequence[str] = ()) -> None:
        self._links: Links = {}
        if not isinstance(parts, (list, tuple)):
            raise ValueError
        for part in parts:
            self._links.update(unpacked(part))

    def replace(self, owner: int, entries: tuple[int, ...]) -> tuple[int, ...]:
        """Take an owner's entries as they are now; those that are gone."""
        before = self._links.get(owner, ())
        self._links[owner] = entries
        return tuple(i for i in before if i not in entries)

    def owners(self) -> list[int]:
        """The owners that have links."""
        return [owner for owner, entries in self._links.items() if entries]

    def entries(self, owner: int) -> tuple[int, ...]:
        """An owner's entries."""
        return self._links.get(owner, ())

    def owners_of(self, entries: Collection[int]) -> Iterator[int]:
        """The owners of some of these entries."""
        return (owner for owner, found in list(self._links.items()) if not set(found).isdisjoint(entries))

    def packed(self) -> str:
        """All of them, without owners that have none."""
        return packed({owner: entries for owner, entries in self._links.items() if entries})
