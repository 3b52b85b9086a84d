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


def is_free(live: LiveTable, schema: str) -> sql.Composed:
    """Whether row `t` belongs to no record: it has no id of amoCRM and never had one (`sync_keys` would know)."""
    table = live.mapping
    if table.match_only:
        return S("true").format()
    return S(
        "t.{} IS NULL{} AND NOT EXISTS (SELECT FROM {} AS k WHERE k.table_name = {} AND k.row_id = t.{}::text)"
    ).format(I(table.amo_id or ""), of_stream(live, "t"), I(schema, "sync_keys"), sql.Literal(table.table), I(table.id))


def some_free(live: LiveTable) -> sql.Composed:
    """One row if any row of the table has no id of amoCRM."""
    table = live.mapping
    free = S("true") if table.match_only else S("t.{} IS NULL{}").format(I(table.amo_id or ""), of_stream(live, "t"))
    return S("SELECT 1 FROM {} AS t WHERE {} LIMIT 1").format(live.identifier, free)


def count_rows(live: LiveTable, schema: str, number: int, keys: Sequence[str]) -> sql.Composed:
    """How many of the rows with these keys are there, and have not been written to since that proposal was."""
    as_proposed: sql.Composable = S("true")
    if live.has_versions:
        as_proposed = S("age(t.xmin) >= (SELECT age(p.xmin) FROM {} AS p WHERE p.id = {})").format(
            I(schema, "sync_proposals"), sql.Literal(number)
        )
    return S("SELECT count(*) FROM {} AS t WHERE t.{} = ANY({}::text[]::{}[]) AND {}").format(
        live.identifier,
        I(live.mapping.id),
        sql.Literal(list(keys)),
        trusted(live.columns[live.mapping.id].type_sql),
        as_proposed,
    )


def index_expressions(live: LiveTable, name: str) -> sql.Composed:
    """What an index of the table is made of, each as SQL."""
    return S(
        "SELECT pg_catalog.pg_get_indexdef(x.indexrelid, n, true) FROM pg_catalog.pg_index AS x "
        "JOIN pg_catalog.pg_class AS i ON i.oid = x.indexrelid, generate_series(1, x.indnkeyatts) AS n "
        "WHERE x.indrelid = {}::regclass AND i.relname = {} ORDER BY n"
    ).format(sql.Literal(live.identifier.as_string()), sql.Literal(name))


