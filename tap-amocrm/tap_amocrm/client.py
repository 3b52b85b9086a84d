"""All requests of a run: one throttle, some in flight side by side, retries, and answers that are surely JSON."""

from __future__ import annotations

import getpass
import hashlib
import logging
import random
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import msgspec
import requests

from tap_amocrm import __version__, auth
from tap_amocrm.clean_text import clean, may_be_unclean
from tap_amocrm.config import MAX_REQUESTS_PER_SECOND, Settings
from tap_amocrm.dispatch import URGENT, Again, Dispatcher
from tap_amocrm.errors import (
    AccountBlockedError,
    ApiError,
    AuthorisationError,
    UnreachableError,
    UrlTooLongError,
)
from tap_amocrm.metrics import Metrics
from tap_amocrm.shapes import items
from tap_amocrm.shared_limit import BucketThrottle
from tap_amocrm.throttle import FileSlots, Throttle
from tap_amocrm.wire import WireAdapter

logger = logging.getLogger("tap-amocrm")
Params = list[tuple[str, str]]
_TRIES = 8
# A request may meet the end of several tokens in a row when their lifetime is shorter than the queue.
_TOKENS_FOR_A_REQUEST = 8
_TIMEOUT = (10, 90)
_LONGEST_WAIT = 60.0
_RETRIABLE = {408, 425, 429, 500, 502, 503, 504, 520, 522, 524}


@dataclass(frozen=True)
class Ask:
    """One request. Where records are `promised`, a 204 is not believed at once but asked again; low ranks go first."""

    stream: str
    path: str
    params: tuple[tuple[str, str], ...] = ()
    promised: bool = False
    rank: int = 0


@dataclass(frozen=True)
class Page:
    """An answer's body, empty after 204 and 304, and when it was asked for and came, by the server's clock."""

    body: Mapping[str, Any]
    sent: float = 0.0
    received: float = 0.0

    def records(self, key: str) -> list[dict[str, Any]]:
        """The records under `_embedded`."""
        embedded = self.body.get("_embedded")
        found = embedded.get(key) if isinstance(embedded, dict) else None
        records = items(found)
        if found and len(records) < (len(found) if isinstance(found, (list, dict)) else 1):
            logger.warning("The list %s holds entries that are not objects; they were left out.", key)
        return records

    @property
    def next_params(self) -> Params | None:
        """The query of `_links.next`; its host is not looked at (it may be another than asked)."""
        links = self.body.get("_links")
        link = links.get("next") if isinstance(links, dict) else None
        href = link.get("href") if isinstance(link, dict) else None
        return parse_qsl(urlsplit(href).query, keep_blank_values=True) if isinstance(href, str) else None


class _Unusable(Exception):
    """An answer to be asked for again: its reason, and seconds to wait if the server said so."""

    def __init__(self, reason: str, wait: float | None = None) -> None:
        super().__init__(reason)
        self.wait = wait


