"""rules: standing rules for conflicts."""

from __future__ import annotations

import click

from target_crm.admin.common import plain_errors, session_of
from target_crm.admin.listing import Col, Listing, list_options, print_list, shown_in_english
from target_crm.operations.rules import ALWAYS, CONDITIONS, TAKES, add_rule, draft, effect_of, find_rules, switch_off
from target_crm.operations.session import Session


@click.command()
@click.option("--add", "place", nargs=2, metavar="TABLE COLUMN", help="Store a rule for conflicts of a column.")
@click.option("--take", type=click.Choice(TAKES), help="With --add: whose value loads take.")
@click.option("--condition", type=click.Choice(CONDITIONS), default=ALWAYS, show_default=True, help="With --add.")
@click.option("--preview", is_flag=True, help="With --add: show what the rule would decide, without storing it.")
@click.option("--off", "number", type=int, help="Switch a rule off. Its decisions stay and can be undone.")
@list_options
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
    as_csv: bool,
) -> None:
    """Standing rules: conflicts of a column that every load resolves by itself."""
    if place is not None and take is None:
        raise click.UsageError("--add requires --take amo or --take crm.")
    with session_of(context) as session:
        if place is not None and take is not None:
            rule = draft(session, *place, condition, take)
            effect = effect_of(session, rule)
            click.echo(
                f"Past decisions that agree: {effect.alike}, that differ: {effect.otherwise}. Open now: {effect.open}."
            )
            if not preview:
                click.echo(f"Rule {add_rule(session, rule)} is stored; loads apply it from now on.")
        elif number is not None:
            click.echo(f"Rule {number} is off." if switch_off(session, number) else f"Rule {number} is not active.")
        else:
            print_list(_list(session), as_json=as_json, as_csv=as_csv)


def _list(session: Session) -> Listing:
    show = shown_in_english(session)
    columns = (
        Col("rule", lambda r: str(r["id"]), is_number=True),
        Col("field", lambda r: show.cell(r["table_name"], r["column_name"])),
        Col("column", lambda r: f"{r['table_name']}.{r['column_name']}", drop=3),
        Col("condition", lambda r: r["condition"]),
        Col("take", lambda r: r["take"]),
        Col("settled", lambda r: f"{int(r['applied']):,}", is_number=True),
        Col("made by", lambda r: r["made_by"] or "", drop=2),
        Col("off since", lambda r: f"{r['switched_off_at']:%Y-%m-%d %H:%M}" if r["switched_off_at"] else "", drop=1),
    )
    return Listing(("rule", "rules"), columns, find_rules(session), empty="No rules are stored.")
