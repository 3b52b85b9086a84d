"""SQL of what rows of other records hold, too: a value that they share identifies nobody."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from target_crm.mapping.check import LiveTable
from target_crm.mapping.match_rules import Part, Rule
from target_crm.sql.match_keys import is_odd, plain_key
from target_crm.sql.matching import read_rows
from target_crm.sql.spec import I, S, of_stream


def _encoding(live: LiveTable) -> str:
    return next(iter(live.columns.values())).encoding


def _is_claimed(live: LiveTable, account: int) -> sql.Composed:
    """Whether row `crm` belongs to a record of the account."""
    table = live.mapping
    return S("crm.{} = {} AND crm.{} IS NOT NULL{}").format(
        I(table.account or ""), sql.Literal(account), I(table.amo_id or ""), of_stream(live, "crm")
    )


def _is_simple(rule: Rule) -> bool:
    """Whether SQL makes the rule's keys of plain values: of one part, or of several with one column each."""
    return len(rule.parts) == 1 or all(len(part.columns) == 1 and not part.sets for part in rule.parts)


def claimed_keys(live: LiveTable, rule: Rule, account: int, keys: Sequence[str]) -> sql.Composed | None:
    """Those of the keys of a rule that rows of the account's records hold as plain values. None where SQL can't make
    the rule's keys."""
    if not _is_simple(rule):
        return None
    encoding, own = _encoding(live), _is_claimed(live, account)
    wanted = S("ANY({}::text[])").format(sql.Literal(list(keys)))
    made = [[plain_key(p.kind, S("crm.{}").format(I(c.name)), encoding) for c in p.columns] for p in rule.parts]
    plain: list[sql.Composable] = list(made[0])
    if len(rule.parts) > 1:
        plain = [S(" || chr(31) || ").join(of_part for (of_part,) in made)]
    branches = [
        S("SELECT {key} AS key FROM {table} AS crm WHERE {own} AND {key} = {wanted}").format(
            key=key, table=live.identifier, own=own, wanted=wanted
        )
        for key in plain
    ]
    for item_set in rule.parts[0].sets:
        key = plain_key(rule.parts[0].kind, S("item.{}").format(I(item_set.columns["value"])), encoding)
        branches.append(
            S(
                """
                SELECT {key} AS key FROM {items} AS item JOIN {table} AS crm ON crm.{id} = item.{parent}
                WHERE {own} AND {key} = {wanted}
                """
            ).format(
                key=key,
                items=live.sets[item_set.name].identifier,
                table=live.identifier,
                id=I(live.mapping.id),
                parent=I(item_set.parent),
                own=own,
                wanted=wanted,
            )
        )
    return S(" UNION ").join(branches)


def odd_rows(live: LiveTable, rule: Rule, account: int) -> sql.Composed:
    """The rows of the account's records that hold odd values of a rule, as `read_rows` gives them: of these the keys
    are made in Python."""
    odd: list[sql.Composable] = [S("true")]
    if _is_simple(rule):
        odd = [one for part in rule.parts for one in _odd_values(live, part, len(rule.parts))]
    condition = S("{} AND ({})").format(_is_claimed(live, account), S(" OR ").join(odd))
    return read_rows(live, rule.parts, condition)


def _odd_values(live: LiveTable, part: Part, parts: int) -> list[sql.Composable]:
    encoding = _encoding(live)
    found: list[sql.Composable] = [
        is_odd(part.kind, S("crm.{}").format(I(c.name)), encoding, parts) for c in part.columns
    ]
    for item_set in part.sets:
        found.append(
            S("EXISTS (SELECT FROM {} AS item WHERE item.{} = crm.{} AND {})").format(
                live.sets[item_set.name].identifier,
                I(item_set.parent),
                I(live.mapping.id),
                is_odd(part.kind, S("item.{}").format(I(item_set.columns["value"])), encoding, parts),
            )
        )
    return found