def rows_with(live: LiveTable, expressions: Sequence[str], values: str) -> sql.Composed:
    """The keys of rows whose values of these expressions (of PostgreSQL's own) are those of an error's DETAIL."""
    texts = [S("({})::text").format(trusted(e)) for e in expressions]
    return S("SELECT t.{}::text FROM {} AS t WHERE {} = {} LIMIT 5").format(
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
    """Key of each row `t` of which the condition is true (`is_free`), then for each part its values as text, those of
    related tables included."""
    values, joins = [], []
    for number, part in enumerate(parts):
        found: list[sql.Composable] = [S("t.{}::text").format(I(c.name)) for c in part.columns]
        for place, item_set in enumerate(part.sets):
            alias = I(f"x{number}_{place}")
            found.append(S("{}.v").format(alias))
            child = live.sets[item_set.name]
            joins.append(
                S(
                    "LEFT JOIN (SELECT c.{parent} AS parent, string_agg(c.{value}::text, ' , ') AS v FROM {table} AS c "
                    "GROUP BY c.{parent}) AS {alias} ON {alias}.parent = t.{id}"
                ).format(
                    parent=I(item_set.parent),
                    value=I(item_set.columns["value"]),
                    table=child.identifier,
                    alias=alias,
                    id=I(live.mapping.id),
                )
            )
        values.append(found[0] if len(found) == 1 else S("concat_ws(' , ', {})").format(comma(found)))
    return S("SELECT t.{}::text{} FROM {} AS t {} WHERE {}").format(
        I(live.mapping.id), tail(values), live.identifier, S(" ").join(joins), condition
    )


def inserted_in(live: LiveTable, schema: str, run_id: int, keys: Sequence[tuple[int, int]]) -> sql.Composed:
    """Of the records with these keys the places, from 1, of those that a run has given new rows."""
    accounts, ids = ("{" + ",".join(str(key[place]) for key in keys) + "}" for place in range(2))
    return S(
        "SELECT x.n FROM unnest({}::bigint[], {}::bigint[]) WITH ORDINALITY AS x(a, i, n) "
        "JOIN {} AS k ON k.account_id = x.a AND k.table_name = {name} AND k.amo_id = x.i "
        "WHERE EXISTS (SELECT FROM {} AS c WHERE c.row_id = k.row_id AND c.table_name = {name} AND c.run_id = {} "
        "AND c.column_name = '*' AND c.old_value IS NULL)"
    ).format(
        sql.Literal(accounts),
        sql.Literal(ids),
        I(schema, "sync_keys"),
        I(schema, "sync_changes"),
        sql.Literal(run_id),
        name=sql.Literal(live.mapping.table),
    )


def new_keys(live: LiveTable, schema: str, keys: Sequence[tuple[int, int]]) -> sql.Composed:
    """Of the records with these keys the places, from 1, of those that have no row and never had one."""
    table = live.mapping
    joined: sql.Composable = S("")
    condition: sql.Composable = S("k.row_id IS NULL")
    if not table.match_only:
        joined = S("LEFT JOIN {} AS t ON t.{} = x.a AND t.{} = x.i{}").format(
            live.identifier, I(table.account or ""), I(table.amo_id or ""), of_stream(live, "t")
        )
        condition = S("k.row_id IS NULL AND t.{} IS NULL").format(I(table.id))
    accounts, ids = ("{" + ",".join(str(key[place]) for key in keys) + "}" for place in range(2))
    return S(
        "SELECT x.n FROM unnest({}::bigint[], {}::bigint[]) WITH ORDINALITY AS x(a, i, n) {} "
        "LEFT JOIN {} AS k ON k.account_id = x.a AND k.table_name = {} AND k.amo_id = x.i WHERE {}"
    ).format(
        sql.Literal(accounts),
        sql.Literal(ids),
        joined,
        I(schema, "sync_keys"),
        sql.Literal(table.table),
        condition,
    )


_RECORDS, _PAIRS = StagingTable("match_records"), StagingTable("match_pairs")
CREATE_RECORDS = [
    drop("match_records"),
    create("match_records", S("rec bigint, a bigint, rule integer, key text, refused text[]"), stays=True),
]
COPY_RECORDS = S("COPY {} (rec, a, rule, key, refused) FROM STDIN").format(_RECORDS)
INDEX_RECORDS = [S("CREATE INDEX ON {} (rec, rule)").format(_RECORDS), S("ANALYZE {}").format(_RECORDS)]


def hits(number: int) -> sql.Composed:
    """Of the staged records those that share a key with a row: record, the strongest such rule, one such row."""
    return S(
        "SELECT m.rec, m.rule, min(r.row_id) FROM {} AS m JOIN {} AS r ON r.key = m.key "
        "AND r.rule = m.rule GROUP BY m.rec, m.rule ORDER BY m.rec, m.rule"
    ).format(_RECORDS, rows_table(number))


def find_pairs(live: LiveTable, schema: str, number: int, rules: int) -> list[sql.Composed]:
    """The table crm_match_pairs: records and rows that share a key of one of the first `rules` rules.

    `keys` are those that they share, `crowded` tells that more rows share one than are looked at.
    """
    table = live.mapping
    taken: sql.Composable = S("")
    if table.match_only:
        taken = S(
            "AND NOT EXISTS (SELECT FROM {} AS k WHERE k.account_id = m.a AND k.table_name = {} "
            "AND k.row_id = r.row_id)"
        ).format(I(schema, "sync_keys"), sql.Literal(table.table))
    free = S("true") if table.match_only else S("t.{} IS NULL").format(I(table.amo_id or ""))
    still = S("EXISTS (SELECT FROM {} AS t WHERE t.{} = r.row_id::{} AND {})").format(
        live.identifier, I(table.id), trusted(live.columns[table.id].type_sql), free
    )
    query = S(
        "SELECT m.rec, m.rule, r.row_id, array_agg(m.key) AS keys, "
        "bool_or(r.n > {most}) AS crowded FROM {records} AS m JOIN (SELECT x.*, "
        "row_number() OVER w AS place, count(*) OVER (PARTITION BY x.rule, x.key) AS n "
        "FROM {rows} AS x "
        "WHERE (x.rule, x.key) IN (SELECT rule, key FROM {records}) "
        "WINDOW w AS (PARTITION BY x.rule, x.key ORDER BY length(x.row_id), x.row_id)) AS r "
        "ON r.rule = m.rule AND r.key = m.key "
        "WHERE m.rule < {rules} AND r.place <= {most} AND r.row_id <> ALL(m.refused) AND {still} {taken} "
        "GROUP BY m.rec, m.rule, r.row_id"
    ).format(
        most=sql.Literal(MOST_OF_A_KEY),
        records=_RECORDS,
        rows=rows_table(number),
        rules=sql.Literal(rules),
        still=still,
        taken=taken,
    )
    return [drop("match_pairs"), make("match_pairs", query, stays=True), S("ANALYZE {}").format(_PAIRS)]


def _of_deleted_row(live: LiveTable) -> sql.Composable:
    """Whether the row of pair `p` is marked as deleted in the CRM."""
    if live.mapping.match_only or live.mapping.service.get(ROLE) is None:
        return S("false")
    return S("EXISTS (SELECT FROM {} AS t WHERE t.{} = p.row_id::{} AND {})").format(
        live.identifier, I(live.mapping.id), trusted(live.columns[live.mapping.id].type_sql), is_marked(live, "t")
    )


def read_pairs(live: LiveTable, number: int) -> sql.Composed:
    """Each pair with the stronger rules that contradict it (both sides have values, and none in common), the keys that
    it shares, whether the rows of one are too many, and whether the row is marked as deleted."""
    return S(
        "SELECT p.rec, p.rule, p.row_id, p.keys, p.crowded, {marked} AS marked, "
        "ARRAY(SELECT DISTINCT a.rule FROM {records} AS a WHERE a.rec = p.rec AND a.rule < p.rule "
        "AND EXISTS (SELECT FROM {rows} AS b WHERE b.row_id = p.row_id AND b.rule = a.rule) "
        "AND NOT EXISTS (SELECT FROM {rows} AS b JOIN {records} AS c ON c.rule = b.rule AND c.key = b.key "
        "WHERE b.row_id = p.row_id AND b.rule = a.rule AND c.rec = p.rec)) AS against "
        "FROM {pairs} AS p ORDER BY p.rule, p.rec, length(p.row_id), p.row_id"
    ).format(rows=rows_table(number), records=_RECORDS, pairs=_PAIRS, marked=_of_deleted_row(live))
