"""What the CRM must hold for an account: worked out from the simulator's dump alone, one dictionary a row.

It shares no code with the target: a mistake in one of them shows as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from decimal import Decimal
from typing import Any

import phonenumbers
import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
ENTITIES = ("companies", "contacts", "leads")
KINDS = (*ENTITIES, "tasks", *(f"{e}/notes" for e in ENTITIES))
# The parts of an address as an envelope has them, the smallest first.
ADDRESS_PARTS = ("address_line_1", "address_line_2", "city", "state", "zip", "country")
# Parameters of a note that are meant for people.
SAID = ("text", "url", "subject", "content_summary", "address", "campaign", "topic", "comment")


def text(value: Any) -> str | None:
    """A text as PostgreSQL can hold it; an empty one is nothing."""
    return str(clean(str(value))) or None if value is not None else None


def whole(value: Any) -> int | None:
    """A whole number, with blanks between thousands or a fraction of zero; None for what people write beside one."""
    plain = re.sub(r"(?<=\d)[ \u00a0\u202f](?=\d{3}\b)", "", str(value).strip())
    return int(plain.partition(".")[0]) if re.fullmatch(r"\d+(\.0+)?", plain) else None


def embedded(record: Row, name: str) -> list[Row]:
    """What a record embeds under a name; some records embed nothing at all, in several forms."""
    found = (record["_embedded"] or {}).get(name) or []
    return [found] if isinstance(found, dict) else found


def clean(value: Any) -> Any:
    """JSON without NUL characters and halves of surrogate pairs."""
    if isinstance(value, str):
        return re.sub("[\ud800-\udfff]", "\ufffd", value.replace("\0", ""))
    if isinstance(value, list):
        return [clean(v) for v in value]
    if isinstance(value, dict):
        return {k: clean(v) for k, v in value.items()}
    return value


def moment(seconds: Any) -> datetime | None:
    """Unix seconds as an instant."""
    return datetime.fromtimestamp(seconds, timezone.utc) if seconds else None


def values(record: Row, *names: str) -> list[Any]:
    """Values of the custom fields with one of these codes or names."""
    return [v["value"] for v in entries(record, *names)]


def entries(record: Row, *names: str) -> list[Row]:
    """The same with their kinds."""
    for name in names:
        for field in record["custom_fields_values"] or ():
            if name in (field["field_code"], field["field_name"]) and field["values"]:
                return list(field["values"])
    return []


def address(record: Row) -> str | None:
    """The address: a text, or its parts in the order of an envelope."""
    found = entries(record, "ADDRESS", "Адрес")
    parts = {v.get("enum_code"): v["value"] for v in found}
    if "country" in parts or "city" in parts:
        return ", ".join(parts[p] for p in ADDRESS_PARTS if parts.get(p))
    return text(found[0]["value"]) if found else None


def requisites(record: Row) -> Row:
    """The first of a firm's legal entities: its name and numbers belong together."""
    found = values(record, "Реквизиты")
    return found[0] if found else {}


def number(value: Any) -> str | None:
    """E.164 of a text that holds one valid number, whatever else it contains."""
    plain = re.split(r"доб|вн\.|ext", str(value))[0]
    matches = list(phonenumbers.PhoneNumberMatcher(plain, "RU"))
    digits = re.sub(r"\D", "", plain)
    for attempt in (plain, "+7" + digits[1:] if len(digits) == 11 and digits[0] in "78" else "+" + digits):
        try:
            parsed = phonenumbers.parse(attempt, "RU")
        except phonenumbers.NumberParseException:
            continue
        if phonenumbers.is_valid_number(parsed):
            return phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return (
        phonenumbers.format_number(matches[0].number, phonenumbers.PhoneNumberFormat.E164)
        if len(matches) == 1
        else None
    )


def numbers(record: Row) -> set[str]:
    """All phones of a record."""
    return {n for v in values(record, "PHONE") if (n := number(v))}


def addresses(record: Row) -> set[str]:
    """All e-mail addresses of a record that look like one."""
    found = {str(v).strip().lower() for v in values(record, "EMAIL")}
    return {v for v in found if re.fullmatch(r"[\w.+-]+@[\w-]+(\.[\w-]+)+", v)}


def tags(record: Row) -> list[str]:
    """Names of the tags."""
    return sorted(t["name"] for t in embedded(record, "tags"))


def company_of(record: Row) -> int | None:
    """The company of a contact or lead: the first that it names."""
    companies = embedded(record, "companies")
    return companies[0]["id"] if companies else None


def says(params: Any) -> list[str]:
    """Texts that a note's row must show, whatever its type is."""
    if isinstance(params, str):
        return [params]
    if not isinstance(params, dict):
        return []
    found = [v for k, v in params.items() if k.lower() in SAID]
    names = [params[k] for k in ("original_name", "file_name", "filename") if params.get(k)]
    told = [v for value in found + names[:1] for v in (value if isinstance(value, list) else [value])]
    return [str(clean(str(v))) for v in told if v is not None and str(v).strip()]


