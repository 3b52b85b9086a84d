"""SQL of join tables, merged as sets: what a record links to, three ways.

base = what the record linked to the last time (sync_links), ours = the rows of the join table, theirs = what it links
to now. A row that a person added, changed or removed stays so; a link whose other end has not come is made when it
comes.
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable
from target_crm.mapping.foreign_keys import ForeignKey
from target_crm.mapping.model import Through
from target_crm.sql.journal import write_entries
from target_crm.sql.pointing import unreferenced
from target_crm.sql.spec import I, S, comma, of_stream, trusted
from target_crm.sql.staging_table import StagingTable, create, on_citus

_STAGED = StagingTable("through")
CREATE = create("through", S("account_id bigint, amo_id bigint, refs bigint[]"))
TRUNCATE = S("TRUNCATE {}").format(_STAGED)
COPY = S("COPY {} (account_id, amo_id, refs) FROM STDIN").format(_STAGED)


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
        """Those columns of row `joined`."""
        return comma(S("joined.{}").format(I(name)) for name in self._named_by)

    def same_row(self, other: str) -> sql.Composed:
        """Whether row `joined` is the one whose `own_key` another row holds."""
        return S(" AND ").join(S("joined.{c} = {}.{c}").format(I(other), c=I(name)) for name in self._named_by)

    def as_written(self, document: sql.Composable) -> sql.Composed:
        """Whether row `joined` is the one of the document, and as it was written."""
        pair = S(" AND ").join(
            S("joined.{c} = ({}->>{})::{}").format(
                document, sql.Literal(name), trusted(self.live.columns[name].type_sql), c=I(name)
            )
            for name in (self.through.parent, self.through.target)
        )
        return S("{} AND jsonb_strip_nulls(to_jsonb(joined.*)) = jsonb_strip_nulls({})").format(pair, document)

    def journal(self, changes: sql.Composable, source: str) -> sql.Composed:
        """`INSERT INTO sync_changes` of rows `old_value`, `new_value` that a part of the statement gives."""
        key = self.row_key(S("coalesce(staged.new_value, staged.old_value)"))
        entries = S("SELECT {}, '*', staged.old_value, staged.new_value FROM {} AS staged").format(key, I(source))
        return write_entries(self.schema, self.run_id, self.through.table, entries, changes)


def lock_gone(s: ThroughSpec) -> sql.Composed:
    """Locks the rows of links that are gone from amoCRM: from then on nobody can change them or point at them."""
    return S(
        "SELECT FROM {table} AS joined WHERE EXISTS (SELECT FROM {links} AS link JOIN {staged} AS staged "
        "ON link.account_id = staged.account_id AND link.amo_id = staged.amo_id WHERE link.table_name = {name} "
        "AND link.ref <> ALL (staged.refs) AND link.document IS NOT NULL AND {same}) ORDER BY {own_key} FOR UPDATE"
    ).format(
        table=s.live.identifier,
        links=s.links,
        staged=_STAGED,
        name=s.name,
        same=s.as_written(S("link.document")),
        own_key=s.own_key,
    )


def remove(s: ThroughSpec, pointing: Sequence[ForeignKey] = ()) -> sql.Composed:
    """Removes what came before and is gone from amoCRM: the links, and those of their rows that nobody changed and
    none of the foreign keys points at; where there are any, `lock_gone` comes before."""
    changes = S(
        "lost AS (DELETE FROM {links} AS link USING {staged} AS staged WHERE link.account_id = staged.account_id "
        "AND link.table_name = {name} AND link.amo_id = staged.amo_id AND link.ref <> ALL (staged.refs) "
        "RETURNING link.document), "
        "gone AS MATERIALIZED (SELECT {own_key} FROM {table} AS joined JOIN lost ON lost.document IS NOT NULL "
        "AND {same} AND {free} "
        "{locked}), "
        "removed AS (DELETE FROM {table} AS joined USING gone WHERE {same_row} RETURNING joined.*), "
        "dropped AS (SELECT to_jsonb(removed.*) AS old_value, NULL::jsonb AS new_value FROM removed)"
    ).format(
        links=s.links,
        name=s.name,
        table=s.live.identifier,
        same=s.as_written(S("lost.document")),
        free=unreferenced(pointing, "joined"),
        own_key=s.own_key,
        same_row=s.same_row("gone"),
        # Citus 13.2.2 can't read the result of such a part where it locks rows that it joined with another part.
        locked=on_citus(S("FOR UPDATE OF joined"), S("")),
        staged=_STAGED,
    )
    return s.journal(changes, "dropped")


def add(s: ThroughSpec) -> sql.Composed:
    """Remembers what is new."""
    return S(
        "INSERT INTO {} (account_id, table_name, amo_id, ref) SELECT staged.account_id, {}, staged.amo_id, "
        "reference.ref FROM {} AS staged "
        "CROSS JOIN LATERAL unnest(staged.refs) AS reference(ref) ON CONFLICT DO NOTHING"
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
    """Makes the rows of links whose two ends are there; `of` says of which links `link`. A row that is there stays."""
    through, names = s.through, [s.through.parent, s.through.target, *s.through.defaults]
    values: list[sql.Composable] = [S("due.owner"), S("due.other"), *map(sql.Literal, through.defaults.values())]
    account, owner, other = S("link.account_id"), S("link.amo_id"), S("link.ref")
    changes = S(
        "due AS MATERIALIZED (SELECT link.account_id, link.amo_id, link.ref, owner_row.{owner_id} AS owner, "
        "other_row.{other_id} AS other, "
        "EXISTS (SELECT FROM {table} AS joined WHERE joined.{parent} = owner_row.{owner_id} AND "
        "joined.{target} = other_row.{other_id}) AS there "
        "FROM {links} AS link {owner} {other} WHERE link.table_name = {name} AND NOT link.is_made AND {of}), "
        "added AS (INSERT INTO {table} AS joined ({names}) SELECT {values} FROM (SELECT DISTINCT owner, other FROM due "
        "WHERE NOT there ORDER BY owner, other) AS due RETURNING joined.*), "
        "made AS MATERIALIZED (SELECT added.{parent} AS owner, added.{target} AS other, NULL::jsonb AS old_value, "
        "to_jsonb(added.*) AS new_value FROM added), "
        "known AS (UPDATE {links} AS link SET is_made = true, document = made.new_value FROM due AS due LEFT "
        "JOIN made AS made "
        "ON made.owner = due.owner AND made.other = due.other WHERE (due.there OR made.owner IS NOT NULL) AND "
        "link.table_name = {name} "
        "AND link.account_id = due.account_id AND link.amo_id = due.amo_id AND link.ref = due.ref)"
    ).format(
        owner_id=I(s.owner.mapping.id),
        other_id=I(s.target.mapping.id),
        table=s.live.identifier,
        parent=I(through.parent),
        target=I(through.target),
        links=s.links,
        owner=_row(s.owner, s.schema, "owner_row", account, owner),
        other=_row(s.target, s.schema, "other_row", account, other),
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
        "JOIN (SELECT owner_row.{} AS id, owner_row.{} AS account_id, owner_row.{} AS amo_id FROM {} AS "
        "owner_row) AS {a} ON {a}.id = {}::{} AND {}"
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


OF_STAGED = S(
    "EXISTS (SELECT FROM {} AS staged WHERE staged.account_id = link.account_id AND staged.amo_id = link.amo_id)"
).format(_STAGED)


def some_wait(s: ThroughSpec, accounts: Sequence[int]) -> sql.Composed:
    """One row if links of these accounts wait for their other end."""
    return S(
        "SELECT 1 FROM {} AS link WHERE link.account_id = ANY({}) AND link.table_name = {} AND NOT link.is_made LIMIT 1"
    ).format(s.links, sql.Literal(list(accounts)), s.name)


def of_accounts(accounts: Sequence[int]) -> sql.Composed:
    """All links of these accounts."""
    return S("link.account_id = ANY({})").format(sql.Literal(list(accounts)))
