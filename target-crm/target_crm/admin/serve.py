"""serve: the review page."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import click

from target_crm.admin.common import name_database, plain_errors
from target_crm.admin.plans import plan_file_of
from target_crm.extras import require_extra


@click.command()
@click.option("--port", type=click.IntRange(0, 65535), default=8420, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--allow-remote", is_flag=True, help="Listen on an address that other machines can reach; requires a password."
)
@click.option("--password-file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="Its first line.")
@click.option("--allowed-host", "allowed", multiple=True, help="Host name that browsers may use; may be repeated.")
@click.option(
    "--public-url",
    "public",
    multiple=True,
    help="Address in the browser, through a proxy with TLS or a tunnel: https://crm.example.com; may be repeated. "
    "Default: the setting public_url.",
)
@click.option("--certificate", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM; serves HTTPS.")
@click.option(
    "--key", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="PEM of the certificate's key."
)
@click.option(
    "--plan",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="A plan (plan_file) or Singer messages to show before they are loaded.  [default: the last dry run's]",
)
@click.pass_context
@plain_errors
def serve(
    context: click.Context,
    port: int,
    host: str,
    allow_remote: bool,
    password_file: Path | None,
    allowed: tuple[str, ...],
    public: tuple[str, ...],
    plan: Path | None,
    **tls: Path | None,
) -> None:
    """The review page in the browser: runs, conflicts, records, rejects; in English and Russian.

    The address that is printed holds a token that lets in. People who were added with `users add` enter by their own
    names and passwords. With --allow-remote these do, and the password in CRM_REVIEW_PASSWORD or --password-file; the
    token does not.
    """
    # A web server is not needed by the other commands, and takes its time to import.
    require_extra("review")
    from target_crm.web.server import Serving, serve

    password = os.environ.get("CRM_REVIEW_PASSWORD") or None
    if password_file is not None:
        password = (password_file.read_text("utf-8").splitlines() or [""])[0]
    settings = context.obj()
    if not public and settings.public_url:
        public = (settings.public_url,)
    wanted = Serving(host, port, allow_remote, allowed, public, password if allow_remote else None, **tls)
    named: list[bool] = []

    def tell(text: str) -> None:
        if not named:
            name_database(settings)
            named.append(True)
        click.echo(text)

    if plan is None:
        serve(settings, wanted, tell)
        return
    tell("Working out the plan ...")
    with plan_file_of(settings, plan) as file:
        serve(replace(settings, plan_file=file), wanted, tell)
