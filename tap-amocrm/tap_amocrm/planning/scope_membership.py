"""The companies in scope, and which of them changed since a second."""

from __future__ import annotations

import base64
import itertools
import json
import threading
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from tap_amocrm.planning.scope_filter import ScopeFilter
from tap_amocrm.reading.full_scan import CLOCK_SLACK
from tap_amocrm.reading.keyset_scan import settled
from tap_amocrm.reading.reader import Reader
from tap_amocrm.shapes import Record, embedded, record_id, seconds


def packed(ids: Iterable[int]) -> str:
    """A set of ids as short text: about a byte and a half for each."""
    ordered = sorted(ids)
    steps = [b - a for a, b in zip([0, *ordered], ordered, strict=False)]
    return base64.b64encode(zlib.compress(json.dumps(steps, separators=(",", ":")).encode())).decode("ascii")


def unpacked(text: str) -> frozenset[int] | None:
    """The ids of `packed`, None when the text is damaged."""
    try:
        return frozenset(itertools.accumulate(json.loads(zlib.decompress(base64.b64decode(text)))))
    except (ValueError, TypeError, zlib.error):
        return None


@dataclass
class Companies:
    """The companies in scope, whole; when each was updated; the ids of what is linked to each, by kind."""

    records: list[Record] = field(default_factory=list)
    updated: dict[int, int] = field(default_factory=dict)
    linked: dict[str, dict[int, list[int]]] = field(default_factory=lambda: {"contacts": {}, "leads": {}})

    def linked_ids(self, kind: str, parents: Iterable[int]) -> list[int]:
        """Ids of the contacts or leads that these companies name."""
        return [i for parent in parents for i in self.linked[kind].get(parent, ())]


class ScopeMembership:
    """Reads the companies in scope once a run, when they are first needed.

    Args:
        reader: Reads the list of companies.
        known: The companies that the last complete run had in scope, None without one: those which came since count
            as changed, whatever their `updated_at` says.
    """

    def __init__(self, reader: Reader, known: frozenset[int] | None) -> None:
        self._reader, self._clock, self._known = reader, reader.client.clock, known
        self._limit = reader.client.settings.company_limit
        self._filter = ScopeFilter(reader.client.settings)
        self._companies: Companies | None = None
        self._lock = threading.Lock()
        # When the companies were read, on the monotonic clock: what enters the scope later is the next run's.
        self.began: float | None = None

    @property
    def companies(self) -> Companies:
        """The companies in scope, whole, with the ids of what is linked to them."""
        with self._lock:
            if self._companies is None:
                self._companies = self._read_companies()
            return self._companies

    def _read_companies(self) -> Companies:
        found = Companies()
        for record in self._matching():
            company = record_id(record)
            if not company:  # it comes, and nothing can be asked for by it
                found.records.append(record)
                continue
            if company in found.updated:
                continue
            found.records.append(record)
            found.updated[company] = seconds(record, "updated_at")
            for kind, linked in found.linked.items():
                linked[company] = [i for i in map(record_id, embedded(record, kind)) if i]
            if self._limit is not None and len(found.records) >= self._limit:
                break
        return found

    def _matching(self) -> Iterator[Record]:
        """Companies in scope; the list is read again when one left the filter meanwhile: it may have pulled others
        over a page boundary."""
        account, matches = self._reader.account, self._filter.matches
        self.began = self._clock.moment()
        moment, latest = int(self._clock.by_answers(self.began)), self._clock.latest(self.began)
        params = self._filter.params(filter_package=account.filter_package)

        def disturbed() -> bool:
            changed = self._reader.changed("companies", moment - CLOCK_SLACK)
            others = (r for records in changed for r in records if not matches(r))
            return any(seconds(r, "created_at") < latest for r in others)

        filtered = account.filter_package and len(params) > 1
        read, read_all = (partial(self._reader.full_scan, "companies", p) for p in (params, params[:1]))
        for records in settled(read, disturbed, read_all, "companies") if filtered else read():
            matching = [r for r in records if matches(r)]
            if len(matching) < len(records) and account.filter_package:
                account.ignores("filters of companies", "companies are chosen from the whole list")
            yield from matching

    def ids(self, entity: str) -> set[int]:
        """All ids in scope of companies, contacts or leads."""
        found = self.companies
        if entity == "companies":
            return set(found.updated)
        return {i for linked in found.linked[entity].values() for i in linked}

    def changed(self, since: int | None) -> list[int]:
        """Companies that changed since a second (None for all), or came into scope since the last complete run."""
        companies = self.companies.updated.items()
        return [c for c, at in companies if since is None or at >= since or not self._was_known(c)]

    def _was_known(self, company: int) -> bool:
        return self._known is None or company in self._known
