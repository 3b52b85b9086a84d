"""What the CRM must hold for an account: worked out from the simulator's dump alone, one dictionary a row.

It shares no code with the target: a mistake in one of them shows as a difference.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

import phonenumbers
import psycopg
from psycopg.rows import dict_row

Row = dict[str, Any]
ENTITIES = ("companies", "contacts", "leads")
KINDS = (*ENTITIES, "tasks", *(f"{e}/notes" for e in ENTITIES))
FIXED = {1: "Звонок", 2: "Встреча", 3: "Письмо"}


def text(value: Any) -> str | None:
    """A text as PostgreSQL can hold it."""
    return None if value is None else str(clean(str(value)))


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
    for name in names:
        for field in record["custom_fields_values"] or ():
            if name in (field["field_code"], field["field_name"]):
                return [v["value"] for v in field["values"]]
    return []


def number(value: Any) -> str | None:
    """E.164 of a text that holds one valid number, whatever stands beside it."""
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
    return sorted(t["name"] for t in record["_embedded"].get("tags") or ())


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
        web, address, employees = (
            values(record, "WEB"),
            values(record, "ADDRESS"),
            values(record, "EMPLOYEES_COUNT", "Количество сотрудников"),
        )
        return {
            **self.times(record),
            "name": text(record["name"]),
            "website": text(web[0]) if web else None,
            "address": text(address[0]) if address else None,
            "employees_count": int(employees[0]) if employees else None,
            "responsible": self.user(record["responsible_user_id"]),
            "tags": tags(record),
            "phones": numbers(record),
            "emails": addresses(record),
            "custom": clean(record["custom_fields_values"]),
        }

    def contact(self, record: Row) -> Row:
        """A row of contacts."""
        companies = record["_embedded"]["companies"]
        return {
            **self.times(record),
            "company": companies[0]["id"] if companies else None,
            "last_name": text(record["last_name"]),
            "responsible": self.user(record["responsible_user_id"]),
            "tags": tags(record),
            "phones": numbers(record),
            "emails": addresses(record),
            "custom": clean(record["custom_fields_values"]),
        }

    def lead(self, record: Row) -> Row:
        """A row of leads."""
        companies = record["_embedded"]["companies"]
        return {
            **self.times(record),
            "company": companies[0]["id"] if companies else None,
            "name": text(record["name"]),
            "price": record["price"],
            "pipeline": self.lookups.get(record["pipeline_id"]),
            "status": self.statuses.get((record["pipeline_id"], record["status_id"])),
            "closed_at": moment(record["closed_at"]),
            "loss_reason": self.reasons.get(record["loss_reason_id"]),
            "responsible": self.user(record["responsible_user_id"]),
            "tags": tags(record),
        }

    def note(self, record: Row, entity: str) -> Row:
        """A row of notes."""
        params = record["params"] or None
        return {
            **self.times(record),
            **_owner(entity, record["entity_id"]),
            "note_type": record["note_type"],
            "params": clean(params),
            "author": self.user(record["created_by"]),
            "responsible": self.user(record["responsible_user_id"]),
        }

    def task(self, record: Row) -> Row:
        """A row of tasks."""
        result = record["result"]
        return {
            **self.times(record),
            **_owner(record["entity_type"], record["entity_id"]),
            "text": text(record["text"]),
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
    "companies": f"name, website, address, employees_count, tags, {_RESPONSIBLE}, {_ITEMS.format(s='company')}",
    "contacts": f"{_COMPANY}, last_name, tags, {_RESPONSIBLE}, {_ITEMS.format(s='contact')}",
    "leads": f"{_COMPANY}, name, price, pipeline, status, closed_at, loss_reason, tags, {_RESPONSIBLE}",
    "notes": f"{_PARENTS}, note_type, params, {_USER.format('author_id', 'author')}, {_RESPONSIBLE}",
    "tasks": f"{_PARENTS}, text, due_at, is_completed, result, {_RESPONSIBLE}",
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
            if found[i][column] != value:
                lines.append(f"{i}.{column} is {found[i][column]!r}, must be {value!r}"[:400])
    return lines[:20]


def in_scope(dump: dict[str, dict[int, Row]], users: Iterable[int], field_id: int, value: str) -> dict[str, set[int]]:
    """Ids of the companies of these users whose custom field holds the value, and of their children."""
    wanted = set(users)
    companies = {
        i
        for i, r in dump["companies"].items()
        if r["responsible_user_id"] in wanted
        and any(
            f["field_id"] == field_id and value in [v["value"] for v in f["values"]]
            for f in r["custom_fields_values"] or ()
        )
    }
    scope = {"companies": companies}
    for kind in ("contacts", "leads"):
        scope[kind] = {
            i
            for i, r in dump[kind].items()
            if r["_embedded"]["companies"] and r["_embedded"]["companies"][0]["id"] in companies
        }
    scope["notes"] = {i for e in ENTITIES for i, r in dump[f"{e}/notes"].items() if r["entity_id"] in scope[e]}
    scope["tasks"] = {i for i, r in dump["tasks"].items() if r["entity_id"] in scope.get(r["entity_type"], ())}
    return scope
