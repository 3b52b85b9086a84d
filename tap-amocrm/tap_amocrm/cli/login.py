"""The command `tap-amocrm-login`: a person allows the integration in the browser, the tokens go to token_file."""

from __future__ import annotations

import hmac
import os
import queue
import re
import secrets
import sys
import threading
import webbrowser
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import click
import requests

from tap_amocrm import __version__
from tap_amocrm.auth.oauth import OAuth, from_config
from tap_amocrm.config.account_address import account_host
from tap_amocrm.config.user_path import user_path
from tap_amocrm.errors import ConfigError, TapError
from tap_amocrm.http.transport import BearerAuth
from tap_amocrm.singer_io.command_line import read_config_file, refuse_unknown_variables

# Each service has its own authorisation page ("Authorisation page", developers.kommo.com and amocrm.ru/developers).
AUTHORISATION_PAGES = {domain: f"https://www.{domain}/oauth" for domain in ("amocrm.ru", "amocrm.com", "kommo.com")}
_ACCOUNT = re.compile(r"([a-z0-9][a-z0-9-]*)\.(amocrm\.ru|amocrm\.com|kommo\.com)")
_LOOPBACK = ("127.0.0.1", "localhost")
_REDIRECT = "http://127.0.0.1:8765/"
_TOKEN_FILE = "~/.tap-amocrm/tokens.json"  # noqa: S105 - a path
_TIMEOUT = (10, 60)
_PAGE = """<!doctype html><html lang="en"><meta charset="utf-8"><title>tap-amocrm-login</title>
<p>{}</p></html>"""
_DONE = (
    "The answer has arrived; you may close this window and go on in the terminal.<br>"
    "Ответ получен, это окно можно закрыть и вернуться в терминал."
)


@dataclass(frozen=True)
class Redirect:
    """What the authorisation page sends back: a code, and the account's host where it says so."""

    code: str = field(repr=False)
    referer: str = ""


class LoginError(ConfigError):
    """The login under way brought no access to the account."""


class ForeignAnswerError(LoginError):
    """A redirect that does not belong to the login under way."""


@dataclass(frozen=True)
class Login:
    """What one authorisation needs, from options, environment and config file."""

    settings: dict[str, Any] = field(repr=False)
    page: str
    state: str = field(repr=False)

    @property
    def url(self) -> str:
        """The authorisation page with this login's parameters."""
        query = {
            "client_id": self.settings["client_id"],
            "state": self.state,
            "mode": "popup",
            "redirect_uri": self.settings["redirect_uri"],
        }
        return f"{self.page}?{urlencode(query)}"

    def read(self, query: str) -> Redirect:
        """The redirect's query, checked.

        Raises:
            ForeignAnswerError: the state is not ours.
            ConfigError: the access was not allowed, or there is no code.
        """
        values = {k: v[0] for k, v in parse_qs(query).items()}
        if not hmac.compare_digest(values.get("state", "").encode(), self.state.encode()):
            msg = "The response belongs to another login (its state differs). Open the address above and allow access."
            raise ForeignAnswerError(msg)
        if values.get("error"):
            msg = (
                f"The access was not allowed ({values['error'][:100]}); an administrator of the account must allow it."
            )
            raise LoginError(msg, problem="denied")
        if not values.get("code"):
            msg = "The response contains no code. Open the address above again."
            raise LoginError(msg, problem="no_code")
        return Redirect(values["code"], values.get("referer", "").strip().lower())

    def account_url(self, redirect: Redirect) -> str:
        """The address of the account that was chosen.

        Raises:
            ConfigError: it is not an amoCRM host, or another account than the settings name.
        """
        wanted = self.settings.get("api_url") or ""
        if not wanted and self.settings.get("subdomain"):
            wanted = f"https://{account_host(self.settings['subdomain'], self.settings['domain'])}"
        if not redirect.referer:
            if not wanted:
                msg = "The code does not identify the account. Pass --subdomain, or paste the full redirect URL."
                raise LoginError(msg, problem="no_account")
            return str(wanted).rstrip("/")
        if _ACCOUNT.fullmatch(redirect.referer):
            chosen = f"https://{redirect.referer}"
        elif urlsplit(self.page).hostname in _LOOPBACK and urlsplit(f"//{redirect.referer}").hostname in _LOOPBACK:
            chosen = f"http://{redirect.referer}"  # a simulator: it sends its own address
        else:
            msg = (
                f"The response names {redirect.referer[:100]!r} as the account, which is not a host of amoCRM or Kommo."
            )
            raise LoginError(msg, problem="foreign_host")
        if wanted and urlsplit(wanted).netloc.lower() != urlsplit(chosen).netloc:
            msg = (
                f"Access was allowed to {chosen}, but the settings name {wanted}: choose that account, or change them."
            )
            raise LoginError(msg, problem="other_account")
        return chosen


