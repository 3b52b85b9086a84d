"""psql and report."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import click
import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from target_crm.admin.common import console, name_database, plain_errors, session_of, short
from target_crm.config.database_url import without_secrets
from target_crm.database.lenient import read_everything
from target_crm.extras import require_extra
from target_crm.operations.session import open_database
from target_crm.presentation.terminal import Table, visible
from target_crm.presentation.texts import LANGUAGES


@click.command()
@click.option("-c", "--command", "statement", help="Run this SQL and exit.")
@click.pass_context
@plain_errors
def psql(context: click.Context, statement: str | None) -> None:
    """A shell on the database, the embedded one too: psql where it is installed, else a plain prompt."""
    settings = context.obj()
    with open_database(settings) as database:
        program = shutil.which("psql")
        if program and statement is None:
            name_database(settings)
            sys.exit(_shell(program, database.url, settings.crm_schema))
        connection = database.connect(autocommit=True, name="target-crm-admin psql")
        read_everything(connection)
        connection.execute(sql.SQL("SET search_path = {}, public").format(sql.Identifier(settings.crm_schema)))
        with connection:
            if statement is not None:
                _run(connection, statement)
                name_database(settings)
                return
            name_database(settings)
            click.echo("A plain SQL prompt; an empty line ends it.")
            while line := click.prompt("crm", default="", show_default=False).strip():
                try:
                    _run(connection, line)
                except psycopg.Error as error:
                    click.echo(visible(without_secrets(str(error))), err=True)


def _shell(program: str, url: str, schema: str) -> int:
    """Run psql; the password goes by the environment, where other users do not see it."""
    parameters = conninfo_to_dict(url)
    environment = dict(os.environ)
    if password := parameters.pop("password", None):
        environment["PGPASSWORD"] = str(password)
    path = re.sub(r"([\\\s])", r"\\\1", f'"{schema}",public')
    environment["PGOPTIONS"] = f"{environment.get('PGOPTIONS', '')} -c search_path={path}".strip()
    conninfo = make_conninfo("", **{k: v for k, v in parameters.items() if v is not None})
    return subprocess.call([program, conninfo], env=environment)  # noqa: S603


def _run(connection: psycopg.Connection[tuple[object, ...]], statement: str) -> None:
    cursor = connection.execute(statement.encode())
    if cursor.description is None:
        click.echo(cursor.statusmessage or "")
        return
    table = Table(*(column.name for column in cursor.description))
    for row in cursor.fetchmany(1000):
        table.add_row(*(short(value, 60) for value in row))
    console.print(table)


@click.command()
@click.argument("run", type=int, required=False)
@click.option("--last", is_flag=True, help="The last run.")
@click.option("--html", "file", type=click.Path(dir_okay=False, path_type=Path), required=True)
@click.option(
    "--metrics-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The tap's metrics of that run.",
)
@click.option("--lang", "language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.pass_context
@plain_errors
def report(
    context: click.Context, run: int | None, last: bool, file: Path, metrics_file: Path | None, language: str
) -> None:
    """One self-contained page about a run."""
    if run is None and not last:
        msg = "Name a run, or --last."
        raise click.UsageError(msg)
    # The page's libraries are a separate extra; the other commands do without them.
    require_extra("report")
    from target_crm.report.page import write_report

    with session_of(context) as session:
        number = write_report(session, run, file, metrics_file, language)
    click.echo(f"Report of run {number} written to {file}.")
