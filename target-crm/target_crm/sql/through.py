"""SQL of join tables, merged as sets: what a record links to, three ways.

base = what the record linked to the last time (sync_links), ours = the rows of the join table, theirs = what it links
to now. A row that a person added, changed or removed stays so; a link whose other end has not come is made when it
comes.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.model import Through
from target_crm.sql.journal import write_entries
from target_crm.sql.spec import I, S, comma, of_stream, trusted
from target_crm.sql.staging_table import StagingTable, create, on_citus

_STAGED = StagingTable("through")
CREATE = create("through", S("a bigint, i bigint, refs bigint[]"))
TRUNCATE = S("TRUNCATE {}").format(_STAGED)
COPY = S("COPY {} (a, i, refs) FROM STDIN").format(_STAGED)


class ThroughSpec:
    """One join table of one stream: names composed once."""

    def __init__(self, schema: str, run_id: int, owner: LiveTable, through: Through, target: LiveTable) -> None:
        self.schema, self.run_id, self.owner, self.through, self.target = schema, run_id, owner, through, target
        self.live = owner.through[through.name]

    @property
    def links(self) -> sql.Identifier:
        """The table of the base."""
        return I(self.schema, "sync_links")

    @property
    def name(self) -> sql.Literal:
        """The join table as the loader's tables name it."""
        return sql.Literal(self.through.table)

    def row_key(self, document: sql.Composable) -> sql.Composed:
        """What the journal calls a row, given as a document: its primary key, or the two keys that it holds."""
        if self.through.key is not None:
            return S("({}->>{})").format(document, sql.Literal(self.through.key))
        return S("concat_ws(':', {d}->>{}, {d}->>{})").format(
            sql.Literal(self.through.parent), sql.Literal(self.through.target), d=document
        )

    @property
    def _named_by(self) -> tuple[str, ...]:
        """The columns by which a row is known."""
        through = self.through
        return (through.parent, through.target) if through.key is None else (through.key,)

    @property
    def own_key(self) -> sql.Composed:
        """Those columns of row `c`."""
        return comma(S("c.{}").format(I(name)) for name in self._named_by)

    def same_row(self, other: str) -> sql.Composed:
        """Whether row `c` is the one whose `own_key` another row holds."""
        return S(" AND ").join(S("c.{c} = {}.{c}").format(I(other), c=I(name)) for name in self._named_by)

    def as_written(self, document: sql.Composable) -> sql.Composed:
        """Whether row `c` is the one of the document, and as it was written."""
        pair = S(" AND ").join(
            S("c.{c} = ({}->>{})::{}").format(
                document, sql.Literal(name), trusted(self.live.columns[name].type_sql), c=I(name)
            )
            for name in (self.through.parent, self.through.target)
        )
        return S("{} AND jsonb_strip_nulls(to_jsonb(c)) = jsonb_strip_nulls({})").format(pair, document)

    def journal(self, changes: sql.Composable, source: str) -> sql.Composed:
        """`INSERT INTO sync_changes` of rows `old_value`, `new_value` that a part of the statement gives."""
        key = self.row_key(S("coalesce(x.new_value, x.old_value)"))
        entries = S("SELECT {}, '*', x.old_value, x.new_value FROM {} AS x").format(key, I(source))
        return write_entries(self.schema, self.run_id, self.through.table, entries, changes)


def remove(s: ThroughSpec) -> sql.Composed:
    """Removes what came before and is gone from amoCRM: the links, and those of their rows that nobody changed."""
    changes = S(
        "lost AS (DELETE FROM {links} AS k USING {staged} AS x WHERE k.account_id = x.a "
        "AND k.table_name = {name} AND k.amo_id = x.i AND k.ref <> ALL (x.refs) RETURNING k.document), "
        "gone AS MATERIALIZED (SELECT {own_key} FROM {table} AS c JOIN lost ON lost.document IS NOT NULL AND {same} "
        "{locked}), "
        "removed AS (DELETE FROM {table} AS c USING gone WHERE {same_row} RETURNING c.*), "
        "dropped AS (SELECT to_jsonb(removed.*) AS old_value, NULL::jsonb AS new_value FROM removed)"
    ).format(
        links=s.links,
        name=s.name,
        table=s.live.identifier,
        same=s.as_written(S("lost.document")),
        own_key=s.own_key,
        same_row=s.same_row("gone"),
        # Citus 13.2.2 can't read the result of such a part where it locks rows that it joined with another part.
        locked=on_citus(S("FOR UPDATE OF c"), S("")),
        staged=_STAGED,
    )
    return s.journal(changes, "dropped")


def add(s: ThroughSpec) -> sql.Composed:
    """Remembers what is new."""
    return S(
        "INSERT INTO {} (account_id, table_name, amo_id, ref) SELECT x.a, {}, x.i, r.ref FROM {} AS x "
        "CROSS JOIN LATERAL unnest(x.refs) AS r(ref) ON CONFLICT DO NOTHING"
    ).format(s.links, s.name, _STAGED)


