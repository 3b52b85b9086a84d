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
        "time zone of `timestamp` columns; default: the database's time zone",
        "Europe/Moscow",
    ),
    Word("ignore", _TEXTS, "streams to skip without a warning", "[tags, events]"),
    Word("streams", _SECTION, "the streams, by name", "{companies: {...}}"),
)
STREAM = (
    Word(
        "table",
        _TEXT,
        "the table, with or without a schema; several streams may share a table, see below",
        "public.firm",
    ),
    Word("stream", _TEXT, "the stream whose records are loaded, if the entry has another name", "contacts"),
    Word(
        "where",
        _SECTION,
        "path → the value or values that a record must have; `{not: ...}` excludes values, null stands for an empty "
        "one. Records that do not match are left out; rows that they already have are not changed",
        "{pipeline_id: [7, 9], status_id: {not: 143}}",
    ),
    Word(
        "key",
        _SECTION,
        "columns that identify a row: `id` is its primary key (uuid, integer or text, filled by the database itself); "
        "`account` and `amo_id` are the two `bigint` columns that identify amoCRM's record (`amo_account_id`, "
        "`amo_id`), unique together, and empty in rows that people add. `source` is for records of other systems: see "
        "[other-sources.md](other-sources.md)",
        "{id: id, account: amo_account, amo_id: amo_id}",
    ),
    Word(
        "service",
        _SECTION,
        "system columns, with the names of [tables.md](tables.md); null if the table lacks one. Only `raw_fields` is "
        "required. `amo_deleted_at` may be a flag: see below",
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
        "column → value, written on insert when amoCRM sends none; `now` is the time of the load in a time column, an "
        "object is for jsonb; `{sql: ...}` is computed by the database for each row, in columns that are not mapped",
        '{is_active: true, token: {sql: "gen_random_uuid()::text"}}',
    ),
    Word(
        "match",
        _TEXTS,
        "rules by which records are matched with existing rows, the strongest first: columns, sets, or lists of those "
        "that must all agree ([matching.md](matching.md))",
        "[inn, phones, [name, city]]",
    ),
    Word(
        "on_ambiguous",
        _TEXT,
        "what happens to a record that matches several rows, or a row that other records match as well: it waits for "
        "a decision, or gets a new row",
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
        "true: only match, never write to this table (employees that are kept elsewhere); it then needs only the "
        "column `key.id`",
        "true",
    ),
    Word(
        "properties",
        _TEXTS,
        "names of properties that a stream map adds; they are not checked",
        "[main_contact_id]",
    ),
    Word(
        "label",
        _TEXT,
        "the name of a row on pages: a template of its columns, `{column}`",
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
        "a property's path; several paths for transformations that take several, or with `first`",
        "result.text",
    ),
    Word(
        "field",
        _NAMES,
        "a custom field by ID, code or name; of several, the first that the record has",
        "[12345, INN, ИНН]",
    ),
    Word(
        "template",
        _TEXT,
        "text with values in braces: parts of the `field`'s value, or, without `field`, properties (`{price}`) and "
        "custom fields (`{field:Город}`). An empty value is left out together with the text before it",
        '"{city}, {address_line_1}"',
    ),
    Word(
        "part",
        _TEXT,
        "a key inside an object value (`vat_id` of a legal entity, `city` of an address), always of the first value "
        "that is not empty, so that the parts belong together; plain text is taken as it is",
        "vat_id",
    ),
    Word(
        "kind",
        _TEXTS,
        "only values of this kind: WORK, MOB or HOME of a phone; of several kinds, the first that the record has",
        "MOB",
    ),
    Word(
        "nth",
        ("integer",),
        "the value at this position, counted from 1; of phones and addresses only valid, distinct ones count",
        "2",
    ),
    Word("rest", _FLAG, "true: all values except the first, counted in the same way", "true"),
    Word(
        "first",
        _FLAG,
        "true: of several values or properties, the first that is not empty. Without it, several values are joined in "
        "a text column, become a list in a jsonb column, and give a warning in a column for one number, time or "
        "choice",
        "true",
    ),
    Word("join", _TEXT, "the separator of several values in a text column; default: `, `", '"; "'),
    Word("transform", _TEXT, "see below; default: by the column's type", "phone", tuple(TRANSFORMS)),
    Word(
        "factor",
        _NUMBER,
        "a factor for numbers: 100 stores roubles in a column of kopecks, 0.01 the reverse",
        "1000000",
    ),
    Word(
        "values",
        _SECTION,
        "amoCRM's value → the CRM's value (choices), also for names that `lookup` finds. A value that is not listed "
        'gives a warning and leaves the column unchanged, unless `"*"` is listed',
        "{Клиент: client}",
    ),
    Word(
        "link",
        ("string", "object"),
        "the stream whose row the value (an ID) references; for a polymorphic link, each stream with its value of "
        "`type_column` (`{companies: Account, contacts: Contact}`)",
        "companies",
    ),
    Word(
        "type_column",
        _TEXT,
        "the column with the kind of row that a polymorphic link references (`record_type`, `content_type_id`, "
        "`res_model`)",
        "record_type",
    ),
    Word(
        "via",
        _TEXT,
        "LINK.COLUMN: the value is COLUMN of the row that the link column LINK of this table references; together "
        "with `link`, only if the link is empty",
        "contact_id.company_id",
    ),
    Word(
        "required",
        _TEXT,
        "what happens to a new record without this value, for NOT NULL columns: `skip` leaves it out, `wait` keeps it "
        "until the linked record has arrived; both give a warning",
        "wait",
        ("skip", "wait"),
    ),
    Word(
        "lookup",
        _TEXT,
        "the name that replaces the ID: `pipeline` (of `pipeline_id`), `status` (of `[pipeline_id, status_id]`), "
        "`loss_reason` (of `loss_reason_id`), `task_type` and `task_type_code` (of `task_type_id`)",
        "status",
        tuple(LOOKUPS),
    ),
    Word("when_entity", _TEXT, "with `link`: only if `entity_type` is this", "companies"),
    Word("policy", _TEXT, "see [soft-update.md](soft-update.md)", "amo_wins", tuple(POLICIES)),
    Word("respect_clears", _FLAG, "true: a value that a person emptied stays empty", "true"),
    Word("label", _TEXT, "the column's name on pages; default: amoCRM's name of the field", "VIP level"),
)
SET = (
    Word("table", _TEXT, "the related table", "companies_phone"),
    Word("parent", _TEXT, "its column that references the row", "company_id"),
    Word("field", _NAMES, "the custom field, by id, code or name", "PHONE"),
    Word(
        "from",
        _TEXTS,
        "instead of `field`: properties that hold the items, each a text, a list of texts, or a list of objects with "
        "`value` and `type`",
        "[phone, mobile]",
    ),
    Word("item", _TEXT, "what an item is", "phone", ("phone", "email")),
    Word("kind", _TEXTS, "only values of these kinds", "[WORK, MOB]"),
    Word(
        "rest",
        _FLAG,
        "true: all except the first valid number or address, for a CRM that keeps the first one in the row itself",
        "true",
    ),
    Word(
        "columns",
        _SECTION,
        "names for `value`, `comment`, `type`, `position`, `source`; null if the table lacks one",
        "{value: number, comment: null}",
    ),
    Word(
        "service",
        _SECTION,
        "names for `id`, `raw_fields` (jsonb, required), `created_at`, `updated_at`",
        "{created_at: null}",
    ),
    Word("defaults", _SECTION, "column → value, for further columns of the table", "{is_public: false}"),
)
THROUGH = (
    Word("table", _TEXT, "the join table", "account_contacts"),
    Word("parent", _TEXT, "its column that references the row of this stream", "contact_id"),
    Word("target", _TEXT, "its column that references the other row", "account_id"),
    Word("from", _TEXT, "the property with the IDs of the other records: one ID or a list", "company_id"),
    Word("link", _TEXT, "the stream of the other records", "companies"),
    Word("when_entity", _TEXT, "only for records with this `entity_type` (notes and tasks)", "companies"),
    Word("defaults", _SECTION, "column → value, for further columns of the table", "{role: member}"),
)
SOURCE = (
    Word(
        "account",
        ("string", "object"),
        "the property with the account's number, or a number of your choice for this source",
        "{value: 1}",
    ),
    Word("id", _TEXT, "the property that identifies a record: a number or any text (a UUID)", "Id"),
    Word("updated_at", _TEXT, "the property with the time of the last change (`updated_at`)", "LastModifiedDate"),
    Word("created_at", _TEXT, "the property with the time of creation (`created_at`)", "CreatedDate"),
    Word(
        "deleted",
        _TEXT,
        "the property that tells whether or when the record was deleted (`_sdc_deleted_at`)",
        "IsDeleted",
    ),
)
_PLAIN = ("string", "boolean", "integer")
FLAG = (
    Word("column", _TEXT, "the column that shows whether a row is deleted", "status"),
    Word("deleted", _PLAIN, "its value in deleted rows (`true`)", "archived"),
    Word("live", _PLAIN, "its value in other rows; default: `false` if `deleted` is true", "active"),
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
