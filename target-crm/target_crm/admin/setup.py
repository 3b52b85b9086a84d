"""setup: the first start, with questions or with options."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import click

from target_crm.admin.common import console, plain_errors, say_error
from target_crm.admin.doctor import print_check
from target_crm.config.database_url import check_database_url
from target_crm.config.environment import project_root
from target_crm.config.settings import Settings
from target_crm.errors import ConfigError, TargetError
from target_crm.operations.doctor import ERROR, Check, examine, worst
from target_crm.presentation.terminal import Table
from target_crm.presentation.values import ordered
from target_crm.setup.programs import check_account, find_program, trial_checks, try_part
from target_crm.setup.schedule import KINDS, schedule
from target_crm.setup.variables import PREFIXES, combined, of_address, read_variables, write_variables

_TOKEN, _DATABASE = "TAP_AMOCRM_ACCESS_TOKEN", "TARGET_CRM_DATABASE_URL"
_MAPPING, _SCHEMA, _DATA = "TARGET_CRM_MAPPING_FILE", "TARGET_CRM_CRM_SCHEMA", "TARGET_CRM_DATA_DIR"
_OAUTH = "TAP_AMOCRM_CLIENT_ID"
_GUESSED, _STATEMENTS = "mapping.yaml", "mapping.sql"


@click.command()
@click.option("--address", help="The account: mycompany, mycompany.amocrm.ru, or an address that the browser shows.")
@click.option(
    "--token-file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="File whose first line is the token. Default: TAP_AMOCRM_ACCESS_TOKEN, or a question.",
)
@click.option(
    "--mapping",
    "mapping",
    type=click.Choice(("built-in", "guess")),
    help="The built-in tables, or a first mapping guessed from the existing tables (map --init). For a file use "
    "--mapping-file.",
)
@click.option(
    "--companies", default=20, show_default=True, type=click.IntRange(0), help="Companies in the dry run; 0 skips it."
)
@click.option(
    "--env-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Default: .env of the Meltano project, or of the current folder.",
)
@click.option("--schedule", "kind", type=click.Choice(KINDS), default="cron", show_default=True)
@click.option("--no-input", is_flag=True, help="Ask no questions; a missing value is an error.")
@click.pass_context
@plain_errors
def setup(
    context: click.Context,
    address: str | None,
    token_file: Path | None,
    mapping: str | None,
    companies: int,
    env_file: Path | None,
    kind: str,
    no_input: bool,
) -> None:
    """The first start: account, token, database, mapping, a dry run, .env, and the lines of a schedule.

    Each step is tested before the next one. Secrets are never shown. Only .env (mode 0600) is written, when all is
    well, and with --mapping guess the mapping and the statements that it needs.
    """
    project = project_root()
    file = (env_file or (project or Path.cwd()) / ".env").absolute()
    given = {name: value for name, value in os.environ.items() if name.startswith(PREFIXES) and value}
    steps = _Steps(combined(read_variables(file), given), context.obj(), is_asking=not no_input)
    steps.choose_account(address, token_file)
    steps.choose_database(context)
    steps.choose_mapping(mapping, file.parent)
    if companies:
        steps.try_it(companies)
    write_variables(file, steps.chosen)
    click.echo(f"\nWritten to {file} (mode 0600): {', '.join(sorted(steps.chosen))}.")
    lines = schedule(kind, file, project)
    if lines:
        click.echo(f"\n{lines}")
    if lines and project is None and find_program("amocrm-sync") is None:
        click.echo("\namocrm-sync is deploy/amocrm-sync of the source repository; copy it beside tap-amocrm.")


class _Steps:
    """The variables as they are chosen; `known` are those that were there before."""

    def __init__(self, known: dict[str, str], settings: Settings, *, is_asking: bool) -> None:
        self.known, self.settings, self.is_asking = known, settings, is_asking
        self.chosen: dict[str, str] = {}

    @property
    def variables(self) -> dict[str, str]:
        """All of them."""
        return combined(self.known, self.chosen)

    def choose_account(self, address: str | None, token_file: Path | None) -> None:
        """Address and token, tested by the tap."""
        token = _first_line(token_file) if token_file is not None else self.known.get(_TOKEN)
        while True:
            has_place = {"TAP_AMOCRM_SUBDOMAIN", "TAP_AMOCRM_API_URL"} & self.known.keys()
            if address is None and not has_place:
                address = self._ask("Address of the amoCRM account (mycompany.amocrm.ru)", "--address")
            if token is None and _OAUTH not in self.known:
                token = self._ask("Long-lived token of the integration (not shown)", "--token-file", is_secret=True)
            try:
                place = of_address(address) if address is not None else {}
                secret = {_TOKEN: token} if token is not None else {}
                checks, document = check_account(combined(self.known, {**place, **secret}))
            except ConfigError as error:
                checks, document, place, secret = [Check("amoCRM", ERROR, str(error))], {}, {}, {}
            if document:
                minutes = document["seconds"] / 60
                checks.append(
                    Check("first sync", "ok", f"about {document['requests']:,} requests, {minutes:,.1f} minutes")
                )
            if self._are_good("amoCRM", checks):
                self.chosen |= {**place, **secret}
                return
            address = token = None
            self.known = {
                n: v for n, v in self.known.items() if n != _TOKEN and not n.endswith(("SUBDOMAIN", "API_URL"))
            }

    def choose_database(self, context: click.Context) -> None:
        """The database, examined as `doctor` does; the mapping is looked at in its own step."""
        url = self.settings.database_url
        is_named = url is not None or _is_given(context, "data_dir")
        while True:
            if not is_named and self.is_asking:
                text = "Database, postgresql://user:password@host/name (not shown; empty: the embedded PostgreSQL)"
                url = click.prompt(text, default="", show_default=False, hide_input=True) or None
            try:
                if url is not None:
                    check_database_url(url)
                self.settings = replace(self.settings, database_url=url)
                checks = [c for c in examine(replace(self.settings, mapping_file=None)) if c.what != "mapping"]
            except TargetError as error:
                checks = [Check("database", ERROR, str(error))]
            if self._are_good("The CRM's side", checks):
                break
            url, is_named = None, False
        if url is not None:
            self.chosen[_DATABASE] = url
        elif _is_given(context, "data_dir"):
            self.chosen[_DATA] = str(self.settings.data_dir)
        if self.settings.crm_schema != "crm":
            self.chosen[_SCHEMA] = self.settings.crm_schema

    def choose_mapping(self, mapping: str | None, folder: Path) -> None:
        """The built-in mapping, a file, or a guess; compared with the database."""
        if mapping is None and self.settings.mapping_file is None and self.is_asking:
            mapping = click.prompt("Tables: ours (built-in), or your own (guess)", default="built-in",
                                   type=click.Choice(("built-in", "guess")))  # fmt: skip
        if mapping == "guess":
            self.settings = replace(self.settings, mapping_file=self._guess(folder))
        elif mapping == "built-in":
            self.settings = replace(self.settings, mapping_file=None)
        if self.settings.mapping_file is not None:
            self.chosen[_MAPPING] = str(self.settings.mapping_file.absolute())
        checks = [c for c in examine(self.settings) if c.what in ("mapping", "rights")]
        if worst(checks) == ERROR:
            self._show("The mapping", checks)
            self._end("Correct it, then run setup again with --mapping-file.")
        if checks:
            self._show("The mapping", checks)

    def _guess(self, folder: Path) -> Path:
        """A first mapping. If the tables lack columns, also the statements that add them; setup then ends."""
        from target_crm.admin.mapping import write_first

        file, statements = (folder / _GUESSED).absolute(), (folder / _STATEMENTS).absolute()
        for one in (file, statements):
            if one.exists():
                raise click.UsageError(f"{one} already exists; use a mapping with --mapping-file, or move it away.")
        write_first(self.settings, (), file, statements)
        if statements.stat().st_size:
            self._end(
                f"Check the guesses in {file}. Run the statements of {statements}, or put them into a migration of "
                f"your application. Then run setup again with --mapping-file {file}."
            )
        statements.unlink()
        return file

    def try_it(self, companies: int) -> None:
        """A dry run over a few companies."""
        click.echo(f"\nA dry run over the first {companies} companies ...")
        trial = try_part(self.variables, companies)
        for check in trial_checks(trial):
            print_check(check)
        if trial.problems:
            self._end("Nothing was written.")
        names = ("read", "inserted", "updated", "kept", "conflicts", "rejected", "warnings")
        table = Table("table", *names)
        for name, counts in trial.counts.items():
            known = dict(ordered(counts))
            table.add_row(name, *(f"{known.get(n, 0):,}" for n in names))
        console.print(table)

    def _ask(self, text: str, option: str, *, is_secret: bool = False) -> str:
        if not self.is_asking:
            raise click.UsageError(f"{option} is missing.")
        return str(click.prompt(text, hide_input=is_secret)).strip()

    def _are_good(self, title: str, checks: list[Check]) -> bool:
        """Whether none is an error; with an error and nobody to ask, the end."""
        self._show(title, checks)
        if worst(checks) != ERROR:
            return True
        if not self.is_asking:
            self._end("Nothing was written.")
        click.echo("Try again, or end with Ctrl-C; nothing has been written.")
        return False

    @staticmethod
    def _show(title: str, checks: list[Check]) -> None:
        click.echo(f"\n{title}")
        for check in checks:
            print_check(check)

    @staticmethod
    def _end(text: str) -> NoReturn:
        say_error(text)
        sys.exit(1)


def _is_given(context: click.Context, name: str) -> bool:
    """Whether a global option was given."""
    return context.obj.values.get(name) is not None


def _first_line(file: Path) -> str | None:
    lines = file.read_text("utf-8").splitlines()
    return lines[0].strip() if lines and lines[0].strip() else None