class Truth:
    """The account as its dump has it, and the rows that must come of it."""

    def __init__(self, dump: dict[str, dict[int, Row]]) -> None:
        self.dump = dump
        self.users = set(dump["users"])
        self.lookups = {p["id"]: p["name"] for p in dump["leads/pipelines"].values()}
        self.statuses = {
            (p["id"], s["id"]): s["name"] for p in dump["leads/pipelines"].values() for s in p["_embedded"]["statuses"]
        }
        self.reasons = {r["id"]: r["name"] for r in dump["leads/loss_reasons"].values()}
        self.task_types = {t["id"]: t["name"] for t in dump["task_types"].values()}

    def user(self, user_id: Any) -> int | None:
        """A user that some list shows."""
        return user_id if user_id in self.users else None

    def times(self, record: Row) -> Row:
        """The key and the times that every imported row has."""
        return {
            "amo_id": record["id"],
            "amo_created_at": moment(record["created_at"]),
            "amo_updated_at": moment(record["updated_at"]),
        }

    def rows(self, table: str, scope: dict[str, set[int]] | None = None) -> dict[int, Row]:
        """Expected rows of a table by amo_id; with a scope only those."""
        if table == "notes":
            found = {
                i: self.note(r, e)
                for e in ENTITIES
                for i, r in self.dump[f"{e}/notes"].items()
                if scope is None or i in scope["notes"]
            }
        else:
            make = getattr(
                self, {"companies": "company", "contacts": "contact", "leads": "lead", "tasks": "task"}[table]
            )
            found = {i: make(r) for i, r in self.dump[table].items() if scope is None or i in scope[table]}
        if scope is not None:
            for row in found.values():
                for column, entity in (("company", "companies"), ("contact", "contacts"), ("lead", "leads")):
                    if row.get(column) not in scope[entity] and column in row:
                        row[column] = None
        return found

    def company(self, record: Row) -> Row:
        """A row of companies."""
        web, employees = values(record, "WEB"), values(record, "EMPLOYEES_COUNT", "Количество сотрудников")
        legal, own = requisites(record), values(record, "ИНН")
        return {
            **self.times(record),
            "name": text(record["name"]),
            "website": text(web[0]) if web else None,
            "address": address(record),
            "employees_count": whole(employees[0]) if employees else None,
            "activity_kind": ", ".join(values(record, "Вид деятельности")) or None,
            "legal_name": text((values(record, "Юр. название") or [legal])[0].get("name")),
            "inn": text(own[0]) if own else text(legal.get("vat_id")),
            "kpp": text(legal.get("kpp")),
            "responsible": self.user(record["responsible_user_id"]),
            "tags": tags(record),
            "phones": numbers(record),
            "emails": addresses(record),
            "custom": clean(record["custom_fields_values"]),
        }

    def contact(self, record: Row) -> Row:
        """A row of contacts."""
        return {
            **self.times(record),
            "company": company_of(record),
            "last_name": text(record["last_name"]),
            "responsible": self.user(record["responsible_user_id"]),
            "tags": tags(record),
            "phones": numbers(record),
            "emails": addresses(record),
            "custom": clean(record["custom_fields_values"]),
        }

    def lead(self, record: Row) -> Row:
        """A row of leads."""
        price = record.get("price_with_minor_units")
        price = record["price"] if price is None else price
        reasons = {r["id"]: r["name"] for r in embedded(record, "loss_reason")} | self.reasons
        return {
            **self.times(record),
            "company": company_of(record),
            "name": text(record["name"]),
            "price": None if price is None else Decimal(str(price)),
            "pipeline": self.lookups.get(record["pipeline_id"]),
            "status": self.statuses.get((record["pipeline_id"], record["status_id"])),
            "closed_at": moment(record["closed_at"]),
            "loss_reason": reasons.get(record["loss_reason_id"]),
            "responsible": self.user(record["responsible_user_id"]),
            "tags": tags(record),
        }

    def note(self, record: Row, entity: str) -> Row:
        """A row of notes."""
        params = record["params"] or None
        return {
            **self.times(record),
            **_owner(entity, record["entity_id"]),
            "note_type": str(record["note_type"]),
            "params": clean(params),
            "says": says(params),
            "author": self.user(record["created_by"]),
            "responsible": self.user(record["responsible_user_id"]),
        }

    def task(self, record: Row) -> Row:
        """A row of tasks."""
        result = record.get("result")
        return {
            **self.times(record),
            **_owner(record["entity_type"], record["entity_id"]),
            "text": text(record["text"]),
            "task_type": self.task_types[record["task_type_id"]],
            "due_at": moment(record["complete_till"]),
            "is_completed": record["is_completed"],
            "result": text(result["text"]) if result else None,
            "responsible": self.user(record["responsible_user_id"]),
        }


def _owner(entity: str | None, entity_id: int | None) -> Row:
    return {
        "company": entity_id if entity == "companies" else None,
        "contact": entity_id if entity == "contacts" else None,
        "lead": entity_id if entity == "leads" else None,
    }


