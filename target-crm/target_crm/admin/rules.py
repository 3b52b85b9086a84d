"""rules: standing rules for conflicts."""

from __future__ import annotations

import click

from target_crm.admin.common import console, plain_errors, print_json, session_of
from target_crm.operations.rules import ALWAYS, CONDITIONS, TAKES, add_rule, draft, effect_of, find_rules, switch_off
from target_crm.presentation.terminal import Table


@click.command()
@click.option("--add", "place", nargs=2, metavar="TABLE COLUMN", help="Store a rule for the conflicts of a column.")
@click.option("--take", type=click.Choice(TAKES), help="With --add: whose value every load takes.")
@click.option("--condition", type=click.Choice(CONDITIONS), default=ALWAYS, show_default=True, help="With --add.")
@click.option("--preview", is_flag=True, help="With --add: only say what the rule means.")
@click.option("--off", "number", type=int, help="Switch a rule off. What it decided stays, and can be undone.")
@click.option("--json", "as_json", is_flag=True, help="As JSON.")
@click.pass_context
@plain_errors
def rules(
    context: click.Context,
    place: tuple[str, str] | None,
    take: str | None,
    condition: str,
    preview: bool,
    number: int | None,
    as_json: bool,
) -> None:
    """Standing rules: conflicts of a column that every load settles by itself."""
    if place is not None and take is None:
        raise click.UsageError("--add needs --take amo or --take crm.")
    with session_of(context) as session:
        if place is not None and take is not None:
            rule = draft(session, *place, condition, take)
            effect = effect_of(session, rule)
            click.echo(f"Decided alike before: {effect.alike}; otherwise: {effect.otherwise}; open now: {effect.open}.")
            if not preview:
                click.echo(f"Rule {add_rule(session, rule)} is stored; loads apply it from now on.")
        elif number is not None:
            click.echo(
                f"Rule {number} is off." if switch_off(session, number) else f"There is no active rule {number}."
            )
        elif as_json:
            print_json(find_rules(session))
        else:
            table = Table("rule", "table", "column", "condition", "take", "settled", "made by", "off since")
            for r in find_rules(session):
                cells = (r["id"], r["table_name"], r["column_name"], r["condition"], r["take"], int(r["applied"]))
                table.add_row(*map(str, cells), r["made_by"] or "", str(r["switched_off_at"] or ""))
            console.print(table)
