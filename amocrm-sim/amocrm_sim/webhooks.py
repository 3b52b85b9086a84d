"""Webhooks: who is subscribed, and calls that come late, twice, out of order, or never.

Subscriptions and the form of the calls are those of the vendor's pages (developers.kommo.com, "Webhooks"). How often
calls fail, and after how many failures a receiver is switched off, is not documented: `unkind` sets it.
"""

from __future__ import annotations

import heapq
import itertools
import random
import threading
import time
import urllib.error
import urllib.request
from collections import Counter, deque
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from amocrm_sim.events import SINGULAR
from amocrm_sim.records import FIRST_USER, Record

_LONG_AGO = 1_600_000_000
_MOST_SUBSCRIBED = 100
# The receiver has so long for a good answer.
_SECONDS_TO_ANSWER = 2.0
_ACTIONS = ("add", "update", "delete", "restore", "responsible", "note")
SETTINGS = frozenset(
    {f"{action}_{entity}" for action in _ACTIONS for entity in ("contact", "company", "lead", "customer")}
    | {"status_lead", "add_task", "update_task", "delete_task", "responsible_task"}
)


@dataclass
class Unkind:
    """How badly calls are made.

    Args:
        lost: Share of calls that are never made.
        twice: Share that is made twice.
        delay: Seconds, least and most, until a call is made.
        late: Share that is made `late_by` seconds later still.
        late_by: Seconds.
        retry: Seconds until the first further try of a call that failed; each later one waits twice as long.
        tries: Tries of a call.
        failures: Failures in a row after which the receiver is switched off.
    """

    lost: float = 0.05
    twice: float = 0.1
    delay: tuple[float, float] = (0.1, 1.0)
    late: float = 0.05
    late_by: float = 8.0
    retry: float = 2.0
    tries: int = 4
    failures: int = 20


