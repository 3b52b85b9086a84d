"""The command `tap-amocrm-hooks`."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click

from tap_amocrm import __version__
from tap_amocrm.cli.common import CONFIG, fail, open_tap
from tap_amocrm.errors import ConfigError, TapError
from tap_amocrm.hooks.queue import open_queue
from tap_amocrm.hooks.subscription import Place, Subscription
from tap_amocrm.tap import TapAmoCRM


@click.group()
@click.version_option(__version__)
def hooks() -> None:
    """Let amoCRM say what changes, so that a tap that follows reads it within seconds.

    Settings: hooks_queue, hooks_secret, hooks_url.
    """


@contextmanager
def _opened(config: Path | None) -> Iterator[TapAmoCRM]:
    """The tap with its settings; errors end the command as one line."""
    tap = None
    try:
        tap = open_tap(config)
        yield tap
    except TapError as error:
        fail(error)
    finally:
        if tap is not None and "session" in vars(tap):
            tap.session.client.close()


@hooks.command()
@CONFIG
@click.option("--host", default="127.0.0.1", show_default=True, help="Where to listen; behind a proxy with TLS.")
@click.option("--port", default=8430, show_default=True)
@click.option(
    "--subscribe/--no-subscribe", default=True, help="Subscribe if hooks_url is set, and keep the subscription active."
)
def serve(config: Path | None, host: str, port: int, subscribe: bool) -> None:
    """Receive webhooks until SIGTERM or Ctrl-C, and note in hooks_queue what they name."""
    with _opened(config) as tap:
        from tap_amocrm.hooks.receiver import Receiver, listen
        from tap_amocrm.hooks.receiver import serve as serve_receiver

        place, settings = Place.of(tap.config), tap.session.settings
        given = tap.config.get("hooks_queue")
        if not given:
            raise ConfigError(
                "Setting hooks_queue is missing: name the file or database from which the tap reads hints.",
                setting="hooks_queue",
                problem="missing",
            )
        queue = open_queue(str(given), settings.api_url)
        logging.getLogger("tap-amocrm").setLevel(logging.INFO)
        stopped = threading.Event()
        listening = listen(host, port)
        try:
            if subscribe and place.url is not None:
                subscription = Subscription(tap.session.client, place)
                threading.Thread(target=subscription.look_after, args=(stopped,), daemon=True).start()
            serve_receiver(Receiver(queue, place.secret), listening, click.echo)
        finally:
            stopped.set()
            listening.close()
            queue.close()


@hooks.command()
@CONFIG
def subscribe(config: Path | None) -> None:
    """Subscribe to the account's webhooks, and exit."""
    with _opened(config) as tap:
        made = Subscription(tap.session.client, Place.of(tap.config)).ensure()
        click.echo("Subscribed." if made else "Subscribed already.")


@hooks.command()
@CONFIG
def unsubscribe(config: Path | None) -> None:
    """Take the subscription back, and exit."""
    with _opened(config) as tap:
        removed = Subscription(tap.session.client, Place.of(tap.config)).remove()
        click.echo("Unsubscribed." if removed else "The account has no such subscription.")
