"""digest: what happened since a moment and what waits, printed or sent; the alert when a sync is overdue."""

from __future__ import annotations

import sys
from datetime import datetime, timezone

import click
import psycopg

from target_crm.admin.common import name_database, plain_errors, print_json, say_error, session_of
from target_crm.config.settings import Settings
from target_crm.database.errors import as_sentence
from target_crm.errors import ConfigError, TargetError
from target_crm.extras import require_extra
from target_crm.operations.session import NothingYetError
from target_crm.presentation.texts import LANGUAGES

OVERDUE = 3


@click.command()
@click.option("--since", default="24h", show_default=True, help="yesterday, today, 24h, 7d, or a time in ISO 8601.")
@click.option("--format", "form", type=click.Choice(("text", "html", "json")), default="text", show_default=True)
@click.option("--json", "form", flag_value="json", help="Same as --format json.")
@click.option("--lang", "language", type=click.Choice(LANGUAGES), default="en", show_default=True)
@click.option("--send", "is_sent", is_flag=True, help="Send the digest to the addresses in the setting digest_urls.")
@click.option("--alert", "is_alert", is_flag=True, help="Print a single line unless a sync is overdue.")
@click.pass_context
@plain_errors
def digest(context: click.Context, since: str, form: str, language: str, is_sent: bool, is_alert: bool) -> None:
    """What happened since a moment and what waits for a person, in sentences.

    With --alert: exit code 3 with the digest when the last complete sync is older than max_sync_age_hours (or than
    twice the usual interval), or when there has been none; otherwise one line. With --alert and --send, an error is
    sent, too.
    """
    require_extra("digest")
    settings = context.obj()
    if is_sent and not settings.digest_urls:
        raise ConfigError.of("E_DIGEST_NO_ADDRESS")
    try:
        _show(context, settings, since, form, language, is_sent, is_alert)
    except NothingYetError as nothing:
        name_database(settings)
        _say_unknown(settings, nothing.text(language), language, is_sent and is_alert)
        if is_alert:
            sys.exit(OVERDUE)
    except (TargetError, psycopg.Error) as error:
        known = as_sentence(error) if isinstance(error, psycopg.Error) else error
        if is_alert and is_sent and not isinstance(known, ConfigError):
            _say_unknown(settings, known.text(language) or str(known), language, True)
        raise


def _show(
    context: click.Context, settings: Settings, since: str, form: str, language: str, is_sent: bool, is_alert: bool
) -> None:
    from target_crm.digest.period import read_since
    from target_crm.digest.render import compose
    from target_crm.digest.words import Words
    from target_crm.operations.accounts import read_accounts
    from target_crm.operations.digest import read_digest
    from target_crm.operations.labels import Labels

    with session_of(context) as session:
        zone, now = read_accounts(session).zone, datetime.now(timezone.utc)
        found = read_digest(session, read_since(since, now, zone), now)
        labels = Labels(session, language)
        message = compose(found, Words(language, zone), lambda t: labels.table(t, many=True), settings.public_url)
    is_quiet = is_alert and not found.is_overdue
    if form == "json":
        print_json(message.document)
    elif is_quiet:
        click.echo(" ".join(line.text for line in message.state if not line.is_bad))
    else:
        click.echo(message.html() if form == "html" else message.text(), nl=False)
    if is_sent and not is_quiet:
        is_bad = found.is_overdue or found.has_failed or bool(found.health.gaps)
        _send(settings, message.title, message.text(), message.html(), is_bad)
    if is_alert and found.is_overdue:
        say_error(message.title + ".")
        sys.exit(OVERDUE)


def _send(settings: Settings, title: str, text: str, html: str, is_bad: bool) -> None:
    # Apprise knows more than a hundred services, and takes its time to import.
    from target_crm.digest.send import send

    taken = send(settings.digest_urls or "", title, text, html, is_bad=is_bad)
    click.echo(f"Sent: {', '.join(taken)}.", err=True)


def _say_unknown(settings: Settings, said: str, language: str, is_sent: bool) -> None:
    """There is nothing to say but that."""
    from target_crm.digest.words import Words

    title = Words(language)("digest_unknown")
    if is_sent:
        _send(settings, title, said, f"<p>{_escaped(said)}</p>", True)
    else:
        click.echo(said)


def _escaped(text: str) -> str:
    from markupsafe import escape

    return str(escape(text))
