"""SQL that finds rows which are like records: keys of both sides in temporary tables, pairs, and what contradicts them.

The keys are made in Python, once for the rows and once for the records (`normalise.match_keys`); PostgreSQL joins them
by an index.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.match_rules import Part
from target_crm.sql.marks import ROLE, is_marked
from target_crm.sql.spec import I, S, comma, of_stream, tail, trusted
from target_crm.sql.staging_table import StagingTable, create, drop, make

# The number of rows of one key that are looked at; what is shared by more identifies nobody.
MOST_OF_A_KEY = 20


def _rows_name(number: int) -> str:
    return f"match_rows_{number}"


def rows_table(number: int) -> StagingTable:
    """The staging table of the keys of one stream's rows."""
    return StagingTable(_rows_name(number))


def _has_no_id(live: LiveTable) -> sql.Composable:
    """Whether row `crm` of the stream has no id of amoCRM."""
    table = live.mapping
    if table.match_only:
        return S("true")
    return S("crm.{} IS NULL{}").format(I(table.amo_id or ""), of_stream(live, "crm"))


def is_free(live: LiveTable, schema: str) -> sql.Composed:
    """Whether row `crm` belongs to no record: it has no id of amoCRM and never had one (`sync_keys` would know)."""
    table = live.mapping
    if table.match_only:
        return S("true").format()
    return S(
        """
        {has_no_id} AND NOT EXISTS (
            SELECT FROM {keys} AS known WHERE known.table_name = {name} AND known.row_id = crm.{id}::text
        )
        """
    ).format(has_no_id=_has_no_id(live), keys=I(schema, "sync_keys"), name=sql.Literal(table.table), id=I(table.id))


def some_free(live: LiveTable) -> sql.Composed:
    """One row if any row of the table has no id of amoCRM."""
    return S("SELECT 1 FROM {} AS crm WHERE {} LIMIT 1").format(live.identifier, _has_no_id(live))


def count_rows(live: LiveTable, schema: str, number: int, keys: Sequence[str]) -> sql.Composed:
    """How many of the rows with these keys are there, and have not been written to since that proposal was."""
    as_proposed: sql.Composable = S("true")
    if live.has_versions:
        as_proposed = S(
            "age(crm.xmin) >= (SELECT age(proposal.xmin) FROM {} AS proposal WHERE proposal.id = {})"
        ).format(I(schema, "sync_proposals"), sql.Literal(number))
    return S("SELECT count(*) FROM {} AS crm WHERE crm.{} = ANY({}::text[]::{}[]) AND {}").format(
        live.identifier,
        I(live.mapping.id),
        sql.Literal(list(keys)),
        trusted(live.columns[live.mapping.id].type_sql),
        as_proposed,
    )


def index_expressions(live: LiveTable, name: str) -> sql.Composed:
    """What an index of the table is made of, each as SQL."""
    return S(
        """
        SELECT pg_catalog.pg_get_indexdef(found.indexrelid, place, true)
        FROM pg_catalog.pg_index AS found
        JOIN pg_catalog.pg_class AS named ON named.oid = found.indexrelid,
            generate_series(1, found.indnkeyatts) AS place
        WHERE found.indrelid = {}::regclass AND named.relname = {} ORDER BY place
        """
    ).format(sql.Literal(live.identifier.as_string()), sql.Literal(name))


def rows_with(live: LiveTable, expressions: Sequence[str], values: str) -> sql.Composed:
    """The keys of rows whose values of these expressions (of PostgreSQL's own) are those of an error's DETAIL."""
    texts = [S("({})::text").format(trusted(e)) for e in expressions]
    return S("SELECT crm.{}::text FROM {} AS crm WHERE {} = {} LIMIT 5").format(
        I(live.mapping.id), live.identifier, S(" || ', ' || ").join(texts), sql.Literal(values)
    )


def create_rows(number: int) -> list[sql.Composed]:
    """The table of keys of rows, empty; it lives as long as the session."""
    name = _rows_name(number)
    return [drop(name), create(name, S("rule integer, key text, row_id text"), stays=True)]


def copy_rows(number: int) -> sql.Composed:
    """COPY of keys of rows."""
    return S("COPY {} (rule, key, row_id) FROM STDIN").format(rows_table(number))


def index_rows(number: int) -> list[sql.Composed]:
    """Indexes and statistics of a filled table."""
    texts = ("CREATE INDEX ON {} (key, rule)", "CREATE INDEX ON {} (row_id)", "ANALYZE {}")
    return [trusted(text).format(rows_table(number)) for text in texts]