class _Handler(BaseHTTPRequestHandler):
    """Takes the redirect; everything else, such as a browser's wish for an icon, is 404."""

    timeout = 10
    server: _Receiver

    def do_GET(self) -> None:
        """Answer the browser; the first good redirect goes to the command."""
        target = urlsplit(self.path)
        if target.path != self.server.path:
            self._answer(404, "Nothing here.")
            return
        try:
            redirect: Redirect | ConfigError = self.server.login.read(target.query)
        except ForeignAnswerError:
            # Any page can send a browser here: what is not ours does not end the login.
            self._answer(400, "This response does not belong to the login in progress.")
            return
        except ConfigError as error:
            redirect = error
        self._answer(200, _DONE)
        self.server.answers.put(redirect)

    def _answer(self, status: int, text: str) -> None:
        body = _PAGE.format(text).encode()
        self.send_response(status)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing is logged: the request line holds the code."""


class _Receiver(ThreadingHTTPServer):
    """Threads, because browsers open connections ahead and leave them idle."""

    daemon_threads = True

    def __init__(self, login: Login) -> None:
        redirect = urlsplit(login.settings["redirect_uri"])
        self.login, self.path = login, redirect.path or "/"
        self.answers: queue.SimpleQueue[Redirect | ConfigError] = queue.SimpleQueue()
        super().__init__(("127.0.0.1", redirect.port or 80), _Handler)


def receive(login: Login, minutes: float, *, browser: bool) -> Redirect:
    """Listen at redirect_uri until the browser brings the answer.

    Raises:
        ConfigError: the port is taken, nothing came in time, or the access was not allowed.
    """
    try:
        receiver = _Receiver(login)
    except (OSError, OverflowError) as error:
        msg = (
            f"Setting redirect_uri: {login.settings['redirect_uri']} can't be listened on "
            f"({getattr(error, 'strerror', None) or error}). End what listens there, or use --paste."
        )
        raise ConfigError(msg, setting="redirect_uri", problem="in_use") from None
    threading.Thread(target=receiver.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    try:
        _show(login)
        if browser and _has_browser():
            webbrowser.open(login.url)
        click.echo(f"Waiting at {login.settings['redirect_uri']} (without a browser here, use --paste) ...")
        answer = receiver.answers.get(timeout=minutes * 60)
    except queue.Empty:
        msg = (
            f"No response arrived within {minutes:g} minutes. Run the command again, or use --paste if the browser is "
            f"on another machine."
        )
        raise LoginError(msg, problem="no_answer") from None
    finally:
        receiver.shutdown()
        receiver.server_close()
    if isinstance(answer, ConfigError):
        raise answer
    return answer


def paste(login: Login, *, browser: bool) -> Redirect:
    """Take the redirected address, or the code alone, from standard input.

    Raises:
        ConfigError: nothing was pasted, or the address is not an answer to this login.
    """
    _show(login)
    if browser and _has_browser():
        webbrowser.open(login.url)
    click.echo(
        "Allow the access. The browser then opens the redirect address; it does not matter whether a page exists there."
    )
    click.echo("Paste that whole address from the browser's address bar, or the code alone:")
    text = sys.stdin.readline().strip()
    if not text:
        msg = "Nothing was pasted."
        raise LoginError(msg, problem="nothing_pasted")
    if "code=" in text or "://" in text:
        return login.read(urlsplit(text).query or text.lstrip("?"))
    return Redirect(text)


def _show(login: Login) -> None:
    click.echo("Open this address in a browser, choose the account and allow the access:\n")
    click.echo(f"  {login.url}\n")


def _has_browser() -> bool:
    """Whether a window can open; a text browser would take the terminal away."""
    displays = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return not sys.platform.startswith("linux") or any(os.environ.get(k) for k in displays)


def _post(url: str, body: dict[str, Any]) -> requests.Response:
    headers = {"User-Agent": f"tap-amocrm/{__version__}", "Accept": "application/json"}
    # A redirect is not followed: the secret would go along.
    return requests.post(url, json=body, headers=headers, auth=BearerAuth(), timeout=_TIMEOUT, allow_redirects=False)


def _describe(oauth: OAuth, url: str) -> str:
    """The account's name and number, asked with the new token; what went wrong instead, if it did."""
    headers = {"User-Agent": f"tap-amocrm/{__version__}"}
    bearer = BearerAuth(oauth.authorization())
    try:
        answer = requests.get(
            f"{url}/api/v4/account", headers=headers, auth=bearer, timeout=_TIMEOUT, allow_redirects=False
        )
        account = answer.json() if answer.status_code == 200 else {}
    except (requests.RequestException, RecursionError) as error:
        return f"The tokens are stored, but the account could not be read ({type(error).__name__})."
    if not isinstance(account, dict) or "id" not in account:
        return f"The account answers {answer.status_code}; the tokens are stored. Check the integration's permissions."
    return f"Access to account {account['id']} ({account.get('name')}) works."


