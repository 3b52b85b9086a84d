"""The command `tap-amocrm-files`."""

from __future__ import annotations

import json
import signal
import sys
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any
from urllib.parse import urlsplit

import click

from tap_amocrm import __version__
from tap_amocrm.api.drive import drive_of
from tap_amocrm.cli.common import CONFIG, fail, open_tap
from tap_amocrm.config.account_address import LOOPBACK
from tap_amocrm.config.settings import MAX_REQUESTS_PER_SECOND
from tap_amocrm.downloads.fetch import Fetcher
from tap_amocrm.downloads.finding import Finder, Wanted
from tap_amocrm.downloads.items import Item, Status
from tap_amocrm.downloads.job import Job
from tap_amocrm.downloads.places import Place
from tap_amocrm.downloads.wire import Bandwidth, Wire
from tap_amocrm.errors import PlaceError, TapError
from tap_amocrm.run_context import Run

_UNITS = {"": 1, "k": 1024, "m": 1024**2, "g": 1024**3}
_HURRY = 20.0


class _Speed(click.ParamType[int]):
    """Bytes a second, as `500k` or `2M`."""

    name = "SPEED"

    def convert(self, value: object, param: click.Parameter | None, context: click.Context | None) -> int:
        """The number of bytes."""
        given = str(value).strip().lower().removesuffix("b")
        unit = given[-1:] if given[-1:] in ("k", "m", "g") else ""
        number = given.removesuffix(unit)
        if not number.isdigit():
            self.fail(f"{value!r} is not a speed such as 500k or 2M (bytes a second).", param, context)
        return int(number) * _UNITS[unit]


@click.command()
@click.version_option(__version__)
@CONFIG
@click.option("--to", "place", required=True, help="A folder, or a location that fsspec supports: s3://bucket/folder.")
@click.option("--recordings", is_flag=True, help="Also download recordings that call notes link to, from any host.")
@click.option("--cards", is_flag=True, help="Also list the files of each card: one request per card.")
@click.option("--deleted", is_flag=True, help="Also download files in the bin.")
@click.option("--parallel", type=click.IntRange(1, 32), default=4, show_default=True, help="Files at once.")
@click.option(
    "--limit-rate", type=_Speed(), default=0, help="Limit for all downloads together, in bytes a second: 500k, 2M."
)
@click.option("--least-speed", type=_Speed(), default="1k", show_default=True, help="Retry a download that is slower.")
@click.option("--allow-private-addresses", is_flag=True, help="Allow recordings on hosts in private networks.")
@click.option("--json", "as_json", is_flag=True, help="Print the counts as JSON.")
def files(config: Path | None, place: str, as_json: bool, **given: Any) -> None:
    """Download the account's files, with a manifest of what each belongs to.

    Run it again to continue: existing files are not requested again. Exit code 0: every file that the account still
    has is there; 1: some could not be had, manifest.csv says which and why.
    """
    stop = threading.Event()
    try:
        target, run = Place(place), open_tap(config).run
    except TapError as error:
        fail(error)
        return
    code = _stop_on_signals(stop)
    try:
        drive = drive_of(run.client)
        wire = Wire(run.client, (run.settings.api_url, drive), allow_private=given["allow_private_addresses"])
        fetcher = Fetcher(wire, Bandwidth(given["limit_rate"]), stop, given["least_speed"], _hurry(run))
        wanted = Wanted(given["recordings"], given["cards"], given["deleted"])
        found = Finder(run.client, drive, wanted).find()
        counts = Job(target, fetcher, run.account.id, given["parallel"], _progress(len(found))).run(found)
    except TapError as error:
        fail(error)
        return
    except OSError as error:
        fail(PlaceError(f"{target.shown} can't be used: {error.strerror or error}.", place=target.shown))
        return
    finally:
        run.client.close()
    _show(found, counts, as_json=as_json)
    if code:
        sys.exit(code[0])
    sys.exit(1 if counts[Status.FAILED.value] or counts[Status.WAITING.value] else 0)


def _hurry(run: Run) -> float:
    """Pauses are shorter where only a simulator can be meant."""
    fast = run.settings.requests_per_second > MAX_REQUESTS_PER_SECOND
    return _HURRY if fast and urlsplit(run.settings.api_url).hostname in LOOPBACK else 1.0


def _stop_on_signals(stop: threading.Event) -> list[int]:
    """End between two pieces of a file; the list then holds the exit code."""
    code: list[int] = []

    def end(number: int, frame: FrameType | None) -> None:
        del frame
        code.append(128 + number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    return code


def _progress(total: int) -> Callable[[Item], None]:
    settled: Counter[str] = Counter()
    lock = threading.Lock()

    def tell(item: Item) -> None:
        with lock:
            settled[item.status.value] += 1
            if item.status is Status.FAILED:
                click.echo(f"{item.path}: {item.reason}", err=True)
            elif sum(settled.values()) % 100 == 0:
                click.echo(f"{sum(settled.values()):,} of {total:,} files", err=True)

    return tell


def _show(items: list[Item], counts: Counter[str], *, as_json: bool) -> None:
    size = sum(item.size or 0 for item in items if item.status in (Status.DONE, Status.KEPT))
    if as_json:
        click.echo(json.dumps({**{s.value: counts[s.value] for s in Status}, "bytes": size}))
        return
    click.echo(
        f"Downloaded: {counts['done']:,}. There already: {counts['kept']:,}. Gone: {counts['gone']:,}. "
        f"Failed: {counts['failed']:,}. Not reached: {counts['waiting']:,}. {size:,} bytes in all; manifest.csv and "
        "manifest.json say what each file belongs to."
    )
