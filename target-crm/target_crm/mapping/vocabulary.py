"""The words of a mapping file: one table of what each takes, means and looks like.

The reader, the tables of docs/mapping.md (`python -m target_crm.mapping.vocabulary`) and the mapping's JSON Schema are
made from it.
"""

from __future__ import annotations

import sys
from typing import NamedTuple

from target_crm.config.settings import POLICIES
from target_crm.mapping.model import ON_AMBIGUOUS, RESURRECT
from target_crm.normalise import TRANSFORMS

# Kinds of names, and how many properties make their reference: a status is named within its pipeline.
LOOKUPS = {"pipeline": 1, "status": 2, "loss_reason": 1, "task_type": 1, "task_type_code": 1}


class Word(NamedTuple):
    """One word of a section.

    `takes` names the JSON types of its value, `choices` the only values of a text, `example` a value as YAML.
    """

    name: str
    takes: tuple[str, ...]
    meaning: str
    example: str
    choices: tuple[str, ...] = ()


_TEXT, _FLAG, _NUMBER, _SECTION = ("string",), ("boolean",), ("number",), ("object",)
_TEXTS = ("string", "array")
_NAMES = ("string", "integer", "array")

ROOT = (
    Word("version", ("integer",), "version of the mapping's language", "1"),
    Word("default_region", _TEXT, "country of phones without a country code; overrides the setting", "RU"),
    Word(
        "naive_timezone",
        _TEXT,
        "time zone of `timestamp` columns; left out: the database's own",
        "Europe/Moscow",
    ),
    Word("ignore", _TEXTS, "streams to skip without a warning", "[tags, events]"),
    Word("streams", _SECTION, "the streams, by name", "{companies: {...}}"),
)
STREAM = (
    Word(
        "table",
        _TEXT,
        "the table, with or without a schema; several streams may go into one: see below",
        "public.firm",
    ),
    Word("stream", _TEXT, "the stream whose records come, where that is not the entry's own name", "contacts"),
    Word(
        "where",
        _SECTION,
        "path → value or values that a record must have to be taken, `{not: ...}` for what it may not have, null for "
        "nothing; records that do not match are left out, and rows that they had before are left as they are",
        "{pipeline_id: [7, 9], status_id: {not: 143}}",
    ),
    Word(
        "key",
        _SECTION,
        "columns that identify a row: `id` is its primary key (uuid, integer or text, filled by the database itself); "
        "`account` and `amo_id` are the two `bigint` columns that identify amoCRM's record (`amo_account_id`, "
        "`amo_id`), unique together, and empty in rows that people add. `source` is for records that are not amoCRM's: "
        "see [other-sources.md](other-sources.md)",
        "{id: id, account: amo_account, amo_id: amo_id}",
    ),
    Word(
        "service",
        _SECTION,
        "columns for the document and the stamps (names as in [tables.md](tables.md)); null for what the table does "
        "not have. Only `raw_fields` is needed. `amo_deleted_at` may be a flag: see below",
        "{raw_fields: sync_data, created_at: null}",
    ),
    Word(
        "columns",
        _SECTION,
        "column → source, see below; `COLUMN.KEY` is a key inside a jsonb column",
        "{title: name, extra.city: {field: Город}}",
    ),
    Word("sets", _SECTION, "related tables of phones and e-mails, see below", "{phones: {...}}"),
    Word("through", _SECTION, "join tables, see below", "{companies: {...}}"),
    Word(
        "defaults",
        _SECTION,
        "column → value, written on insert when amoCRM sends nothing; `now` for the time of the load in a time column, "
        "an object for jsonb; `{sql: ...}` for what the database works out for each row, in columns "
        "that are not mapped",
        '{is_active: true, token: {sql: "gen_random_uuid()::text"}}',
    ),
    Word(
        "match",
        _TEXTS,
        "rules by which records are recognised in rows that the table has already, the strongest first: columns, sets, "
        "lists of those that must all agree ([matching.md](matching.md))",
        "[inn, phones, [name, city]]",
    ),
    Word(
        "on_ambiguous",
        _TEXT,
        "what becomes of a record that is like several rows, or like one that others are like, too: it waits for a "
        "person, or gets a row of its own",
        "insert",
        ON_AMBIGUOUS,
    ),
    Word(
        "adopt",
        _SECTION,
        "how an adopted row is merged for the first time: `base` (`distrust`, `trust`) and `policy` "
        "([matching.md](matching.md))",
        "{base: trust, policy: amo_wins}",
    ),
    Word(
        "match_only",
        _FLAG,
        "true: only match, never write to this table (employees kept elsewhere); it then needs no column but `key.id`",
        "true",
    ),
    Word(
        "properties",
        _TEXTS,
        "names of properties that a stream map of yours adds; they are taken as they are",
        "[main_contact_id]",
    ),
    Word(
        "label",
        _TEXT,
        "how pages name a row: a template of its columns, `{column}`",
        '"{title}, {city}"',
    ),
    Word(
        "url",
        _TEXT,
        "a row's address in the CRM: a template of its columns",
        "https://crm.example.com/companies/{id}",
    ),
    Word(
        "resurrect",
        ("string", "boolean"),
        "what happens to a record whose row a person deleted: see [soft-update.md](soft-update.md)",
        "changed",
        RESURRECT,
    ),
)
COLUMN = (
    Word(
        "from",
        _TEXTS,
        "a property's path; several for transformations that take several, or with `first`",
        "result.text",
    ),
    Word("field", _NAMES, "a custom field by id, code or name: the first that the record has", "[12345, INN, ИНН]"),
    Word(
        "template",
        _TEXT,
        "text with values in braces: parts of the `field`'s value, or, without `field`, properties (`{price}`) and "
        "custom fields (`{field:Город}`). A value that is empty is left out with the text before it",
        '"{city}, {address_line_1}"',
    ),
    Word(
        "part",
        _TEXT,
        "a key inside an object value (`vat_id` of a legal entity, `city` of an address), always of the first value "
        "that is filled in, so that the parts of one whole belong together; a plain text counts as it is",
        "vat_id",
    ),
    Word(
        "kind",
        _TEXTS,
        "only values of this kind (of several kinds the first that is there): WORK, MOB, HOME of a phone",
        "MOB",
    ),
    Word(
        "nth",
        ("integer",),
        "the value in that place, counted from 1; of phones and addresses only valid ones count, each once",
        "2",
    ),
    Word("rest", _FLAG, "true: all values but the first, counted likewise", "true"),
    Word(
        "first",
        _FLAG,
        "true: of several values or properties the first that is not empty. Without it several values are joined in a "
        "text column, are a list in a jsonb column, and are a warning in a column of one number, time or choice",
        "true",
    ),
    Word("join", _TEXT, "the text between several values in a text column; left out: `, `", '"; "'),
    Word("transform", _TEXT, "see below; left out, the column's type decides", "phone", tuple(TRANSFORMS)),
    Word(
        "factor",
        _NUMBER,
        "the number is multiplied by it: 100 for a column of kopecks, 0.01 for one that takes them",
        "1000000",
    ),
    Word(
        "values",
        _SECTION,
        "what amoCRM says → what the CRM says (choices), also of the name that `lookup` finds; a value not listed is a "
        'warning and leaves the column as it is, unless `"*"` is listed, too',
        "{Клиент: client}",
    ),
    Word(
        "link",
        ("string", "object"),
        "the stream whose row the value (an ID) points to; of a polymorphic link each stream with what `type_column` "
        "holds for it (`{companies: Account, contacts: Contact}`)",
        "companies",
    ),
    Word(
        "type_column",
        _TEXT,
        "the column that says what a polymorphic link points to (`record_type`, `content_type_id`, `res_model`)",
        "record_type",
    ),
    Word(
        "via",
        _TEXT,
        "LINK.COLUMN: the value is that column of the row which the link column LINK of this table points to; beside "
        "`link` only where that finds none",
        "contact_id.company_id",
    ),
    Word(
        "required",
        _TEXT,
        "what becomes of a new record without this value, for NOT NULL columns: `skip` leaves it out, `wait` keeps it "
        "until the record that it links to has come; both are warnings",
        "wait",
        ("skip", "wait"),
    ),
    Word(
        "lookup",
        _TEXT,
        "the name that stands for the ID: `pipeline` (of `pipeline_id`), `status` (of `[pipeline_id, status_id]`), "
        "`loss_reason` (of `loss_reason_id`), `task_type` and `task_type_code` (of `task_type_id`)",
        "status",
        tuple(LOOKUPS),
    ),
    Word("when_entity", _TEXT, "with `link`: only if `entity_type` is this", "companies"),
    Word("policy", _TEXT, "see [soft-update.md](soft-update.md)", "amo_wins", tuple(POLICIES)),
    Word("respect_clears", _FLAG, "true: a value that a person emptied stays empty", "true"),
    Word("label", _TEXT, "how pages call the column; left out: as amoCRM calls the field", "VIP level"),
)
SET = (
    Word("table", _TEXT, "the related table", "companies_phone"),
    Word("parent", _TEXT, "its column that points to the row", "company_id"),
    Word("field", _NAMES, "the custom field, by id, code or name", "PHONE"),
    Word(
        "from",
        _TEXTS,
        "in the place of `field`: properties that hold the items, each a text or a list of texts or of objects with "
        "`value` and `type`",
        "[phone, mobile]",
    ),
    Word("item", _TEXT, "what an item is", "phone", ("phone", "email")),
    Word("kind", _TEXTS, "only values of these kinds", "[WORK, MOB]"),
    Word(
        "rest",
        _FLAG,
        "true: all but the first valid number or address, for a CRM that keeps that one in the row itself",
        "true",
    ),
    Word(
        "columns",
        _SECTION,
        "names for `value`, `comment`, `type`, `position`, `source`; null for what the table does not have",
        "{value: number, comment: null}",
    ),
    Word(
        "service",
        _SECTION,
        "names for `id`, `raw_fields` (jsonb, needed), `created_at`, `updated_at`",
        "{created_at: null}",
    ),
    Word("defaults", _SECTION, "column → value, for columns of its own", "{is_public: false}"),
)
THROUGH = (
    Word("table", _TEXT, "the join table", "account_contacts"),
    Word("parent", _TEXT, "its column that points to the row of this stream", "contact_id"),
    Word("target", _TEXT, "its column that points to the other row", "account_id"),
    Word("from", _TEXT, "the property that holds the other records' ids: one or a list", "company_id"),
    Word("link", _TEXT, "the stream of the other records", "companies"),
    Word("when_entity", _TEXT, "only of records whose `entity_type` is this: notes and tasks", "companies"),
    Word("defaults", _SECTION, "column → value, for columns of its own", "{role: member}"),
)
SOURCE = (
    Word(
        "account",
        ("string", "object"),
        "the property that holds the account's number, or a number of your choice that stands for the source",
        "{value: 1}",
    ),
    Word("id", _TEXT, "the property that identifies a record: a number or any text (a UUID)", "Id"),
    Word("updated_at", _TEXT, "the property that holds when it was changed (`updated_at`)", "LastModifiedDate"),
    Word("created_at", _TEXT, "the property that holds when it was made (`created_at`)", "CreatedDate"),
    Word(
        "deleted",
        _TEXT,
        "the property that holds whether or when the record was deleted (`_sdc_deleted_at`)",
        "IsDeleted",
    ),
)
_PLAIN = ("string", "boolean", "integer")
FLAG = (
    Word("column", _TEXT, "the column that says whether a row is deleted", "status"),
    Word("deleted", _PLAIN, "what it holds in deleted rows (`true`)", "archived"),
    Word("live", _PLAIN, "what it holds in the others; `false` where `deleted` is true", "active"),
)
SECTIONS = {
    "root": ROOT,
    "stream": STREAM,
    "source": SOURCE,
    "flag": FLAG,
    "column": COLUMN,
    "set": SET,
    "through": THROUGH,
}


def names(section: str) -> frozenset[str]:
    """The words of a section."""
    return frozenset(word.name for word in SECTIONS[section])


def table(section: str) -> str:
    """The words of a section as a table of docs/mapping.md."""
    lines = ["| word | meaning | example |", "| --- | --- | --- |"]
    for word in SECTIONS[section]:
        choices = f" ({', '.join(f'`{choice}`' for choice in word.choices)})" if word.choices else ""
        lines.append(f"| `{word.name}` | {word.meaning}{choices} | `{word.example}` |")
    return "\n".join(lines)


if __name__ == "__main__":
    for wanted in sys.argv[1:] or SECTIONS:
        print(table(wanted))  # noqa: T201 - a command for those who write the page
