"""An account that changes at given requests, and what syncs of it gave: for tests of schedules."""

from __future__ import annotations

import io
import json
import sys
import time
from collections import Counter
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

from crm_truth import clean

from amocrm_sim.query import AccountOptions
from amocrm_sim.store import Store
from amocrm_sim.testing import SimulatorServer
from tap_amocrm.following.follow import Clock
from tap_amocrm.singer_io.writer import Interrupted
from tap_amocrm.tap import TapAmoCRM

BIG = ("companies", "contacts", "leads", "notes", "tasks", "deleted_records")
KINDS = ("companies", "contacts", "leads", "tasks", "companies/notes", "contacts/notes", "leads/notes")
ENTITIES = ("companies", "contacts", "leads")
SIZES = {"companies": 6, "contacts": 11, "leads": 5, "notes": 12, "tasks": 9, "customers": 0}
# Changes at the limits of a scope as well: `link` moves a contact or lead, `assign` gives a company to another user.
ACTIONS = ("update", "update", "delete", "delete", "create", "merge", "restore", "link", "link", "assign")
OURS, THEIRS = 5_000_001, 5_000_002
SCOPES = ({"responsible_user_ids": [OURS]}, {"company_limit": 3}, {"responsible_user_ids": [OURS], "company_limit": 2})


