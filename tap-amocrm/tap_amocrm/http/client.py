"""HTTP client of a run: rate limiting, concurrent requests, retries, and checks of the answers."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import Any, Protocol
from urllib.parse import urlsplit

import requests

from tap_amocrm import __version__
from tap_amocrm.config.settings import MAX_REQUESTS_PER_SECOND, Settings
from tap_amocrm.errors import PausedError, UnreachableError
from tap_amocrm.http.allowance import Allowance
from tap_amocrm.http.answers import Ask, Page, Params, UnusableError, body_of
from tap_amocrm.http.dispatcher import URGENT, Again, Dispatcher
from tap_amocrm.http.faults import described, hopeless, is_slow
from tap_amocrm.http.metrics import Metrics
from tap_amocrm.http.refusals import refusal
from tap_amocrm.http.retry import WORTH_A_LINE, RetryPolicy, is_transient
from tap_amocrm.http.retry_after import LONGEST_WAIT, retry_after
from tap_amocrm.http.server_clock import ServerClock
from tap_amocrm.http.slot_file import throttle_of
from tap_amocrm.http.transport import BearerAuth, WireAdapter, read_body

__all__ = ["Ask", "Client", "Page", "Params"]

logger = logging.getLogger("tap-amocrm")
# The stream to which token requests are attributed.
_OAUTH = "oauth"
# An answer that took a minute or two, or is too large, does not improve by repeating it eight times.
_SLOW_TRIES = 3
# Several tokens in a row may expire while a request waits, if their lifetime is shorter than the queue.
_TOKENS_FOR_A_REQUEST = 8
_TIMEOUT = (10, 90)
RETRIES = RetryPolicy(tries=8)


@dataclass(frozen=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    content: bytes


class Authenticator(Protocol):
    """Interface of an authorisation; called from several threads."""

    def authorization(self) -> str:
        """The value of the Authorization header."""
        ...

    def renew(self, rejected: str) -> bool:
        """After a 401: whether a new token is available and the request may be repeated."""
        ...


# Posts a JSON body to a URL.
Send = Callable[[str, dict[str, Any]], requests.Response]


class Client:
    """Sends requests and returns pages. Close it at the end; it may be used from several threads.

    Args:
        settings: The checked settings.
        metrics: Counts what is sent.
        authorise: Creates the authorisation; its requests go through the same throttle.
        shared_limit_url: A database through which several hosts share the limit.
    """

    def __init__(
        self,
        settings: Settings,
        metrics: Metrics,
        authorise: Callable[[Send], Authenticator],
        shared_limit_url: str | None = None,
    ) -> None:
        self.settings, self.metrics = settings, metrics
        self.clock = ServerClock()
        self.throttle = throttle_of(settings, shared_limit_url)
        self.auth = authorise(self._post)
        self._local = threading.local()
        self._dispatcher: Dispatcher | None = None
        self._lock = threading.Lock()
        self.answered = False
        # The share of the rate limit for a following process; None for all of it.
        self.allowance: Allowance | None = None

    def close(self) -> None:
        """Send no further request."""
        with self._lock:
            if self._dispatcher is not None:
                self._dispatcher.stop()
        self.throttle.close()

    def restart(self) -> None:
        """After a failure that ended all requests: let new ones be sent."""
        with self._lock:
            if self._dispatcher is not None:
                self._dispatcher.stop()
            self._dispatcher = None

    def _slot(self) -> float:
        """Wait until a request may be sent; returns the seconds waited for the rate limit."""
        if self.allowance is not None:
            self.allowance.take()
        return self.throttle.acquire()

    def now(self) -> float:
        """The earliest possible server time according to the answers, in Unix seconds."""
        return self.clock.by_answers(self.clock.moment())

    def submit(self, ask: Ask, priority: int = URGENT) -> Future[Page]:
        """Send a request when it is its turn.

        The future raises:
            AccountBlockedError, AuthorisationError, ApiError, UrlTooLongError: final answers.
            PausedError: the service asks for a longer pause than a run waits.
            UnreachableError: no usable answer after all retries.
        """
        with self._lock:
            if self._dispatcher is None:
                self._dispatcher = Dispatcher(self._slot, self.settings.max_concurrent_requests, self.metrics.waits)
        return self._dispatcher.submit(_Attempts(self, ask), (priority, ask.rank), ask.stream)

    def get(self, ask: Ask, priority: int = URGENT) -> Page:
        """One page; raises as `submit` says."""
        return self.submit(ask, priority).result()

    def change(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """Send a request that changes something in the account, once.

        Raises:
            TapError: the account refuses it, or does not answer.
        """
        self._slot()
        try:
            answer, header = self._send(Ask(path.rpartition("/")[2], path), method, body)
        except requests.RequestException as fault:
            msg = f"{method} {path} has no answer ({described(fault)}). Try again."
            raise UnreachableError(msg, host=urlsplit(self.settings.api_url).hostname) from None
        if not 200 <= answer.status < 300:
            raise refusal(answer.status, path, answer.headers, answer.content, header.rpartition(" ")[2])

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
        """Send the request once.

        Raises:
            UnusableError, requests.RequestException: the request may be repeated.
            TapError: a final answer.
        """
        asked = self.clock.moment()
        answer, header = self._send(ask)
        came = self.clock.moment()
        self.clock.note(answer.headers.get("Date"), asked, came)
        self.answered = True
        body = self._body(ask, answer, header)
        return Page(body, self.clock.by_answers(asked), self.clock.latest(came))

    def _session(self) -> requests.Session:
        session: requests.Session | None = getattr(self._local, "session", None)
        if session is None:
            session = requests.Session()
            # The API needs no cookies: nothing of an answer goes out with the next request.
            session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=()))
            adapter = WireAdapter(self._leaving)
            session.mount("http://", adapter)
            session.mount("https://", adapter)
            session.headers.update(
                {
                    "User-Agent": f"tap-amocrm/{__version__}",
                    "Accept": "application/hal+json, application/json",
                    "Accept-Encoding": "gzip, deflate",
                }
            )
            self._local.session = session
        return session

    @contextmanager
    def _leaving(self) -> Iterator[None]:
        """Context around writing this thread's request to its connection; this wait does not count as waiting for the
        answer."""
        started = time.monotonic()
        with self.throttle.leaving():
            self._local.held_up = time.monotonic() - started
            self.metrics.waits.slot(self._local.stream, self._local.held_up)
            yield
            self.metrics.sent(self._local.stream)

    def _post(self, url: str, body: dict[str, Any]) -> requests.Response:
        self.throttle.acquire()
        self._local.stream = _OAUTH
        answer = self._session().post(
            url, json=body, auth=BearerAuth(), timeout=_TIMEOUT, allow_redirects=False, stream=True
        )
        answer._content = read_body(answer)
        self.metrics.answered(_OAUTH, urlsplit(url).path, str(answer.status_code), answer.elapsed.total_seconds())
        if answer.status_code == 429:
            self.throttle.pause(retry_after(answer.headers, self.clock) or 1.0)
        return answer

    def _send(self, ask: Ask, method: str = "GET", body: Mapping[str, Any] | None = None) -> tuple[_Answer, str]:
        """Send a request and return the answer with the header that it carried. A rejected token is renewed and the
        request repeated, once for each new token."""
        for number in range(_TOKENS_FOR_A_REQUEST):
            header = self.auth.authorization()
            if number:
                self.throttle.acquire()
            self._local.stream, self._local.held_up = ask.stream, 0.0
            started = time.monotonic()
            with (
                self.metrics.waits.for_answer(),
                self._session().request(
                    method,
                    (ask.base or self.settings.api_url) + ask.path,
                    params=list(ask.params),
                    json=body,
                    auth=BearerAuth(header),
                    timeout=_TIMEOUT,
                    # The token is sent only to this account.
                    allow_redirects=False,
                    stream=True,
                ) as answer,
            ):
                content = read_body(answer)
            seconds = time.monotonic() - started - self._local.held_up
            self.metrics.answered(ask.stream, ask.path, str(answer.status_code), seconds)
            if answer.status_code != 401 or not self.auth.renew(header):
                break
        return _Answer(answer.status_code, answer.headers, content), header

    def _body(self, ask: Ask, answer: _Answer, header: str) -> Mapping[str, Any]:
        status = answer.status
        if status == 200:
            return body_of(ask, answer.content, raw_text=self.settings.raw_text)
        if status == 204:
            return {}
        if not is_transient(status):
            raise refusal(status, ask.path, answer.headers, answer.content, header.rpartition(" ")[2])
        wait = retry_after(answer.headers, self.clock)
        if status == 429 or (status == 503 and wait is not None):
            self.throttle.pause(wait or 1.0, refused=status == 429)
        if wait is not None and wait > LONGEST_WAIT:
            raise PausedError.of(wait, f"{ask.path} answers {status}")
        reasons = {304: "304 not modified, although the request was not conditional", 429: "429 too many requests"}
        raise UnusableError(reasons.get(status, f"{status}"), wait)


class _Attempts:
    """A request with its retries: the dispatcher calls it once for each try."""

    def __init__(self, client: Client, ask: Ask) -> None:
        self._client, self._ask = client, ask
        self._tries = 0
        self._again_after_204 = ask.promised

    def __call__(self) -> Page:
        """Try once; raises `Again` while there are tries left."""
        client, ask = self._client, self._ask
        try:
            page = client.attempt(ask)
        except UnusableError as fault:
            reason, wait, most = str(fault), fault.wait, fault.tries
        except requests.RequestException as fault:
            client.metrics.answered(ask.stream, ask.path, "error", 0.0)
            if not client.answered:
                hopeless(fault, client.settings.api_url)
            reason, wait, most = described(fault), None, _SLOW_TRIES if is_slow(fault) else RETRIES.tries
        else:
            if page.body or not self._again_after_204:
                return page
            self._again_after_204 = False
            client.metrics.retried()
            raise Again(0)
        self._tries += 1
        if self._tries < most:
            client.metrics.retried()
            raise Again(self._pause(reason, wait, most))
        msg = (
            f"{ask.base or client.settings.api_url}{ask.path} gave no usable answer after {most} tries ({reason}). "
            "Check api_url or subdomain and the network; what was loaded stays, and the next run continues from there."
        )
        raise UnreachableError(msg, host=urlsplit(client.settings.api_url).hostname)

    def _pause(self, reason: str, asked: float | None, most: int) -> float:
        wait = RETRIES.pause(self._tries, asked)
        if asked is None and self._client.settings.requests_per_second > MAX_REQUESTS_PER_SECOND:
            wait /= 20  # only a simulator on loopback allows such a rate
        if wait > WORTH_A_LINE:
            logger.warning("%s: %s. Try %d of %d in %.0f s.", self._ask.path, reason, self._tries + 1, most, wait)
        return wait