def read_rows(live: LiveTable, parts: Sequence[Part], condition: sql.Composable) -> sql.Composed:
    """Key of each row `crm` of which the condition is true (`is_free`), then for each part its values as text, those of
    related tables included."""
    values, joins = [], []
    for number, part in enumerate(parts):
        found: list[sql.Composable] = [S("crm.{}::text").format(I(c.name)) for c in part.columns]
        for place, item_set in enumerate(part.sets):
            items = I(f"items_{number}_{place}")
            found.append(S("{}.texts").format(items))
            joins.append(
                S(
                    """
                    LEFT JOIN (
                        SELECT item.{parent} AS parent, string_agg(item.{value}::text, ' , ') AS texts
                        FROM {table} AS item GROUP BY item.{parent}
                    ) AS {items} ON {items}.parent = crm.{id}
                    """
                ).format(
                    parent=I(item_set.parent),
                    value=I(item_set.columns["value"]),
                    table=live.sets[item_set.name].identifier,
                    items=items,
                    id=I(live.mapping.id),
                )
            )
        values.append(found[0] if len(found) == 1 else S("concat_ws(' , ', {})").format(comma(found)))
    return S("SELECT crm.{}::text{} FROM {} AS crm {} WHERE {}").format(
        I(live.mapping.id), tail(values), live.identifier, S(" ").join(joins), condition
    )


def _given(keys: Sequence[tuple[int, int]]) -> sql.Composed:
    """Keys of records (account, id) as rows `given`, with their places from 1."""
    accounts, ids = ("{" + ",".join(str(key[place]) for key in keys) + "}" for place in range(2))
    return S("unnest({}::bigint[], {}::bigint[]) WITH ORDINALITY AS given(account_id, amo_id, place)").format(
        sql.Literal(accounts), sql.Literal(ids)
    )


def inserted_in(live: LiveTable, schema: str, run_id: int, keys: Sequence[tuple[int, int]]) -> sql.Composed:
    """Of the records with these keys the places, from 1, of those that a run has given new rows."""
    return S(
        """
        SELECT given.place FROM {given}
        JOIN {keys} AS known
            ON known.account_id = given.account_id AND known.table_name = {name} AND known.amo_id = given.amo_id
        WHERE EXISTS (
            SELECT FROM {changes} AS change
            WHERE change.row_id = known.row_id AND change.table_name = {name} AND change.run_id = {run}
                AND change.column_name = '*' AND change.old_value IS NULL
        )
        """
    ).format(
        given=_given(keys),
        keys=I(schema, "sync_keys"),
        changes=I(schema, "sync_changes"),
        run=sql.Literal(run_id),
        name=sql.Literal(live.mapping.table),
    )


def new_keys(live: LiveTable, schema: str, keys: Sequence[tuple[int, int]]) -> sql.Composed:
    """Of the records with these keys the places, from 1, of those that have no row and never had one."""
    table = live.mapping
    joined: sql.Composable = S("")
    has_no_row: sql.Composable = S("")
    if not table.match_only:
        joined = S("LEFT JOIN {} AS crm ON crm.{} = given.account_id AND crm.{} = given.amo_id{}").format(
            live.identifier, I(table.account or ""), I(table.amo_id or ""), of_stream(live, "crm")
        )
        has_no_row = S(" AND crm.{} IS NULL").format(I(table.id))
    return S(
        """
        SELECT given.place FROM {given}
        {joined}
        LEFT JOIN {keys} AS known
            ON known.account_id = given.account_id AND known.table_name = {name} AND known.amo_id = given.amo_id
        WHERE known.row_id IS NULL{has_no_row}
        """
    ).format(
        given=_given(keys),
        joined=joined,
        keys=I(schema, "sync_keys"),
        name=sql.Literal(table.table),
        has_no_row=has_no_row,
    )


_RECORDS, _PAIRS = StagingTable("match_records"), StagingTable("match_pairs")
CREATE_RECORDS = [
    drop("match_records"),
    create(
        "match_records",
        S("record_number bigint, account_id bigint, rule integer, key text, refused text[]"),
        stays=True,
    ),
]
COPY_RECORDS = S("COPY {} (record_number, account_id, rule, key, refused) FROM STDIN").format(_RECORDS)
INDEX_RECORDS = [S("CREATE INDEX ON {} (record_number, rule)").format(_RECORDS), S("ANALYZE {}").format(_RECORDS)]


