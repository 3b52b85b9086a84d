"""What every API request passes first: the request log, the rate limit, the ban, tokens, faults and latency."""

from __future__ import annotations

import random
import re
import secrets
import time
from bisect import bisect_right, insort
from collections import Counter, deque
from dataclasses import dataclass, field
from typing import Any

from amocrm_sim.arrivals import Arrival

BAN_PAGE = (
    "<html>\r\n<head><title>403 Forbidden</title></head>\r\n"
    "<body><center><h1>403 Forbidden</h1></center><hr><center>nginx</center></body>\r\n</html>\r\n"
)
FAULTS = ("500", "502", "504", "reset", "cut", "html200", "slow", "429", "204", "gzip", "400", "402", "403")
# What a client can't answer by asking again; `all` leaves these out.
_FINAL = ("204", "400", "402", "403")
# So many refusals within ten seconds, and the address is blocked.
_REFUSALS_BEFORE_BAN = 30


@dataclass
class RequestLog:
    """Every API request with its time of arrival."""

    entries: list[dict[str, Any]] = field(default_factory=list)

    def arrived(self, method: str, path: str, query: str, arrival: Arrival) -> dict[str, Any]:
        """Note a request; the status follows when it is answered."""
        entry = {
            "at": arrival.at,
            "wall": arrival.wall,
            "late": arrival.late,
            "method": method,
            "path": path,
            "query": query,
            "status": None,
            "seconds": None,
        }
        self.entries.append(entry)
        return entry

    def most_in_a_second(self) -> int:
        """The most requests in any sliding second."""
        window: deque[float] = deque()
        most = 0
        for at in sorted(entry["at"] for entry in self.entries):
            window.append(at)
            while window[0] <= at - 1.0:
                window.popleft()
            most = max(most, len(window))
        return most

    def stats(self) -> dict[str, Any]:
        """Totals by path and status, and the peak."""
        return {
            "requests": len(self.entries),
            "peak": self.most_in_a_second(),
            "latest": max((e["late"] for e in self.entries), default=0.0),
            "by_path": dict(Counter(e["path"] for e in self.entries)),
            "by_status": dict(Counter(str(e["status"]) for e in self.entries)),
        }


class RateLimit:
    """At most `rps` arrivals in any sliding second; whoever continues after refusals is banned."""

    def __init__(self, rps: float) -> None:
        self.rps = rps
        self.banned = False
        self.refusals = 0
        self._window: list[float] = []
        self._refused: deque[float] = deque()

    def admits(self, now: float) -> bool:
        """Count an arrival; False answers 429.

        Connections are not always read in the order in which their requests came: the window is kept in order of
        time, for two seconds, and an arrival counts in the second before it.
        """
        if not self.rps:
            return True
        insort(self._window, now)
        del self._window[: bisect_right(self._window, self._window[-1] - 2.0)]
        end = bisect_right(self._window, now)
        if end - bisect_right(self._window, now - 1.0) <= self.rps:
            return True
        self.refusals += 1
        self._refused.append(now)
        while self._refused[0] < now - 10:
            self._refused.popleft()
        self.banned = self.banned or len(self._refused) > _REFUSALS_BEFORE_BAN
        return False


class Faults:
    """Answers that go wrong: by rates, or by a script of request numbers."""

    def __init__(self, rates: dict[str, float] | None = None, seed: int = 1) -> None:
        self.rates = rates or {}
        self.script: dict[int, str] = {}
        self.counter = 0
        self.seen: Counter[str] = Counter()
        self._random = random.Random(seed)

    def next(self) -> str | None:
        """The fault of the coming request, None for a healthy answer."""
        self.counter += 1
        kind = self.script.pop(self.counter, None)
        if kind is None:
            draw = self._random.random()
            for name, rate in self.rates.items():
                draw -= rate
                if draw < 0:
                    kind = name
                    break
        if kind:
            self.seen[kind] += 1
        return kind


def parse_faults(text: str) -> dict[str, float]:
    """`500=0.01,reset=0.02` as rates; `all=0.05` spreads a rate over all kinds.

    Raises:
        ValueError: an unknown kind.
    """
    rates: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        name, _, rate = part.partition("=")
        if name == "all":
            kinds = [f for f in FAULTS if f not in _FINAL]
            rates |= dict.fromkeys(kinds, float(rate) / len(kinds))
        elif name in FAULTS:
            rates[name] = float(rate)
        else:
            msg = f"unknown fault {name!r}; known: {', '.join(FAULTS)}, all"
            raise ValueError(msg)
    return rates


class Latency:
    """Seconds that an answer takes: `300`, `200-400` or `normal:300,80` milliseconds."""

    def __init__(self, text: str, seed: int = 1) -> None:
        self._random = random.Random(seed)
        self.low = self.high = self.mean = self.deviation = 0.0
        if match := re.fullmatch(r"normal:(\d+),(\d+)", text):
            self.mean, self.deviation = float(match.group(1)), float(match.group(2))
        elif match := re.fullmatch(r"(\d+)(?:-(\d+))?", text):
            self.low = float(match.group(1))
            self.high = float(match.group(2) or match.group(1))
        else:
            msg = f"latency {text!r} is not one of 300, 200-400, normal:300,80"
            raise ValueError(msg)

    def draw(self) -> float:
        """One answer's latency in seconds."""
        if self.deviation:
            return max(0.0, self._random.gauss(self.mean, self.deviation)) / 1000
        return self._random.uniform(self.low, self.high) / 1000


class Tokens:
    """Long-lived and OAuth tokens; refresh tokens are single-use and rotate."""

    def __init__(self, token: str, client_id: str, client_secret: str, code: str, lifetime: float) -> None:
        self.token, self.client_id, self.client_secret = token, client_id, client_secret
        self.codes = {code}
        self.lifetime = lifetime
        self.access: dict[str, float] = {}
        self.refresh: set[str] = {"first-refresh-token"}
        self.issued = 0

    def accepts(self, header: str) -> bool:
        """Whether an Authorization header is good now."""
        scheme, _, token = header.partition(" ")
        if scheme.lower() != "bearer":
            return False
        # A client that reads tokens as JWT brings one of its own making; its subject is not checked here.
        if token == self.token or (self.token == "any" and token):
            return True
        return self.access.get(token, 0) > time.monotonic()

    def expire(self) -> None:
        """All access tokens end now."""
        self.access.clear()

    def exchange(self, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        """Answer `POST /oauth2/access_token`: status and body."""
        if body.get("client_id") != self.client_id or body.get("client_secret") != self.client_secret:
            return 401, _refusal("The client credentials are invalid", "client_id or client_secret is wrong")
        grant = body.get("grant_type")
        if grant == "authorization_code" and body.get("code") in self.codes:
            self.codes.discard(body["code"])
        elif grant == "refresh_token" and body.get("refresh_token") in self.refresh:
            self.refresh.discard(body["refresh_token"])
        else:
            return 400, _refusal("Token has been revoked", "The code or the refresh token is used, expired or unknown")
        self.issued += 1
        access, refresh = secrets.token_urlsafe(24), secrets.token_urlsafe(24)
        self.access[access] = time.monotonic() + self.lifetime
        self.refresh.add(refresh)
        return 200, {
            "token_type": "Bearer",
            "expires_in": int(self.lifetime),
            "server_time": int(time.time()),
            "access_token": access,
            "refresh_token": refresh,
        }


def _refusal(title: str, hint: str) -> dict[str, Any]:
    return {
        "title": title,
        "type": "https://developers.amocrm.ru/v3/errors/OAuthProblemJson",
        "status": 400,
        "detail": hint,
        "hint": hint,
    }