def _row(live: LiveTable, schema: str, alias: str, account: sql.Composable, amo_id: sql.Composable) -> sql.Composed:
    """`JOIN` of the row that a record has."""
    table, a = live.mapping, I(alias)
    if not table.match_only:
        return S("JOIN {} AS {a} ON {a}.{} = {} AND {a}.{} = {}{}").format(
            live.identifier, I(table.account or ""), account, I(table.amo_id or ""), amo_id, of_stream(live, alias), a=a
        )
    keys = I(f"k_{alias}")
    return S(
        "JOIN {} AS {k} ON {k}.account_id = {} AND {k}.table_name = {} AND {k}.amo_id = {} "
        "JOIN {} AS {a} ON {a}.{} = {k}.row_id::{}"
    ).format(
        I(schema, "sync_keys"),
        account,
        sql.Literal(table.table),
        amo_id,
        live.identifier,
        I(table.id),
        trusted(live.columns[table.id].type_sql),
        k=keys,
        a=a,
    )


def make(s: ThroughSpec, of: sql.Composable) -> sql.Composed:
    """Makes the rows of links whose two ends are there; `of` says of which links `k`. A row that is there stays."""
    through, names = s.through, [s.through.parent, s.through.target, *s.through.defaults]
    values: list[sql.Composable] = [S("d.owner"), S("d.other"), *map(sql.Literal, through.defaults.values())]
    account, owner, other = S("k.account_id"), S("k.amo_id"), S("k.ref")
    changes = S(
        "due AS MATERIALIZED (SELECT k.account_id, k.amo_id, k.ref, t.{owner_id} AS owner, p.{other_id} AS other, "
        "EXISTS (SELECT FROM {table} AS c WHERE c.{parent} = t.{owner_id} AND c.{target} = p.{other_id}) AS there "
        "FROM {links} AS k {owner} {other} WHERE k.table_name = {name} AND NOT k.is_made AND {of}), "
        "added AS (INSERT INTO {table} AS c ({names}) SELECT {values} FROM (SELECT DISTINCT owner, other FROM due "
        "WHERE NOT there ORDER BY owner, other) AS d RETURNING c.*), "
        "made AS MATERIALIZED (SELECT added.{parent} AS owner, added.{target} AS other, NULL::jsonb AS old_value, "
        "to_jsonb(added.*) AS new_value FROM added), "
        "known AS (UPDATE {links} AS k SET is_made = true, document = m.new_value FROM due AS d LEFT JOIN made AS m "
        "ON m.owner = d.owner AND m.other = d.other WHERE (d.there OR m.owner IS NOT NULL) AND k.table_name = {name} "
        "AND k.account_id = d.account_id AND k.amo_id = d.amo_id AND k.ref = d.ref)"
    ).format(
        owner_id=I(s.owner.mapping.id),
        other_id=I(s.target.mapping.id),
        table=s.live.identifier,
        parent=I(through.parent),
        target=I(through.target),
        links=s.links,
        owner=_row(s.owner, s.schema, "t", account, owner),
        other=_row(s.target, s.schema, "p", account, other),
        name=s.name,
        of=of,
        names=comma(map(I, names)),
        values=comma(values),
    )
    return s.journal(changes, "made")


def row_of(
    live: LiveTable, schema: str, alias: str, key: sql.Composable, account: sql.Composable | None
) -> sql.Composed:
    """`JOIN` of the record (account_id, amo_id) that the row with that key, a text, is of."""
    table, a = live.mapping, I(alias)
    same = S("true") if account is None else S("{}.account_id = {}").format(a, account)
    if table.match_only:
        return S("JOIN {} AS {a} ON {a}.table_name = {} AND {a}.row_id = {} AND {}").format(
            I(schema, "sync_keys"), sql.Literal(table.table), key, same, a=a
        )
    return S(
        "JOIN (SELECT t.{} AS id, t.{} AS account_id, t.{} AS amo_id FROM {} AS t) AS {a} ON {a}.id = {}::{} AND {}"
    ).format(
        I(table.id),
        I(table.account or ""),
        I(table.amo_id or ""),
        live.identifier,
        key,
        trusted(live.columns[table.id].type_sql),
        same,
        a=a,
    )


OF_STAGED = S("EXISTS (SELECT FROM {} AS x WHERE x.a = k.account_id AND x.i = k.amo_id)").format(_STAGED)


def some_wait(s: ThroughSpec, accounts: Sequence[int]) -> sql.Composed:
    """One row if links of these accounts wait for their other end."""
    return S(
        "SELECT 1 FROM {} AS k WHERE k.account_id = ANY({}) AND k.table_name = {} AND NOT k.is_made LIMIT 1"
    ).format(s.links, sql.Literal(list(accounts)), s.name)


def of_accounts(accounts: Sequence[int]) -> sql.Composed:
    """All links of these accounts."""
    return S("k.account_id = ANY({})").format(sql.Literal(list(accounts)))