class Client:
    """Sends requests and hands out pages. Close it at the end; it may be used from several threads."""

    def __init__(self, settings: Settings, config: Mapping[str, Any], metrics: Metrics) -> None:
        self.settings, self.metrics = settings, metrics
        self.throttle = _throttle(settings, config.get("shared_limit_url"))
        self.auth = auth.from_config(config, settings.api_url, self._post)
        self.clock_offset = 0.0
        self._offset_seen = float("-inf")
        self._local = threading.local()
        self._dispatcher: Dispatcher | None = None
        self._lock = threading.Lock()

    def close(self) -> None:
        """Let no further request out."""
        with self._lock:
            if self._dispatcher is not None:
                self._dispatcher.stop()
        self.throttle.close()

    def now(self) -> float:
        """The server's clock as far as its Date headers tell, Unix seconds."""
        return time.time() + self.clock_offset

    def submit(self, ask: Ask, priority: int = URGENT) -> Future[Page]:
        """Send a request when it is its turn.

        The future raises:
            AccountBlockedError, AuthorisationError, ApiError, UrlTooLongError: final answers.
            UnreachableError: no usable answer after all retries.
        """
        with self._lock:
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self.throttle, self.settings.max_concurrent_requests)
        return self._dispatcher.submit(_Attempts(self, ask), (priority, ask.rank))

    def get(self, ask: Ask, priority: int = URGENT) -> Page:
        """One page; raises as `submit` says."""
        return self.submit(ask, priority).result()

    def in_order(self, asks: Iterable[Ask]) -> Iterator[tuple[Ask, Page]]:
        """Pages in the order of their requests, however many are in flight."""
        waiting: deque[tuple[Ask, Future[Page]]] = deque()
        try:
            for ask in asks:
                waiting.append((ask, self.submit(ask)))
                if len(waiting) >= self.settings.max_concurrent_requests:
                    first, future = waiting.popleft()
                    yield first, future.result()
            while waiting:
                first, future = waiting.popleft()
                yield first, future.result()
        finally:
            for _, future in waiting:
                future.cancel()

    def attempt(self, ask: Ask) -> Page:
        """Ask once."""
        sent = self.now()
        page = self._page(ask, self._send(ask))
        return Page(page.body, sent, self.now())

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            adapter = WireAdapter(self._leaving)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            session.headers.update(
                {"User-Agent": f"tap-amocrm/{__version__}", "Accept": "application/hal+json, application/json"}
            )
            self._local.session = session
        return session

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """Around the writing of this thread's request to its connection."""
        with self.throttle.leaving():
            yield
            self.metrics.sent(self._local.stream)

    def _post(self, url: str, body: dict[str, Any]) -> requests.Response:
        self.throttle.acquire()
        self._local.stream = "oauth"
        answer = self._session().post(url, json=body, timeout=_TIMEOUT, allow_redirects=False)
        self.metrics.answered(str(answer.status_code), answer.elapsed.total_seconds())
        return answer

    def _send(self, ask: Ask) -> requests.Response:
        """Send; a rejected token is renewed and the request repeated, once for each new token."""
        for number in range(_TOKENS_FOR_A_REQUEST):
            header = self.auth.authorization()
            if number:
                self.throttle.acquire()
            self._local.stream = ask.stream
            started = time.monotonic()
            answer = self._session().get(
                self.settings.api_url + ask.path,
                params=list(ask.params),
                headers={"Authorization": header},
                timeout=_TIMEOUT,
                allow_redirects=False,
            )
            self.metrics.answered(str(answer.status_code), time.monotonic() - started)
            if answer.status_code != 401 or not self.auth.renew(header):
                break
        date = answer.headers.get("Date")
        if date:
            self._note_clock(date)
        return answer

    def _note_clock(self, date: str) -> None:
        try:
            offset = parsedate_to_datetime(date).timestamp() - time.time()
        except (TypeError, ValueError):
            return
        # The header has whole seconds and travels, so that each answer shows the server's clock somewhat slow: the
        # fastest of them is nearest. Below two seconds both clocks count as one.
        with self._lock:
            self._offset_seen = max(self._offset_seen, offset)
            self.clock_offset = self._offset_seen if abs(self._offset_seen) > 2 else 0.0

    def _decoded(self, answer: requests.Response) -> Any:
        try:
            body, unclean = msgspec.json.decode(answer.content), may_be_unclean(answer.content)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body, unclean = _lenient(answer), True
        return clean(body) if unclean and not self.settings.raw_text else body

    def _page(self, ask: Ask, answer: requests.Response) -> Page:
        status = answer.status_code
        html = "html" in answer.headers.get("Content-Type", "")
        if status in (204, 304):
            return Page({})
        if status == 200:
            body = self._decoded(answer)
            if not isinstance(body, dict):
                raise _Unusable("a body that is no JSON object")
            return Page(body)
        if status == 429:
            wait = _retry_after(answer)
            self.throttle.pause(wait)
            raise _Unusable("429 too many requests", wait)
        if status in _RETRIABLE or status >= 500:
            raise _Unusable(f"{status}", _retry_after(answer) if "Retry-After" in answer.headers else None)
        if status == 403 and html:
            raise AccountBlockedError(auth.BLOCKED)
        if status == 401:
            msg = (
                f"amoCRM refuses the token (401{_hint(answer)}). Make a new long-lived token in the integration's "
                "settings, or authorise again with tap-amocrm-login."
            )
            raise AuthorisationError(msg)
        if status == 414:
            raise UrlTooLongError(status, ask.path, "URI too long")
        raise ApiError(status, ask.path, _title(answer))


