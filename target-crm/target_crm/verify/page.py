"""The page about a verification: one file that needs nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from target_crm.errors import ConfigError
from target_crm.files import write_private
from target_crm.load.load import Load
from target_crm.operations.accounts import read_accounts
from target_crm.operations.labels import Labels
from target_crm.operations.session import Session, SetTable
from target_crm.presentation import values
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.verify import TEXTS
from target_crm.verify.result import COMMANDS, FAULTS, SETTLED, Verification


def write_page(result: Verification, load: Load, file: Path, language: str = "en") -> None:
    """Write the page to a file that its owner alone may read, in one of `LANGUAGES`.

    Raises:
        ConfigError: the file can't be written.
    """
    session = _session_of(load)
    t = Texts(language, TEXTS, read_accounts(session).zone)
    environment = Environment(
        loader=PackageLoader("target_crm.verify", "."), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters.update(short=values.short)
    environment.globals.update(is_empty=values.is_empty)
    text = environment.get_template("page.html.j2").render(
        t=t,
        labels=Labels(session, language),
        result=result,
        verified_at=values.as_moment(result.verified_at),
        faults=list(result.faults()),
        settled=[(k, s, s.found[k]) for k in SETTLED for s in result.streams if s.number(k)],
        kinds=[k for k in (*FAULTS, *SETTLED) if k != "not_read"],
        commands=COMMANDS,
        reason=lambda entry: _reason(t, entry),
        documents={live.mapping.raw_fields for live in load.run.live.values()},
    )
    try:
        write_private(file, text)
    except OSError as error:
        raise ConfigError.of("E_REPORT_NOT_WRITTEN", file=str(file), reason=error.strerror) from None


def _session_of(load: Load) -> Session:
    """What labels are read from: the load's own connection and tables."""
    session = Session(load.settings, load.connection)
    for live in load.run.live.values():
        session.tables[live.mapping.table] = live
        for item_set in live.mapping.sets:
            session.sets[item_set.table] = SetTable(live.sets[item_set.name], item_set, live)
    return session


def _reason(t: Texts, entry: dict[str, Any]) -> str:
    return t.problem(entry) if entry.get("code") else ""
