"""SQL of the sequences that tables take their keys from."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.sql.spec import I, S


def sequence_of(live: LiveTable, key: str) -> sql.Composed:
    """The sequence that a table's keys come from: its own, or that which the column's default names."""
    return S(
        """
        SELECT coalesce(
            pg_catalog.pg_get_serial_sequence({name}, {key}),
            (
                SELECT d.refobjid::regclass::text
                FROM pg_catalog.pg_attrdef AS e
                JOIN pg_catalog.pg_attribute AS a ON a.attrelid = e.adrelid AND a.attnum = e.adnum
                JOIN pg_catalog.pg_depend AS d ON d.classid = 'pg_catalog.pg_attrdef'::regclass AND d.objid = e.oid
                JOIN pg_catalog.pg_class AS s ON s.oid = d.refobjid AND s.relkind = 'S'
                WHERE e.adrelid = {name}::regclass AND a.attname = {key} LIMIT 1
            )
        )
        """
    ).format(name=sql.Literal(live.identifier.as_string()), key=sql.Literal(key))


def behind(live: LiveTable, key: str, sequence: str) -> sql.Composed:
    """The next number of a sequence, which it uses up, and the highest key of its table."""
    return S("SELECT nextval({}::regclass), (SELECT max(t.{}) FROM {} AS t)").format(
        sql.Literal(sequence), I(key), live.identifier
    )


def use_up(sequence: str, number: int) -> sql.Composed:
    """Takes that number of values from the sequence."""
    return S("SELECT max(nextval({}::regclass)) FROM generate_series(1, {})").format(
        sql.Literal(sequence), sql.Literal(number)
    )