_ITEMS = (
    "coalesce((SELECT array_agg(value) FROM {s}_phones AS p WHERE p.{s}_id = t.id AND value IS NOT NULL), '{{}}') "
    "AS phones, "
    "coalesce((SELECT array_agg(value) FROM {s}_emails AS p WHERE p.{s}_id = t.id AND value IS NOT NULL), '{{}}') "
    "AS emails, "
    "t.raw_fields #> '{{amo,custom_fields_values}}' AS custom"
)
_USER = "(SELECT amo_id FROM users AS u WHERE u.id = t.{}) AS {}"
_PARENTS = ", ".join(
    f"(SELECT amo_id FROM {e} AS e WHERE e.id = t.{c}_id) AS {c}"
    for c, e in (("company", "companies"), ("contact", "contacts"), ("lead", "leads"))
)
_KEYS = "amo_id, amo_created_at, amo_updated_at"
_RESPONSIBLE = _USER.format("responsible_id", "responsible")
_COMPANY = "(SELECT amo_id FROM companies AS e WHERE e.id = t.company_id) AS company"
_QUERIES = {
    "companies": f"name, website, address, employees_count, activity_kind, legal_name, inn, kpp, tags, {_RESPONSIBLE}, "
    f"{_ITEMS.format(s='company')}",
    "contacts": f"{_COMPANY}, last_name, tags, {_RESPONSIBLE}, {_ITEMS.format(s='contact')}",
    "leads": f"{_COMPANY}, name, price, pipeline, status, closed_at, loss_reason, tags, {_RESPONSIBLE}",
    "notes": f"{_PARENTS}, note_type, params, text AS says, {_USER.format('author_id', 'author')}, {_RESPONSIBLE}",
    "tasks": f"{_PARENTS}, text, task_type, due_at, is_completed, result, {_RESPONSIBLE}",
}
TABLES = tuple(_QUERIES)


def held(connection: psycopg.Connection[Any], table: str) -> dict[int, Row]:
    """The CRM's rows, links as amo ids, sets as sets.

    Raises:
        AssertionError: a record has two rows.
    """
    query = f"SELECT {_KEYS}, {_QUERIES[table]} FROM {table} AS t WHERE amo_deleted_at IS NULL"
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query.encode()).fetchall()
    found: dict[int, Row] = {}
    for row in rows:
        assert row["amo_id"] not in found, f"{table} {row['amo_id']} has two rows"
        for name in ("phones", "emails"):
            if name in row:
                assert len(set(row[name])) == len(row[name]), f"{name} of {table} {row['amo_id']} twice"
                row[name] = set(row[name])
        if "tags" in row:
            row["tags"] = sorted(row["tags"] or ())
        found[row["amo_id"]] = row
    return found


def differences(expected: dict[int, Row], found: dict[int, Row]) -> list[str]:
    """What is not as it must be, a line each; the first twenty."""
    lines = [f"{i} is missing" for i in sorted(expected.keys() - found.keys())]
    lines += [f"{i} must not be there" for i in sorted(found.keys() - expected.keys())]
    for i in sorted(expected.keys() & found.keys()):
        for column, value in expected[i].items():
            if column == "says":
                lines += _unsaid(i, value, found[i][column] or "")
            elif found[i][column] != value:
                lines.append(f"{i}.{column} is {found[i][column]!r}, must be {value!r}"[:400])
    return lines[:20]


def _unsaid(amo_id: int, said: list[str], shown: str) -> list[str]:
    """What a note's text lacks, and what no person would write."""
    lines = [f"{amo_id}.text lacks {part!r}: {shown!r}"[:400] for part in said if part not in shown]
    marks = [mark for mark in ("{'", "['", "None") if mark in shown]
    return lines + [f"{amo_id}.text is of Python's writing: {shown!r}"[:400] for _ in marks]


def in_scope(dump: dict[str, dict[int, Row]], users: Iterable[int], field_id: int, value: str) -> dict[str, set[int]]:
    """Ids of the companies of these users whose custom field holds the value, and of their children."""
    wanted = set(users)
    companies = {
        i
        for i, r in dump["companies"].items()
        if r["responsible_user_id"] in wanted
        and any(
            f["field_id"] == field_id and value in [v.get("value") for v in f["values"] or ()]
            for f in r["custom_fields_values"] or ()
        )
    }
    scope = {"companies": companies}
    for kind in ("contacts", "leads"):
        # Some name several companies; one in scope is enough.
        scope[kind] = {i for i, r in dump[kind].items() if companies & {c["id"] for c in embedded(r, "companies")}}
    scope["notes"] = {i for e in ENTITIES for i, r in dump[f"{e}/notes"].items() if r["entity_id"] in scope[e]}
    scope["tasks"] = {i for i, r in dump["tasks"].items() if r["entity_id"] in scope.get(r["entity_type"], ())}
    return scope