def _settings(config: Path | None, given: dict[str, Any]) -> dict[str, Any]:
    """Options and environment, then the config file, then questions.

    Raises:
        ConfigError: the file is broken, a value is wrong, or something is missing and nobody is there to ask.
    """
    refuse_unknown_variables(os.environ)
    from_file = read_config_file(config) if config is not None else {}
    # The seeds are read so that they count as superseded: the chain that starts here goes before them.
    names = (*given, "client_secret", "authorization_code", "refresh_token")
    environment = {k: os.environ.get(f"TAP_AMOCRM_{k.upper()}") for k in names}
    settings = {k: str(given.get(k) or environment[k] or from_file.get(k) or "").strip() for k in names}
    settings["domain"] = settings["domain"] or "amocrm.ru"
    settings["redirect_uri"] = settings["redirect_uri"] or _REDIRECT
    settings["token_file"] = str(_absolute(settings["token_file"] or _TOKEN_FILE))
    _check_redirect(settings["redirect_uri"])
    if settings["domain"] not in AUTHORISATION_PAGES:
        msg = f"Setting domain: {settings['domain']!r} must be one of {', '.join(AUTHORISATION_PAGES)}."
        raise ConfigError(msg, setting="domain", problem="choice")
    for name, question, hidden in (("client_id", "Integration ID", False), ("client_secret", "Secret key", True)):
        if not settings[name] and not sys.stdin.isatty():
            msg = f"Setting {name} is missing: set TAP_AMOCRM_{name.upper()} or give --config."
            raise ConfigError(msg, setting=name, problem="missing")
        settings[name] = settings[name] or click.prompt(question, hide_input=hidden).strip()
    return settings


def _absolute(token_file: str) -> Path:
    try:
        return user_path("token_file", token_file).absolute()
    except OSError as error:
        msg = f"Setting token_file: the current folder can't be used ({error.strerror}). Give the file's absolute path."
        raise ConfigError(msg, setting="token_file", problem="unreadable") from None


