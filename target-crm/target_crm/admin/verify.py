"""verify."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING

import click

from target_crm.admin.common import console, name_database, plain_errors, print_json
from target_crm.extras import require_extra
from target_crm.presentation.terminal import Table, cell
from target_crm.presentation.texts import LANGUAGES, Texts

if TYPE_CHECKING:
    from target_crm.load.load import Load
    from target_crm.verify.result import Verification


@click.command()
@click.argument("messages", type=click.File("r", encoding="utf-8"), default="-")
@click.option(
    "--html", "file", type=click.Path(dir_okay=False, path_type=Path), help="Write the result as an HTML page."
)
@click.option("--json", "as_json", is_flag=True, help="Print the whole result as JSON.")
@click.option(
    "--limit", type=click.IntRange(0), default=100, show_default=True, help="Records to list of each kind; 0 lists all."
)
@click.option(
    "--samples", type=click.IntRange(0, 100), default=3, show_default=True, help="Records to show side by side."
)
@click.option("--lang", "language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.pass_context
@plain_errors
def verify(
    context: click.Context,
    messages: IO[str],
    file: Path | None,
    as_json: bool,
    limit: int,
    samples: int,
    language: str,
) -> None:
    """Whether everything that amoCRM holds is in the CRM: compares record by record and writes nothing.

    MESSAGES are those of tap-amocrm --verify, from standard input or a file. Exit code 0: everything is here; 1: the
    list of what is not, and the commands that mend it.
    """
    from target_crm.verify.compare import verify as compare

    settings = context.obj()
    if file is not None:
        require_extra("report")

    def write(result: Verification, load: Load) -> None:
        if file is not None:
            from target_crm.verify.page import write_page

            write_page(result, load, file, language)

    result = compare(settings, messages, limit, samples, write)
    name_database(settings)
    if as_json:
        print_json(result.as_dict())
    else:
        _show(result, language)
    if file is not None:
        from target_crm.presentation.texts.verify import TEXTS

        click.echo(Texts(language, TEXTS)("written", file=str(file)), err=True)
    sys.exit(0 if result.is_complete else 1)


def _show(result: Verification, language: str) -> None:
    from target_crm.presentation.texts.verify import TEXTS
    from target_crm.verify.result import COMMANDS, FAULTS, SETTLED

    t = Texts(language, TEXTS)
    console.print(cell(t("complete" if result.is_complete else "incomplete")), style="bold")
    if not result.is_whole:
        console.print(cell(f"{t('not_whole')} {COMMANDS['not_read']}"), soft_wrap=True)
    if result.is_scoped:
        console.print(cell(t("scoped")), soft_wrap=True)
    kinds = [k for k in (*FAULTS, *SETTLED) if any(s.number(k) for s in result.streams)]
    table = Table(t("stream"), *(t(name) for name in ("in_amocrm", "in_crm")), *(t.of("kind", k) for k in kinds))
    for s in result.streams:
        table.add_row(s.stream, t.n(s.in_amocrm), t.n(s.in_crm), *(t.n(s.number(k)) for k in kinds))
    console.print(table)
    told: set[str] = set()
    for kind, _, _ in result.faults():
        if kind not in told:
            told.add(kind)
            console.print(cell(f"{t.of('kind', kind)}: {t('why_' + kind)} {COMMANDS[kind]}"), soft_wrap=True)
    if result.others.number:
        console.print(cell(f"{t('others')}: {t.n(result.others.number)}. {COMMANDS['rejects']}"), soft_wrap=True)