def _throttle(settings: Settings, shared_limit_url: str | None) -> Throttle:
    """Processes that read one account share its limit: on this machine through a file, on several through a database.

    Without a limit there is nothing to share.
    """
    rate = settings.requests_per_second
    if shared_limit_url:
        return BucketThrottle(rate, shared_limit_url, settings.api_url)
    if not settings.share_throttle or rate > MAX_REQUESTS_PER_SECOND:
        return Throttle(rate)
    account = hashlib.sha256(settings.api_url.encode()).hexdigest()[:16]
    folder = Path(tempfile.gettempdir()) / f"tap-amocrm-{getpass.getuser()}"
    try:
        return Throttle(rate, FileSlots(folder / f"{account}.slot"))
    except OSError as error:
        logger.warning("The limit is not shared with other processes: %s can't be used (%s).", folder, error.strerror)
        return Throttle(rate)


class _Attempts:
    """A request's way through its retries: each call is one try, by leave of the dispatcher."""

    def __init__(self, client: Client, ask: Ask) -> None:
        self._client, self._ask = client, ask
        self._tries = 0
        self._again_after_204 = ask.promised

    def __call__(self) -> Page:
        """Try once; raises `Again` while there are tries left."""
        client, ask = self._client, self._ask
        try:
            page = client.attempt(ask)
        except _Unusable as fault:
            reason, wait = str(fault), fault.wait
        except requests.RequestException as fault:
            reason, wait = type(fault).__name__, None
            client.metrics.answered("error", 0.0)
        else:
            if page.body or not self._again_after_204:
                return page
            self._again_after_204 = False
            client.metrics.retried()
            raise Again(0)
        self._tries += 1
        if self._tries < _TRIES:
            client.metrics.retried()
            raise Again(self._pause(wait))
        msg = (
            f"{client.settings.api_url}{ask.path} gives no usable answer after {_TRIES} tries ({reason}). "
            "Check api_url or subdomain and the network; what was loaded stays, the next run goes on from there."
        )
        raise UnreachableError(msg)

    def _pause(self, told: float | None) -> float:
        wait = told if told is not None else min(0.5 * 2 ** (self._tries - 1), 30.0) * random.uniform(0.7, 1.3)
        if self._client.settings.requests_per_second > 50 and told is None:
            wait /= 20  # only a simulator on loopback allows such a rate
        return min(wait, _LONGEST_WAIT)


def _lenient(answer: requests.Response) -> Any:
    """A body that a strict decoder refuses: lone surrogates are legal in amoCRM's JSON, half a body is not."""
    try:
        return answer.json()
    except (ValueError, RecursionError):
        raise _Unusable("an unreadable body") from None


def _retry_after(answer: requests.Response) -> float:
    try:
        return max(0.5, float(answer.headers.get("Retry-After", "1")))
    except ValueError:
        return 1.0


def _problem(answer: requests.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _title(answer: requests.Response) -> str:
    problem = _problem(answer)
    return " ".join(str(problem[k]) for k in ("title", "detail") if problem.get(k))[:300]


def _hint(answer: requests.Response) -> str:
    hint = _problem(answer).get("hint")
    return f", {hint}" if hint else ""
