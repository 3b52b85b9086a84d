"""What a merge is compiled from, and the names that its statements share. Pure: nothing here does I/O."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from psycopg import sql

from target_crm.mapping.check import LiveColumn, LiveTable
from target_crm.mapping.model import Column, ItemSet
from target_crm.sql.staging_table import StagingTable

I = sql.Identifier  # noqa: E741 - the two names are in every other line
S = sql.SQL
# Columns of one plan: a row of it holds three values and a number of each, and must fit into a page of 8 kB also where
# each value is as wide as values get that can't be stored elsewhere (32 bytes).
MOST_IN_GROUP = 60


def trusted(text: str) -> sql.SQL:
    """Text of our own or of PostgreSQL's `format_type` as SQL; never a name or a value from outside."""
    return sql.SQL(text)


def comma(items: Iterable[sql.Composable]) -> sql.Composed:
    """The items as a list."""
    return S(", ").join(items)


def tail(items: Iterable[sql.Composable]) -> sql.Composed:
    """The items as the rest of a list."""
    return S("").join(S(", {}").format(item) for item in items)


def of_stream(live: LiveTable, alias: str) -> sql.Composable:
    """` AND ...`: the row is one of this stream's, where others write into the same table. Empty otherwise."""
    return S("").join(
        S(" AND {}.{} = {}::{}").format(I(alias), I(name), sql.Literal(value), trusted(live.columns[name].type_sql))
        for name, value in live.mapping.marks.items()
    )


@dataclass(frozen=True)
class Slot:
    """A column taking part, with its place in the mapping: the names of its values carry that number.

    `refers` where it is staged as what the record refers to (an ID, a reference), not as the value it stands for.
    """

    index: int
    column: Column
    live: LiveColumn
    refers: bool = False

    @property
    def staged(self) -> sql.Identifier:
        """The column of staged records."""
        return I(f"value_{self.index}")

    @property
    def theirs(self) -> sql.Identifier:
        """The plan's column of the value that comes."""
        return I(f"theirs_{self.index}")

    @property
    def ours(self) -> sql.Identifier:
        """The plan's column of the value in the row."""
        return I(f"ours_{self.index}")

    @property
    def base(self) -> sql.Identifier:
        """The plan's column of the value that came the last time."""
        return I(f"base_{self.index}")

    @property
    def decision(self) -> sql.Identifier:
        """The plan's column of the decision (`sql.expressions.decide`)."""
        return I(f"decision_{self.index}")

    @property
    def staged_type(self) -> sql.SQL:
        """The type in which the value is staged: the column's own; an ID for a link, a reference for a lookup."""
        if not self.refers:
            return trusted(self.live.type_sql)
        return S("bigint") if self.column.link else S("text")


def is_reference(column: Column) -> bool:
    """Whether a partial merge stages what the record refers to, and not a value."""
    return bool(column.link or column.lookup)


@dataclass(frozen=True)
class MergeSpec:
    """One stream's merge: its table, the linked tables, the schema of the sync_* tables, the default policy.

    `number` tells the stream's temporary tables from others'. `only` names the single column of a partial merge: of
    existing rows, whose link or name has come now; it is staged as the reference. `group` is the part
    of the columns that is merged, where they are too many for one plan.
    """

    live: LiveTable
    parents: Mapping[str, LiveTable]
    schema: str
    default_policy: str
    run_id: int
    number: int
    only: str | None = None
    group: int | None = None

    @cached_property
    def groups(self) -> tuple[MergeSpec, ...]:
        """The parts in which rows that exist are merged, one after another: more columns than go into one row of the
        plan, which holds three values of each, are divided."""
        if self.only is not None or len(self.live.mapping.columns) <= MOST_IN_GROUP:
            return (self,)
        return tuple(replace(self, group=n) for n in range(-(-len(self.live.mapping.columns) // MOST_IN_GROUP)))

    @property
    def item_sets(self) -> tuple[ItemSet, ...]:
        """The sets taking part: with the first group."""
        return () if self.only is not None or self.group else self.live.mapping.sets

    @cached_property
    def slots(self) -> tuple[Slot, ...]:
        """The columns taking part."""
        return tuple(
            Slot(index, column, self.live.columns[column.name], self.only is not None and is_reference(column))
            for index, column in enumerate(self.live.mapping.columns)
            if self.only in (None, column.name) and self.group in (None, index // MOST_IN_GROUP)
        )

    def control(self, name: str) -> sql.Identifier:
        """One of the loader's own tables."""
        return I(self.schema, name)

    def staging_name(self, name: str) -> str:
        """What one of the stream's staging tables is called."""
        return f"{name}_{self.number}"

    def temp(self, name: str) -> StagingTable:
        """One of the stream's staging tables."""
        return StagingTable(self.staging_name(name))

    @property
    def plan_name(self) -> str:
        """What the staging table of the plan is called."""
        return self.staging_name("part" if self.only else "plan" if self.group is None else f"plan{self.group}")

    @property
    def plan(self) -> StagingTable:
        """The staging table of the plan."""
        return StagingTable(self.plan_name)

    def policy(self, column: Column) -> str:
        """The column's own policy or the default one."""
        return column.policy or self.default_policy

    def first_policy(self, column: Column) -> str:
        """The policy of a row's first merge, where the row was there before."""
        return column.policy or self.live.mapping.adopt.policy or self.default_policy

    @property
    def table_name(self) -> sql.Literal:
        """The table as sync_* tables name it."""
        return sql.Literal(self.live.mapping.table)

    @property
    def run(self) -> sql.Literal:
        """The run's number."""
        return sql.Literal(self.run_id)

    @property
    def key_type(self) -> sql.SQL:
        """The type of the table's primary key."""
        return trusted(self.live.columns[self.live.mapping.id].type_sql)

    def service(self, role: str) -> sql.Identifier | None:
        """The column of that role; None when the table has none."""
        name = self.live.mapping.service[role]
        return I(name) if name else None

    @property
    def on_key(self) -> sql.Composed:
        """`crm` is the row of the record `staged`."""
        table = self.live.mapping
        return S("crm.{} = staged.account_id AND crm.{} = staged.amo_id{}").format(
            I(table.account or ""), I(table.amo_id or ""), of_stream(self.live, "crm")
        )

    @property
    def version(self) -> sql.SQL:
        """The version of row `crm`, which any write to it changes; NULL where the engine does not tell."""
        return S("crm.xmin::text::bigint") if self.live.has_versions else S("NULL::bigint")
