"""Values as pages show them: links by the names of their rows, times in the account's zone, numbers in groups."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from target_crm.mapping.catalogue import LiveColumn
from target_crm.mapping.model import Column
from target_crm.operations.accounts import Accounts
from target_crm.operations.labels import Labels, natural_order
from target_crm.operations.records import linked_table, names_of, value_names
from target_crm.operations.session import Row, Session, column_of
from target_crm.presentation.differences import Difference, Part, compared, number_hint, time_hint
from target_crm.presentation.formats import day_text, grouped, moment_text
from target_crm.presentation.texts import Texts
from target_crm.presentation.texts.labels import NOTE_TYPES, STREAMS
from target_crm.presentation.values import as_moment, as_text, is_empty, short

# Whole numbers that name something: they are not counted, so their digits stay together.
_NAMING = re.compile(r"(?:^|_)(?:id|inn|kpp|ogrn|okpo|bik|code|number|no|index|zip|phone|year)$")
_NAMING_TRANSFORMS = ("inn", "digits", "phone")


class Shown:
    """Values, tables and columns as a reader sees them.

    Args:
        session: The CRM.
        texts: The reader's words.
        accounts: What is known of the accounts.
    """

    def __init__(self, session: Session, texts: Texts, accounts: Accounts) -> None:
        self._session, self._texts = session, texts
        self.accounts, self.labels = accounts, Labels(session, texts.language)
        self._names: dict[tuple[str, str], dict[str, str]] = {}
        # The name of a row that is not there yet, by its key; of a plan.
        self.coming: Callable[[str], str] = lambda _: ""

    def table(self, name: str, many: bool = False) -> str:
        """See `Labels.table`."""
        return self.labels.table(name, many=many)

    def column(self, table: str, name: str) -> str:
        """See `Labels.column`."""
        return self.labels.column(table, name)

    def cell(self, table: str, name: str) -> str:
        """See `Labels.cell`."""
        return self.labels.cell(table, name)

    def in_order(self, counts: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """What is known by table, in the natural order of the tables; jsonb keeps none."""
        return [(name, counts[name]) for name in natural_order(self._session, counts)]

    def cells_in_order(self, cells: Iterable[Row]) -> list[Row]:
        """Tables and columns, the tables in their natural order."""
        found = list(cells)
        order = natural_order(self._session, {c["table_name"] for c in found})
        return sorted(found, key=lambda c: order.index(c["table_name"]))

    def learn(self, entries: Iterable[Row], *sides: str) -> None:
        """Read the names that these entries' values are keys of, with one query for each column."""
        wanted: dict[tuple[str, str], set[Any]] = {}
        for entry in entries:
            place = (entry["table_name"], entry["column_name"])
            wanted.setdefault(place, set()).update(v for s in sides if isinstance(v := entry[s], (str, int)))
        for place, found in wanted.items():
            if self._linked(*place):
                known = self._names.setdefault(place, {})
                names = value_names(self._session, *place, (v for v in found if str(v) not in known))
                known.update({str(v): names.get(str(v), "") for v in found if str(v) not in known})

    def value(self, table: str, column: str, value: Any, width: int = 200) -> str:
        """A value on its own; empty for nothing."""
        if is_empty(value):
            return ""
        return short(self._plain(table, column, value), width)

    def difference(self, table: str, column: str, value: Any, base: Any) -> Difference:
        """A value beside the one that it is compared with."""
        if is_empty(value):
            return Difference()
        family, language = self._family(table, column), self._texts.language
        text = self._plain(table, column, value)
        hint = ""
        if not is_empty(base) and not self._linked(table, column):
            if family in ("integer", "number") and self._is_counted(table, column):
                hint = number_hint(language, value, base)
            elif family in ("timestamp", "date"):
                hint = time_hint(language, value, base)
        if family in ("integer", "number", "timestamp", "date", "boolean") or self._linked(table, column):
            return Difference([Part(text, False)], hint)
        return Difference(compared(value, base) if isinstance(value, (str, list)) else [Part(text, False)])

    def whole(self, table: str, row: Any, leave_out: Iterable[str] = ()) -> str:
        """A whole row on one line: what is filled, without keys and documents."""
        if not isinstance(row, dict):
            return as_text(row)
        hidden = set(leave_out)
        item_set = self._session.sets.get(table)
        if item_set is not None:
            hidden |= {item_set.item_set.parent, item_set.item_set.columns.get("position", "")}
        shown = [
            f"{self.column(table, name)}: {self.value(table, name, _items(value))}"
            for name, value in row.items()
            if name not in hidden and not is_empty(value) and not isinstance(value, dict)
        ]
        return ", ".join(shown)

    def problem(self, entry: Mapping[str, Any]) -> str:
        """What is wrong, of a reject or a warning, with tables and columns by their names."""
        args = dict(entry["args"] or {})
        table, column = args.get("table"), args.get("column")
        if isinstance(column, str):
            owner, _, name = column.rpartition(".")
            if owner in self._session.tables or owner in self._session.sets:
                args["column"] = self.cell(owner, name)
            elif isinstance(table, str) and table in self._session.tables:
                args["column"] = self.column(table, column)
        if isinstance(table, str) and (table in self._session.tables or table in self._session.sets):
            args["table"] = self.table(table, many=True)
        if (stream := args.get("stream")) in STREAMS:
            args["stream"] = self.labels.stream(stream, many=True)
        return self._texts.problem({**entry, "args": args})

    def typed(self, table: str, column: str, value: Any) -> str:
        """A value as a field of a form holds it."""
        if is_empty(value):
            return ""
        family = self._family(table, column)
        if family == "timestamp":
            moment = self._moment(table, column, value)
            return moment.strftime("%Y-%m-%dT%H:%M") if moment else as_text(value)
        if family == "array" and isinstance(value, list):
            return "\n".join(map(str, value))
        return as_text(value)

    def names(self, entries: Iterable[Row]) -> dict[tuple[str, str], str]:
        """The names of the rows that entries are about."""
        return names_of(self._session, ((e["table_name"], e["row_id"]) for e in entries))

    def name(self, names: Mapping[tuple[str, str], str], table: str, row_id: str) -> str:
        """The name of a row out of `names`; in words where the row is gone."""
        found = names.get((table, row_id))
        if found and found != row_id:
            return found
        if not found and (coming := self.coming(row_id)):
            return coming
        return self._texts("row_unnamed" if found else "row_is_gone", what=self.table(table))

    def _plain(self, table: str, column: str, value: Any) -> str:
        if self._linked(table, column):
            known = self._names.setdefault((table, column), {})
            if str(value) not in known:
                known[str(value)] = value_names(self._session, table, column, [value]).get(str(value), "")
            return known[str(value)] or self.coming(str(value)) or self._texts("link_is_gone")
        family, language = self._family(table, column), self._texts.language
        if isinstance(value, bool):
            return self._texts("yes" if value else "no")
        if family == "date" or (isinstance(value, date) and not isinstance(value, datetime)):
            day = as_moment(value)
            return day_text(language, day) if day else as_text(value)
        if family == "timestamp" or isinstance(value, datetime):
            local = self._moment(table, column, value)
            return moment_text(language, local, self.accounts.zone) if local else as_text(value)
        if family in ("integer", "number") and self._is_counted(table, column):
            return grouped(language, value)
        if column == "note_type" and value in NOTE_TYPES:
            return NOTE_TYPES[value][0 if language == "en" else 1]
        return as_text(value)

    def _moment(self, table: str, column: str, value: Any) -> datetime | None:
        """A time on the reader's clock. One without an offset is of its column's zone."""
        moment = as_moment(value)
        if moment is None:
            return None
        live = self._live(table, column)
        named = (isinstance(value, str) and re.search(r"(?:Z|[+-]\d\d:?\d\d)$", value)) or isinstance(value, datetime)
        if live is not None and live.zone and not named:
            moment = moment.replace(tzinfo=ZoneInfo(live.zone))
        return moment.astimezone(self.accounts.zone or moment.tzinfo)

    def _live(self, table: str, column: str) -> LiveColumn | None:
        live = self._session.tables.get(table)
        item_set = self._session.sets.get(table)
        columns = live.columns if live else item_set.live.columns if item_set else {}
        return columns.get(column)

    def _mapped(self, table: str, column: str) -> Column | None:
        live = self._session.tables.get(table)
        return column_of(live.mapping, column) if live else None

    def _family(self, table: str, column: str) -> str:
        live = self._live(table, column)
        return live.family if live is not None else "text"

    def _linked(self, table: str, column: str) -> bool:
        return linked_table(self._session, self._mapped(table, column)) is not None

    def _is_counted(self, table: str, column: str) -> bool:
        mapped = self._mapped(table, column)
        naming = mapped is not None and mapped.transform in _NAMING_TRANSFORMS
        return not naming and not _NAMING.search(column.lower())


def _items(value: Any) -> Any:
    """The items of a set in a row of the journal as people know them."""
    if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
        return [str(item.get("v") or item.get("k") or "") for item in value]
    return value
