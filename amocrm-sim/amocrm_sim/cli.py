"""The command `amocrm-sim`."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import click
import uvicorn
from starlette.types import ASGIApp

from amocrm_sim import __version__
from amocrm_sim.app import Accounts, Simulator
from amocrm_sim.arrivals import listen
from amocrm_sim.drive_host import DriveHost
from amocrm_sim.options import Options
from amocrm_sim.query import AccountOptions
from amocrm_sim.records import ACCOUNT_ID
from amocrm_sim.store import Store


@click.group()
@click.version_option(__version__)
def main() -> None:
    """A local amoCRM (Kommo) API v4."""


def build(given: dict[str, Any], number: int = 0) -> Simulator:
    """The simulator of the account of that number (from 0), from the command's options."""
    companies = given["companies"]
    ratios = {"contacts": 3, "leads": 1, "notes": 6, "tasks": 2, "customers": 0}
    sizes = {"companies": companies}
    for name, ratio in ratios.items():
        sizes[name] = given[name] if given[name] is not None else companies * ratio
    account = AccountOptions(
        filter_package=not given["no_filter_package"],
        company_filter=given["company_filter"],
        id_filter_without_package=given["id_filter_without_package"],
        hidden_user=given["hidden_user"],
    )
    same: tuple[str, ...] = ("latency", "faults", "rps", "token", "client_id", "client_secret", "code")
    same += (
        "files",
        "access_token_lifetime",
        "notes_endpoint",
        "missing",
        "refuse_status",
        "foreign_next",
        "event_delay",
    )
    options = Options(
        account=account,
        admin=not given["not_admin"],
        refuse=tuple(given["refuse"]),
        **{name: given[name] for name in same},
    )
    journal = given["journal"]
    if given["accounts"] > 1:
        options.token = f"{options.token}-{number + 1}"
        journal = journal and journal.with_name(f"{journal.name}.{number + 1}")
    seed, account_id = given["seed"] + number, given["account_id"] + number
    return Simulator(Store(seed, sizes, given["clock_offset"], journal, given["plain"], account_id), options)


def build_all(given: dict[str, Any], host: str, port: int) -> tuple[Accounts, list[socket.socket]]:
    """The accounts that the command's options ask for, and the listening sockets of each and of its drive.

    Raises:
        ValueError: an option says nothing that can be simulated.
        OSError: a port is taken.
    """
    sockets = [listen(host, port and port + number) for number in range(given["accounts"])]
    ports = [each.getsockname()[1] for each in sockets]
    accounts = {p: build(given, number) for number, p in enumerate(ports)}
    drive_port, drives = given["drive_port"], dict[int, ASGIApp]()
    for number, simulator in enumerate(accounts.values()):
        sockets.append(listen(host, drive_port and drive_port + number))
        port = sockets[-1].getsockname()[1]
        simulator.options.drive_url = f"http://{host}:{port}"
        drives[port] = DriveHost(simulator)
    return Accounts(accounts, drives), sockets


def server_of(accounts: Accounts, log_level: str) -> uvicorn.Server:
    """The HTTP server of the accounts."""
    config = uvicorn.Config(
        accounts,
        loop="asyncio",  # whose connections are our sockets, see arrivals.py
        log_level=log_level,
        access_log=False,
        lifespan="off",
        date_header=False,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


@main.command()
@click.option("--host", default="127.0.0.1", show_default=True)
@click.option("--port", default=8787, show_default=True, help="0 takes a free one.")
@click.option(
    "--ready-file",
    type=click.Path(path_type=Path),
    help="The URLs are written here, a line each, once the server listens.",
)
@click.option(
    "--accounts",
    default=1,
    show_default=True,
    type=click.IntRange(1),
    help="Each on its own port, in sequence.",
)
@click.option("--account-id", default=ACCOUNT_ID, show_default=True, help="ID of the first account.")
@click.option("--companies", default=500, show_default=True)
@click.option("--contacts", type=int, help="Left out: three for each company.")
@click.option("--leads", type=int, help="Left out: one for each company.")
@click.option("--notes", type=int, help="Left out: six for each company.")
@click.option("--tasks", type=int, help="Left out: two for each company.")
@click.option("--customers", type=int, help="Left out: none.")
@click.option("--files", default=0, show_default=True, help="Files on the drive.")
@click.option("--drive-port", default=0, show_default=True, help="Where the drive listens; 0 takes a free port.")
@click.option("--seed", default=1, show_default=True)
@click.option(
    "--plain/--unkind", default=False, help="Records of tidy shapes, or of all those that the service is known to send."
)
@click.option("--latency", default="0", show_default=True, help="Milliseconds: 300, 200-400 or normal:300,80.")
@click.option("--faults", default="", help="Rates: 500=0.01,reset=0.02 or all=0.05.")
@click.option("--rps", default=7.0, show_default=True, help="Requests in any second; 0 lifts the limit.")
@click.option(
    "--token",
    default="sim-token",
    show_default=True,
    help="The long-lived token; any takes every token. Of several accounts: TOKEN-1, TOKEN-2, ...",
)
@click.option("--client-id", default="sim-client", show_default=True)
@click.option("--client-secret", default="sim-secret", show_default=True)
@click.option("--code", default="sim-code", show_default=True, help="The authorisation code, good once.")
@click.option("--access-token-lifetime", default=86400.0, show_default=True, help="Seconds.")
@click.option("--company-filter", type=click.Choice(["ignore", "honour", "400"]), default="ignore", show_default=True)
@click.option("--no-filter-package", is_flag=True, help="Filters of companies, contacts and leads are ignored.")
@click.option(
    "--id-filter-without-package", type=click.Choice(["honour", "ignore"]), default="honour", show_default=True
)
@click.option("--notes-endpoint", type=click.Choice(["404", "list"]), default="404", show_default=True)
@click.option(
    "--missing", type=click.Choice(["204", "404"]), default="204", show_default=True, help="GET by the id of nothing."
)
@click.option("--refuse", multiple=True, help="An endpoint that the plan lacks, such as customers.")
@click.option("--refuse-status", type=int, default=403, show_default=True)
@click.option("--not-admin", is_flag=True, help="The token's user may not list users.")
@click.option("--hidden-user", type=int, help="This user's records are in no list: the token's user may not see them.")
@click.option("--foreign-next", is_flag=True, help="_links.next names http and another host.")
@click.option("--event-delay", default=0, show_default=True, help="Seconds until an event shows.")
@click.option(
    "--clock-offset", default=0.0, show_default=True, help="Seconds of the server's clock from this machine's."
)
@click.option(
    "--journal", type=click.Path(path_type=Path), help="Changes are kept here and made again at the next start."
)
def serve(host: str, port: int, ready_file: Path | None, **given: Any) -> None:
    """Serve one or more accounts until SIGTERM or Ctrl-C."""
    try:
        accounts, sockets = build_all(given, host, port)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    urls = [f"http://{host}:{port}" for port in accounts.by_port]
    for url, simulator in zip(urls, accounts.by_port.values(), strict=True):
        click.echo(f"amoCRM simulator at {url}, token {simulator.options.token}")
    sys.stdout.flush()
    if ready_file:
        part = ready_file.with_name(ready_file.name + ".part")
        part.write_text("\n".join(urls))
        part.replace(ready_file)
    # An answer under way in its thread lets arrivals in between after this time.
    sys.setswitchinterval(0.0005)
    server_of(accounts, "error").run(sockets=sockets)