def hits(number: int) -> sql.Composed:
    """Of the staged records those that share a key with a row: record, the strongest such rule, one such row."""
    return S(
        """
        SELECT record.record_number, record.rule, min(alike.row_id)
        FROM {} AS record
        JOIN {} AS alike ON alike.key = record.key AND alike.rule = record.rule
        GROUP BY record.record_number, record.rule ORDER BY record.record_number, record.rule
        """
    ).format(_RECORDS, rows_table(number))


def find_pairs(live: LiveTable, schema: str, number: int, rules: int) -> list[sql.Composed]:
    """The table crm_match_pairs: records and rows that share a key of one of the first `rules` rules.

    `keys` are those that they share, `is_crowded` tells that more rows share one than are looked at.
    """
    table = live.mapping
    not_taken: sql.Composable = S("")
    if table.match_only:
        not_taken = S(
            """
            AND NOT EXISTS (
                SELECT FROM {} AS known
                WHERE known.account_id = record.account_id AND known.table_name = {} AND known.row_id = alike.row_id
            )
            """
        ).format(I(schema, "sync_keys"), sql.Literal(table.table))
    query = S(
        """
        SELECT record.record_number, record.rule, alike.row_id, array_agg(record.key) AS keys,
            bool_or(alike.rows_of_key > {most}) AS is_crowded
        FROM {records} AS record
        JOIN (
            SELECT keyed.*, row_number() OVER shortest_first AS place,
                count(*) OVER (PARTITION BY keyed.rule, keyed.key) AS rows_of_key
            FROM {rows} AS keyed
            WHERE (keyed.rule, keyed.key) IN (SELECT rule, key FROM {records})
            WINDOW shortest_first AS (PARTITION BY keyed.rule, keyed.key ORDER BY length(keyed.row_id), keyed.row_id)
        ) AS alike ON alike.rule = record.rule AND alike.key = record.key
        WHERE record.rule < {rules} AND alike.place <= {most} AND alike.row_id <> ALL(record.refused)
            AND EXISTS (SELECT FROM {table} AS crm WHERE crm.{id} = alike.row_id::{type} AND {free}) {not_taken}
        GROUP BY record.record_number, record.rule, alike.row_id
        """
    ).format(
        most=sql.Literal(MOST_OF_A_KEY),
        records=_RECORDS,
        rows=rows_table(number),
        rules=sql.Literal(rules),
        table=live.identifier,
        id=I(table.id),
        type=trusted(live.columns[table.id].type_sql),
        free=S("true") if table.match_only else S("crm.{} IS NULL").format(I(table.amo_id or "")),
        not_taken=not_taken,
    )
    return [drop("match_pairs"), make("match_pairs", query, stays=True), S("ANALYZE {}").format(_PAIRS)]


def _of_deleted_row(live: LiveTable) -> sql.Composable:
    """Whether the row of `pair` is marked as deleted in the CRM."""
    if live.mapping.match_only or live.mapping.service.get(ROLE) is None:
        return S("false")
    return S("EXISTS (SELECT FROM {} AS crm WHERE crm.{} = pair.row_id::{} AND {})").format(
        live.identifier, I(live.mapping.id), trusted(live.columns[live.mapping.id].type_sql), is_marked(live, "crm")
    )


def read_pairs(live: LiveTable, number: int) -> sql.Composed:
    """Each pair with the stronger rules that contradict it (both sides have values, and none in common), the keys that
    it shares, whether the rows of one are too many, and whether the row is marked as deleted."""
    return S(
        """
        SELECT pair.record_number, pair.rule, pair.row_id, pair.keys, pair.is_crowded, {marked} AS is_marked,
            ARRAY(
                SELECT DISTINCT stronger.rule FROM {records} AS stronger
                WHERE stronger.record_number = pair.record_number AND stronger.rule < pair.rule
                    AND EXISTS (
                        SELECT FROM {rows} AS held WHERE held.row_id = pair.row_id AND held.rule = stronger.rule
                    )
                    AND NOT EXISTS (
                        SELECT FROM {rows} AS held
                        JOIN {records} AS given ON given.rule = held.rule AND given.key = held.key
                        WHERE held.row_id = pair.row_id AND held.rule = stronger.rule
                            AND given.record_number = pair.record_number
                    )
            ) AS contradicting
        FROM {pairs} AS pair ORDER BY pair.rule, pair.record_number, length(pair.row_id), pair.row_id
        """
    ).format(rows=rows_table(number), records=_RECORDS, pairs=_PAIRS, marked=_of_deleted_row(live))
