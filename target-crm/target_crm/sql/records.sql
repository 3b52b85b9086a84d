-- Rows of mapped tables, as people know them. {label} is the name of row `crm` (`operations.records.name_sql`).

-- name: read_names
SELECT crm.{id}::text AS key, {label} AS name FROM {table} AS crm WHERE crm.{id} = ANY(%s::text[]::{type}[])

-- name: read_rows
SELECT crm.{id}::text AS key, to_jsonb(crm) AS row FROM {table} AS crm WHERE crm.{id} = ANY(%s::text[]::{type}[])

-- name: read_raw
-- The records as they were received.
SELECT crm.{id}::text AS key, (crm.{raw}->'amo')::text AS record FROM {table} AS crm
WHERE crm.{id} IN (SELECT {key} FROM unnest({keys}::text[]) AS given(key))

-- name: read_numbers
-- Account, number and record of rows.
SELECT crm.{id}::text AS key, crm.{account} AS account, crm.{number} AS number, crm.{raw}->'amo' AS record
FROM {table} AS crm WHERE crm.{id}::text = ANY({keys})

-- name: read_items
-- The rows of a child table that belong to a row, and whether a person added or edited them.
SELECT crm.*, crm.{id}::text AS __key, ({untouched}) IS NOT TRUE AS __by_hand
FROM {table} AS crm WHERE crm.{parent} = {key} ORDER BY {order} LIMIT {most}

-- name: find
SELECT crm.{id}::text, {label}, {account}, {number} FROM {table} AS crm WHERE {condition} LIMIT {most}

-- name: find_choices
SELECT crm.{id}::text AS key, {label} AS name, {number} AS number FROM {table} AS crm
WHERE {condition} ORDER BY 2, 1 LIMIT {most}
