"""users: who may work on the review page under another name."""

from __future__ import annotations

import sys

import click

from target_crm.admin.common import console, plain_errors, print_json, session_of
from target_crm.errors import ConfigError
from target_crm.operations import users as people
from target_crm.presentation.terminal import Table


@click.group()
def users() -> None:
    """People of the review page: each enters by a name and a password, and decisions keep the name.

    A password is asked for, or read from the first line of standard input; sync_users keeps a scrypt hash of it.
    """


def _ask_password() -> str:
    """A password from the keyboard, twice and unseen, or from the first line of standard input."""
    if sys.stdin.isatty():
        found: str = click.prompt("Password", hide_input=True, confirmation_prompt=True)
        return found
    line = sys.stdin.readline()
    if not line:
        raise ConfigError.of("E_USER_NO_PASSWORD")
    return line.rstrip("\r\n")


@users.command("list")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
@plain_errors
def list_command(context: click.Context, as_json: bool) -> None:
    """Who they are, and since when."""
    with session_of(context) as session:
        found = people.list_users(session)
    if as_json:
        print_json([{"name": u.name, "created_at": u.created_at, "changed_at": u.changed_at} for u in found])
        return
    if not found:
        click.echo("No users yet: target-crm-admin users add NAME.")
        return
    table = Table("name", "since", "password of")
    for user in found:
        table.add_row(user.name, f"{user.created_at:%Y-%m-%d %H:%M}", f"{user.changed_at:%Y-%m-%d %H:%M}")
    console.print(table)


@users.command()
@click.argument("name")
@click.pass_context
@plain_errors
def add(context: click.Context, name: str) -> None:
    """Let NAME in; the password is asked for."""
    with session_of(context) as session:
        kept = people.add_user(session, name, _ask_password())
    click.echo(f"{kept} may enter the review page.")


@users.command()
@click.argument("name")
@click.pass_context
@plain_errors
def passwd(context: click.Context, name: str) -> None:
    """Give NAME another password; sessions under the name end."""
    with session_of(context) as session:
        people.change_password(session, name, _ask_password())
    click.echo(f"{people.clean_name(name)} has a new password.")


@users.command()
@click.argument("name")
@click.pass_context
@plain_errors
def remove(context: click.Context, name: str) -> None:
    """Let NAME in no more; sessions under the name end. What they decided keeps the name."""
    with session_of(context) as session:
        people.remove_user(session, name)
    click.echo(f"{people.clean_name(name)} can no longer enter the review page.")