def _check_redirect(address: str) -> None:
    try:
        parts = urlsplit(address)
        good = bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:  # a port above 65535, or brackets that do not close
        good = False
    if not good:
        msg = f"Setting redirect_uri: {address!r} must be an address with a port from 1 to 65535, such as {_REDIRECT}."
        raise ConfigError(msg, setting="redirect_uri", problem="format")


def _tell(settings: dict[str, Any], url: str) -> None:
    """The settings to put into .env or meltano.yml; no secrets."""
    host = _ACCOUNT.fullmatch(urlsplit(url).netloc)
    where = {"SUBDOMAIN": host[1], "DOMAIN": host[2]} if host else {"API_URL": url}
    click.echo("\nPut into .env:\n")
    names = ("client_id", "redirect_uri", "token_file")
    for name, value in (where | {name.upper(): settings[name] for name in names}).items():
        click.echo(f"  TAP_AMOCRM_{name}={value}")
    click.echo("  TAP_AMOCRM_CLIENT_SECRET=  the integration's secret key, not shown here")
    click.echo(
        "\nDo not set TAP_AMOCRM_ACCESS_TOKEN, _AUTHORIZATION_CODE or _REFRESH_TOKEN; the token file replaces them."
    )


@click.command()
@click.option("--client-id", help="The integration's ID. Asked for if it is not set.")
@click.option("--redirect-uri", help=f"Redirect address, exactly as in the integration.  [default: {_REDIRECT}]")
@click.option("--token-file", help=f"File in which the tokens are stored.  [default: {_TOKEN_FILE}]")
@click.option("--subdomain", help="The account. Default: the one chosen in the browser.")
@click.option("--domain", help="amocrm.ru, amocrm.com or kommo.com.  [default: amocrm.ru]")
@click.option("--api-url", help="Base URL of the account, for a simulator.")
@click.option("--auth-url", help="URL of the authorisation page, for a simulator.")
@click.option("--config", type=click.Path(path_type=Path), help="JSON file with the tap's settings.")
@click.option(
    "--paste", "pasted", is_flag=True, help="Read the response from standard input, if this machine has no browser."
)
@click.option("--no-browser", is_flag=True, help="Print the address without opening a browser.")
@click.option("--minutes", default=15.0, show_default=True, help="How long to wait for the browser.")
@click.version_option(__version__)
def main(
    config: Path | None, pasted: bool, no_browser: bool, minutes: float, auth_url: str | None, **given: Any
) -> None:
    """Authorise tap-amocrm in the browser and store the tokens.

    The tap's settings are also read from the environment (TAP_AMOCRM_CLIENT_ID ...) and from --config. The secret key
    is not an option, because other users could see it: set TAP_AMOCRM_CLIENT_SECRET, or enter it when asked.
    """
    try:
        settings = _settings(config, given)
        login = Login(settings, auth_url or AUTHORISATION_PAGES[settings["domain"]], secrets.token_urlsafe(24))
        target = urlsplit(settings["redirect_uri"])
        if not pasted and (target.scheme != "http" or target.hostname not in _LOOPBACK):
            click.echo(
                f"{settings['redirect_uri']} is not on this machine, so the response must be pasted (--paste).\n"
            )
            pasted = True
        redirect = paste(login, browser=not no_browser) if pasted else receive(login, minutes, browser=not no_browser)
        url = login.account_url(redirect)
        oauth = from_config({**settings, "access_token": ""}, url, _post)
        assert isinstance(oauth, OAuth)
        oauth.authorise(redirect.code)
        click.echo(f"\nThe tokens are in {settings['token_file']}. {_describe(oauth, url)}")
        _tell(settings, url)
    except TapError as error:
        raise click.ClickException(error.message) from None


if __name__ == "__main__":
    main()