class Webhooks:
    """The account's subscriptions; `changed` takes every change."""

    def __init__(self, account_id: int, *, plain: bool, seed: int = 1) -> None:
        self.subscribed: list[Record] = []
        self.unkind = Unkind()
        self.calls: Counter[str] = Counter()
        # The last changes of which somebody asked to be called: record, and seconds until the first call, None where
        # it is lost.
        self.planned: deque[tuple[int, float | None]] = deque(maxlen=10_000)
        self._account_id, self._plain, self._random = account_id, plain, random.Random(seed)
        self._failures: Counter[str] = Counter()
        self._waiting: list[tuple[float, int, Record, bytes, int]] = []
        self._numbers = itertools.count(1)
        self._change = threading.Condition()
        self._started = False

    def respond(self, method: str, body: Any) -> tuple[int, Any]:
        """Answer POST (subscribe) and DELETE (unsubscribe)."""
        body = body if isinstance(body, dict) else {}
        destination, settings = body.get("destination"), body.get("settings")
        if not isinstance(destination, str) or not destination.startswith(("http://", "https://")):
            return 400, _problem("destination")
        with self._change:
            known = next((r for r in self.subscribed if r["destination"] == destination), None)
            if method == "DELETE":
                if known is None:
                    return 404, {"title": "Not Found", "status": 404, "detail": "no such webhook"}
                self.subscribed.remove(known)
                return 204, None
            if not isinstance(settings, list) or not settings or not SETTINGS.issuperset(settings):
                return 400, _problem("settings")
            if known is None:
                if len(self.subscribed) >= _MOST_SUBSCRIBED:
                    return 400, _problem("destination")
                known = {"id": 839_700 + next(self._numbers), "destination": destination, "created_by": FIRST_USER}
                known |= {"created_at": _LONG_AGO, "sort": 1, "account_id": self._account_id}
                self.subscribed.append(known)
            known |= {"updated_at": int(time.time()), "settings": list(settings), "disabled": False}
            self._failures.pop(destination, None)
            return 201, dict(known)

    def set_unkind(self, body: Record) -> Record:
        """Switch how badly calls are made."""
        for name, value in body.items():
            if not hasattr(self.unkind, name):
                raise KeyError(name)
            setattr(self.unkind, name, tuple(value) if name == "delay" else value)
        return {"calls": dict(self.calls), "waiting": len(self._waiting), "planned": list(self.planned)}

    def changed(self, kind: str, action: str, record: Record) -> None:
        """A record was changed: call those who asked for that."""
        entity = SINGULAR[kind.split("/")[0]]
        with self._change:
            for hook in self.subscribed:
                if f"{action}_{entity}" in hook["settings"] and not hook["disabled"]:
                    self.planned.append((record["id"], self._plan(hook, self.body(kind, action, record))))

    def body(self, kind: str, action: str, record: Record) -> bytes:
        """The form of a call."""
        card = kind.split("/")[0]
        names = "task" if kind == "tasks" else card
        fields: dict[str, Any] = {}
        if card == "companies" and not self._plain and record["id"] % 2:
            names, fields = "contacts", {"[type]": "company"}
        if action == "note":
            note = {"id": record["id"], "element_id": record["entity_id"], "note_type": 4, "text": "…"}
            fields = {f"[note][{name}]": value for name, value in note.items()}
        else:
            given = ("id", "name", "responsible_user_id", "updated_at", "created_at", "status_id")
            fields |= {f"[{name}]": record[name] for name in given if record.get(name) is not None}
        pairs = {f"{names}[{action}][0]{name}": value for name, value in fields.items()}
        return urlencode({**pairs, "account[id]": self._account_id, "account[subdomain]": "romashka"}).encode()

    def _plan(self, hook: Record, body: bytes) -> float | None:
        """Plan a call, or two; seconds until the first one, None where it is lost."""
        kind, draw = self.unkind, self._random.random
        if draw() < kind.lost:
            self.calls["lost"] += 1
            return None
        first: float | None = None
        for _ in range(2 if draw() < kind.twice else 1):
            delay = self._random.uniform(*kind.delay) + (kind.late_by if draw() < kind.late else 0)
            first = delay if first is None else min(first, delay)
            heapq.heappush(self._waiting, (time.monotonic() + delay, next(self._numbers), hook, body, 1))
        if not self._started:
            self._started = True
            threading.Thread(target=self._work, name="amocrm-sim-webhooks", daemon=True).start()
        self._change.notify()
        return first

    def _work(self) -> None:
        while True:
            with self._change:
                while not self._waiting or self._waiting[0][0] > time.monotonic():
                    self._change.wait(self._waiting[0][0] - time.monotonic() if self._waiting else None)
                _, _, hook, body, tried = heapq.heappop(self._waiting)
                if hook not in self.subscribed or hook["disabled"]:
                    continue
            good = _call(hook["destination"], body)
            with self._change:
                self._called(hook, body, tried, good=good)

    def _called(self, hook: Record, body: bytes, tried: int, *, good: bool) -> None:
        self.calls["good" if good else "failed"] += 1
        destination = hook["destination"]
        self._failures[destination] = 0 if good else self._failures[destination] + 1
        if good:
            return
        if self._failures[destination] >= self.unkind.failures:
            hook["disabled"] = True
        elif tried < self.unkind.tries:
            moment = time.monotonic() + self.unkind.retry * 2 ** (tried - 1)
            heapq.heappush(self._waiting, (moment, next(self._numbers), hook, body, tried + 1))


def _call(destination: str, body: bytes) -> bool:
    request = urllib.request.Request(destination, body, {"Content-Type": "application/x-www-form-urlencoded"})
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS_TO_ANSWER) as answer:
            return 200 <= int(answer.status) < 300
    except (OSError, urllib.error.URLError, ValueError):
        return False


def _problem(path: str) -> Record:
    errors = [{"code": "NotSupportedChoice", "path": path, "detail": "The value you selected is not a valid choice."}]
    detail = {"title": "Bad Request", "status": 400, "detail": "Request validation failed"}
    return {"validation-errors": [{"request_id": "0", "errors": errors}], **detail}
