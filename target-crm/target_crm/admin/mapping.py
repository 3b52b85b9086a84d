"""map: check a mapping, or write a first one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import click

from target_crm.admin.common import console, name_database, plain_errors
from target_crm.config.settings import Settings
from target_crm.errors import MappingError
from target_crm.mapping.check import LiveTable, check_mapping, naive_columns
from target_crm.mapping.found_tables import read_tables
from target_crm.mapping.json_schema import mapping_schema
from target_crm.mapping.left_out import RecordCounts, counted_paths, left_out
from target_crm.mapping.load import load_mapping, read_mapping
from target_crm.mapping.model import Column
from target_crm.mapping.proposal import migration, planned, write_mapping
from target_crm.mapping.propose import propose
from target_crm.mapping.propose_joins import propose_joins
from target_crm.mapping.propose_match import propose_match
from target_crm.mapping.sources import unknown_properties
from target_crm.operations.record_counts import count_records
from target_crm.operations.session import open_database
from target_crm.presentation.terminal import Table, make_console

# What --schema without a name stands for.
_PRINT = ""


@click.command("map")
@click.option("--init", is_flag=True, help="Write a first mapping for the tables of the database.")
@click.option("--schema", "schemas", multiple=True, is_flag=False, flag_value=_PRINT,
              help="Alone: print the JSON Schema of mapping files, for editors. With --init: consider only this "
                   "schema of the database; may be repeated.")  # fmt: skip
@click.option(
    "-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="With --init: the mapping's file."
)
@click.option("--sql", "sql_file", type=click.Path(dir_okay=False, path_type=Path),
              help="With --init: file for the SQL that adds missing columns and constraints.")  # fmt: skip
@click.option("--records", type=click.File("rb"),
              help="With --init: a file of Singer messages, or - for standard input; counts the records that are not "
                   "mapped completely.")  # fmt: skip
@click.option("--force", is_flag=True, help="With --init: replace existing files.")
@click.pass_context
@plain_errors
def map_tables(
    context: click.Context,
    init: bool,
    schemas: tuple[str, ...],
    output: Path | None,
    sql_file: Path | None,
    records: IO[bytes] | None,
    force: bool,
) -> None:
    """Check the mapping against the database and show what goes where; with --init write a first one.

    Nothing in the database is changed.
    """
    if _PRINT in schemas:
        if init or len(schemas) > 1:
            msg = "With --init, --schema requires the name of a schema."
            raise click.UsageError(msg)
        click.echo(json.dumps(mapping_schema(), ensure_ascii=False, indent=2))
        return
    settings = context.obj()
    if not init:
        if schemas or output or sql_file or records:
            msg = "--schema NAME, --output, --sql and --records need --init."
            raise click.UsageError(msg)
        _show(_checked(settings))
        name_database(settings)
        return
    for file in (output, sql_file):
        if file is not None and file.exists() and not force:
            msg = f"{file} already exists; --force replaces it."
            raise click.UsageError(msg)
    write_first(settings, schemas, output, sql_file, records)
    name_database(settings)


def _checked(settings: Settings) -> dict[str, LiveTable]:
    mapping = load_mapping(settings.mapping_file)
    with open_database(settings) as database, database.connect(name="target-crm-admin map") as connection:
        return check_mapping(connection, mapping, settings.crm_schema)


def _show(live: dict[str, LiveTable]) -> None:
    shown = Table("stream", "table", "column", "comes from", "policy")
    for stream, table in live.items():
        for number, column in enumerate(table.mapping.columns):
            source = ", ".join(column.path) or "field " + ", ".join(map(str, column.fields))
            source = ".".join(column.via) if column.via and not column.path else source
            by = (
                column.transform
                or (column.source and not column.lookup and f"row of {_linked(column)}")
                or (column.lookup and "its name")
            )
            first = (stream, table.mapping.table) if number == 0 else ("", "")
            shown.add_row(*first, column.name, f"{source} ({by})" if by else source, column.policy or "")
        for one in table.mapping.sets:
            shown.add_row("", one.table, one.columns["value"], f"set {one.name}", "")
        for through in table.mapping.through:
            shown.add_row("", through.table, through.target, f"{through.path[0]} (rows of {through.link})", "")
    console.print(shown)
    for stream, table in live.items():
        for column in table.mapping.columns:
            reads = "" if table.mapping.record.is_foreign else table.mapping.reads
            for name in unknown_properties(reads, column, table.mapping.properties):
                click.echo(
                    f"Column {table.name}.{column.name}: tap-amocrm sends no property {name} of {stream}; it stays "
                    "empty unless a stream map adds it."
                )
    for zone, names in naive_columns(live).items():
        click.echo(
            f"Without a time zone: {', '.join(names)}. Their times are written in {zone} "
            "(naive_timezone in the mapping; left out, the database's time zone)."
        )
    click.echo("The mapping fits the database.")


def _linked(column: Column) -> str:
    """The streams whose rows a column points to."""
    return column.link or " or ".join(stream for stream, _ in column.links) or (column.via or ("",))[0]


def write_first(
    settings: Settings,
    schemas: tuple[str, ...],
    output: Path | None,
    sql_file: Path | None,
    records: IO[bytes] | None = None,
) -> None:
    """Write a first mapping by looking at the tables; on standard error, what is still to be done, and of how many
    of these records (Singer messages) something is not mapped.

    Raises:
        MappingError: no table is like any stream.
        ConfigError, DatabaseError: the database can't be reached.
        OSError: a file can't be written.
        MessageError: the records are not Singer messages.
    """
    with open_database(settings) as database, database.connect(name="target-crm-admin map") as connection:
        proposals = propose(connection, schemas)
        if not proposals:
            where = f"the schemas {', '.join(schemas)}" if schemas else "this database"
            msg = f"In {where} no table looks like companies, contacts, deals, tasks, notes or users."
            raise MappingError(msg)
        tables = read_tables(connection, schemas)
        joins = propose_joins(proposals, tables)
        unknown = propose_match(connection, proposals)
        counts = count_records(records, counted_paths(proposals)) if records else RecordCounts()
        missing = [*unknown, *left_out(proposals, joins, tables, counts)]
        text = write_mapping(connection, proposals, joins, [" ".join(row[:2]) + f": {row[2]}." for row in missing])
        statements = migration(connection, proposals, joins)
        if output is None:
            click.echo(text, nl=False)
        else:
            output.write_text(text, "utf-8")
        if sql_file is not None:
            sql_file.write_text("".join(f"{statement}\n" for statement in statements), "utf-8")
        name = str(output) if output else "the mapping"
        click.echo(f"Mapped: {', '.join(f'{p.stream} to {p.table.full_name}' for p in proposals)}.", err=True)
        if missing:
            shown = Table("stream", "what", "why", title="Not mapped")
            for row in missing:
                shown.add_row(*row)
            make_console(stderr=True).print(shown)
        if statements:
            where = f"see {sql_file}" if sql_file else "they are in the mapping's comments; --sql FILE writes them"
            click.echo(f"The tables lack columns or constraints ({len(statements)} statements, {where}).", err=True)
        try:
            added = planned(proposals, joins)
            check_mapping(connection, read_mapping(text, name), settings.crm_schema, added)
        except MappingError as error:
            click.echo(f"Still to be done:\n{error}", err=True)
        else:
            when = " once these statements have run" if statements else ""
            click.echo(f"It fits the database{when}; correct the guesses that are wrong.", err=True)