class Account:
    """A fresh account on the running server, whose clock moves with its requests.

    Every second company is ours at the start, the others are theirs.
    """

    def __init__(self, sim: SimulatorServer, seed: int, step: float, options: AccountOptions) -> None:
        assert sim.simulator is not None
        self.sim, self.server = sim, sim.simulator
        self.store = Store(seed, SIZES)
        for company in list(self.store.kinds["companies"].ids):
            user = OURS if company % 2 else THEIRS
            self.store.update("companies", [company], {"responsible_user_id": user}, touch=False)
        self.server.store = self.store
        self.server.options.account = options
        self.server.log.entries.clear()
        self.server.scheduled.clear()
        # Ahead of this machine's clock by some seconds more with each request, and never slower than it.
        self.store.now = lambda: int(time.time() + step * len(self.server.log.entries))  # type: ignore[method-assign]
        self.store.change = self.apply  # type: ignore[method-assign]
        self.deleted: dict[str, list[int]] = {kind: [] for kind in KINDS}
        self.applied: Counter[str] = Counter()

    def plan(self, changes: list[tuple[int, str, str, int]]) -> None:
        """Make changes right before the given requests from now."""
        done = len(self.server.log.entries)
        for request, action, kind, pick in changes:
            self.server.scheduled.setdefault(done + request, []).append(
                {"action": action, "body": {"kind": kind, "pick": pick}}
            )

    def apply(self, action: str, body: dict[str, Any]) -> None:
        """Make a change to whichever record the pick falls on; none if there is nothing to change."""
        self.applied[action] += 1
        kind, pick = body["kind"], body["pick"]
        if action == "assign":
            kind = "companies"
        elif action == "link":
            kind = ("contacts", "leads")[pick % 2]
        ids = list(self.store.kinds[kind].ids)
        if action == "restore":
            gone = [i for i in self.deleted[kind] if i in self.store.kinds[kind].gone]
            if gone and kind in ENTITIES:
                self.store.restore(kind, [gone[pick % len(gone)]])
        elif action == "create":
            self._create(kind, pick)
        elif ids:
            self._change(action, kind, ids, pick)

    def _create(self, kind: str, pick: int) -> None:
        fields: dict[str, Any] = {}
        if "/" in kind:
            parents = self.store.kinds[kind.split("/")[0]].ids
            if not parents:
                return
            fields = {"entity_id": parents[pick % len(parents)]}
        self.store.create(kind, fields)

    def _change(self, action: str, kind: str, ids: list[int], pick: int) -> None:
        chosen = ids[pick % len(ids)]
        companies = self.store.kinds["companies"].ids
        if action == "delete":
            self.store.delete(kind, [chosen])
            self.deleted[kind].append(chosen)
        elif action == "merge" and kind in ("companies", "contacts") and len(ids) > 1:
            self.store.merge(kind, chosen, [ids[(pick + 1) % len(ids)]])
        elif action == "link":
            company = companies[pick // 3 % len(companies)] if companies and pick % 5 else None
            self.store.link(kind, chosen, company, touch=("child", "company", "both")[pick // 2 % 3])
        elif action == "assign":
            self.store.update(kind, [chosen], {"responsible_user_id": (OURS, THEIRS)[pick // 6 % 2]})
        else:
            field = "text" if kind == "tasks" else "name"
            word = f"changed {pick} {len(self.store.events)}"
            self.store.update(kind, [chosen], {"params": {"text": word}} if "/" in kind else {field: word})

    def in_scope(self, users: list[int], limit: int | None) -> dict[str, set[int]]:
        """Ids in scope by kind: companies of these users, the first of them, and what belongs to them."""
        kinds = self.store.kinds
        companies = [i for i in kinds["companies"].ids if not users or kinds["companies"].responsible(i) in users]
        found = {"companies": set(companies[:limit])}
        for child in ("contacts", "leads"):
            found[child] = {i for i in kinds[child].ids if {p for _, p in kinds[child].parents(i)} & found["companies"]}
        for entity in ENTITIES:
            notes = kinds[f"{entity}/notes"]
            found[f"{entity}/notes"] = {i for i in notes.ids if notes.parent(i)[1] in found[entity]}
        parents = {i: kinds["tasks"].parent(i) for i in kinds["tasks"].ids}
        found["tasks"] = {i for i, (entity, parent) in parents.items() if parent in found.get(str(entity), ())}
        return found


class Killed(BaseException):
    """The run ends here, as by SIGKILL: nothing more leaves it."""


class Pipe:
    """Standard output of a run that is killed instead of its nth write."""

    def __init__(self, kill_at: int | None) -> None:
        self.written = io.BytesIO()
        self._left = kill_at

    def write(self, data: bytes) -> int:
        """Take bytes in."""
        if self._left is not None:
            self._left -= 1
            if self._left < 0:
                raise Killed
        return self.written.write(data)


class Turns(Clock):
    """The clock of a tap that follows: waits take no time, and a signal comes when nothing has changed for a while.

    Args:
        account: Whose changes are waited for.
        quiet: Seconds without a change after which the signal comes; each list is read twice in that time.
    """

    def __init__(self, account: Account, quiet: float = 41.0) -> None:
        self._account, self._quiet, self._left = account, quiet, quiet
        self._now = time.monotonic()

    def now(self) -> float:
        """The time that has passed by waits alone, and a little with each look."""
        self._now += 0.001
        return self._now

    def wait(self, seconds: float, pass_time: Callable[[float], object] = time.sleep) -> None:
        """Pass on; raises `Interrupted` as a signal does."""
        del pass_time
        self._now += seconds
        self._left = self._quiet if self._account.server.scheduled else self._left - seconds
        if self._left < 0:
            raise Interrupted(143)


class Output:
    """What all syncs of an example gave, the last version of each record."""

    def __init__(
        self, url: str, *, streams: tuple[str, ...] = BIG, clock: Callable[[], Clock] | None = None, **settings: Any
    ) -> None:
        self.streams, self.clock = streams, clock
        self.config = {"api_url": url, "access_token": "sim-token", "requests_per_second": 5000, **settings}
        self.records: dict[tuple[str, int], dict[str, Any]] = {}
        self.state: dict[str, Any] = {}

    def sync(self, kill_at: int | None = None) -> bool:
        """Run the tap from the last state on; whether it came to its end before it was killed."""
        tap = TapAmoCRM(config=self.config, state=self.state)
        if self.clock is not None:
            tap.turn_clock = self.clock()
        for stream in tap.streams.values():
            if stream.name not in self.streams:
                stream.selected = False
        pipe, out = Pipe(kill_at), sys.stdout
        sys.stdout = SimpleNamespace(buffer=pipe, flush=lambda: None)  # type: ignore[assignment]
        try:
            tap.sync_all()
        except Killed:
            ended = False
        else:
            ended = True
        finally:
            sys.stdout = out
        for line in pipe.written.getvalue().split(b"\n"):
            if line:
                self._add(json.loads(line))
        return ended

    def _add(self, message: dict[str, Any]) -> None:
        if message["type"] == "STATE":
            self.state = message["value"]
        elif message["type"] == "RECORD" and message["stream"] != "deleted_records":
            record = message["record"]
            if record.get("is_deleted") and record.get("_sdc_deleted_at"):
                self._forget(message["stream"], record["id"])
                return
            kind = message["stream"] if message["stream"] != "notes" else f"{record['entity_type']}/notes"
            self.records[kind, record["id"]] = record

    def _forget(self, stream: str, record_id: int) -> None:
        """Take the last version of a deleted record for what it is: a loader that follows it has the record no more."""
        for kind in KINDS if stream == "notes" else (stream,):
            if kind == stream or kind.endswith("/notes"):
                self.records.pop((kind, record_id), None)


def wrong(account: Account, output: Output) -> list[str]:
    """Records of the account, or of the scope, that the output lacks or has in another version than the last, or on
    another parent."""
    users, limit = output.config.get("responsible_user_ids"), output.config.get("company_limit")
    wanted: dict[str, Any] = {kind: store.ids for kind, store in account.store.kinds.items()}
    if users or limit:
        wanted = account.in_scope(users or [], limit)
    found = []
    for kind in KINDS:
        for record_id in sorted(wanted[kind]):
            record = account.store.kinds[kind].get(record_id)
            seen = output.records.get((kind, record_id))
            if seen is None:
                found.append(f"{kind} {record_id} is missing")
                continue
            if kind in ("contacts", "leads") and seen["company_id"] != account.store.kinds[kind].parent(record_id)[1]:
                found.append(f"{kind} {record_id}.company_id is {seen['company_id']}")
            for name in ("name", "text", "params", "entity_id"):
                # What leaves the tap is clean text.
                if name in record and seen[name] != clean(record[name]):
                    found.append(f"{kind} {record_id}.{name} is {seen[name]!r}, last was {record[name]!r}")
    return found
