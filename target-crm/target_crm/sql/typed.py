"""Values out of the journal's jsonb and texts as their columns take them."""

from __future__ import annotations

from psycopg import sql

from target_crm.mapping.catalogue import LiveTable


def as_value(live: LiveTable, name: str, document: sql.Composable) -> sql.Composed:
    """SQL that reads a column's value, of the column's type, out of a jsonb expression."""
    column = live.columns[name]
    if column.family == "json":
        return sql.SQL("nullif({}, 'null'::jsonb)").format(document)
    if column.family == "array":
        return sql.SQL(
            "CASE WHEN jsonb_typeof({d}) = 'array' THEN ARRAY(SELECT jsonb_array_elements_text({d})) END"
        ).format(d=document)
    # The type's name comes from the catalogue (format_type), which quotes it.
    return sql.SQL("({} #>> '{{}}')::{}").format(document, sql.SQL(column.type_sql))


def left_as(live: LiveTable, name: str) -> sql.Composed:
    """Whether row `crm` holds in that column what the loader left there: the database's spelling of what it wrote, or a
    default. NULL where nothing is remembered."""
    form = sql.SQL("(crm.{}->'amo_stored'->{})").format(sql.Identifier(live.mapping.raw_fields), sql.Literal(name))
    return sql.SQL("({} = {})").format(live.cell("crm", name), as_value(live, name, form))


def as_key(live: LiveTable, text: sql.Composable) -> sql.Composed:
    """SQL that reads a key of the table, of the key's type, out of a text: comparing keys as text finds no index."""
    return sql.SQL("({})::text::{}").format(text, sql.SQL(live.columns[live.mapping.id].type_sql))


# RFC 3339 with days that exist; anything else that a record calls its time does not count.
_DAY = (
    r"\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))"
    r"|\d\d(?:0[48]|[2468][048]|[13579][26])-02-29"
)
_MOMENT = rf"^(?:{_DAY})[T ](?:[01]\d|2[0-3]):[0-5]\d(?::[0-5]\d(?:\.\d{{1,9}})?)?(?:Z|[+-](?:0\d|1[0-4]):?[0-5]\d)?$"


def as_moment(text: sql.Composable) -> sql.Composed:
    """SQL that reads a record's own time out of a text; NULL for anything else."""
    return sql.SQL(
        "(CASE WHEN {text} ~ {moment} THEN ({text})::timestamptz "
        "WHEN {text} ~ '^[0-9]{{1,11}}$' THEN to_timestamp(({text})::double precision) END)"
    ).format(text=text, moment=sql.Literal(_MOMENT))
