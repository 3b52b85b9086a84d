"""Rows that are in the way of a record by a unique constraint of the CRM."""

from __future__ import annotations

import re

import psycopg

from target_crm.database.session import PinnedConnection
from target_crm.mapping.check import LiveTable
from target_crm.problems import Problem
from target_crm.sql import matching as statements

# Before the constraint's name in the rule of such a proposal.
CONSTRAINT = "constraint "
# "Key (name)=(x) already exists.", in any language of the server.
_DETAIL = re.compile(r"\((.+?)\)=\((.*)\)", re.DOTALL)


def rows_in_the_way(connection: PinnedConnection, live: LiveTable, problem: Problem) -> list[str]:
    """The keys of the rows that hold what a record brings, and that no two rows may hold.

    None where another table refused it.
    """
    args = problem.args
    found = _DETAIL.search(str(args.get("detail") or ""))
    if problem.code != "E_DATABASE_UNIQUE" or args.get("table") != live.name or found is None:
        return []
    names = [row[0] for row in connection.execute(statements.index_expressions(live, str(args["constraint"])))]
    # A key says nothing: that of a new row comes from the database.
    if not names or set(names) <= {live.mapping.account, live.mapping.amo_id, live.mapping.id}:
        return []
    try:
        with connection.transaction():
            return [row[0] for row in connection.execute(statements.rows_with(live, names, found[2]))]
    except psycopg.Error:
        # An expression that works only where its own names do.
        return []
