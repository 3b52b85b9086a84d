"""The life of a CRM in a few loads, and what it holds then."""

from __future__ import annotations

CRM = {"users", "companies", "contacts", "leads", "notes", "tasks"}
SETS = {"company_phones", "company_emails", "contact_phones", "contact_emails"}


def phones(*values):
    fields = [{"field_id": 1, "field_code": "PHONE", "field_name": "Телефон", "values": [{"value": v} for v in values]}]
    return {"custom_fields_values": fields}


def life(crm, **settings):
    """Everything that a load can have to do: late parents and names, edits, conflicts, sets, deletions, adoption."""
    crm.load([], **settings)
    crm.execute("INSERT INTO users (name, email) VALUES ('Анна', 'anna@firma.ru')")
    statuses = [{"id": 11, "name": "Новая"}]
    gone = {"id": "e1", "entity_type": "contacts", "entity_id": 3, "deleted_at": "2027-01-01T00:00:00+00:00"}
    crm.sync(
        "contacts",
        {"id": 2, "company_id": 1, "responsible_user_id": 5, **phones("+79161234567", "+79031112233")},
        {"id": 3},
        **settings,
    )
    crm.sync("leads", {"id": 6, "company_id": 1, "pipeline_id": 10, "status_id": 11, "price": 5}, **settings)
    crm.sync("users", {"id": 5, "name": "Анна", "email": "anna@firma.ru"}, {"id": 7, "name": "Борис"}, **settings)
    crm.sync("companies", {"id": 1, "name": "ООО"}, **settings)
    crm.sync("pipelines", {"id": 10, "name": "Продажи", "_embedded": {"statuses": statuses}}, **settings)
    crm.sync(
        "notes",
        {"id": 8, "entity_type": "contacts", "entity_id": 2, "note_type": "common", "params": {"text": "а"}},
        **settings,
    )
    crm.sync("tasks", {"id": 9, "entity_type": "leads", "entity_id": 6, "text": "Позвонить"}, **settings)
    crm.execute("UPDATE companies SET name = 'вручную'")
    crm.execute("UPDATE contact_phones SET comment = 'моя' WHERE value = '+79031112233'")
    crm.sync("companies", {"id": 1, "name": "ЗАО"}, **settings)
    crm.sync("contacts", {"id": 2, "last_name": "Иванов", **phones("+74951234567")}, **settings)
    crm.sync("deleted_records", gone, allow_mass_delete=True, **settings)
    crm.sync("contacts", {"id": 3, "last_name": "снова", "updated_at": "2027-02-01T00:00:00+00:00"}, **settings)


def contents(crm):
    """What the CRM holds, without keys and times of the rows."""
    hidden = {"id", "created_at", "updated_at", "company_id", "contact_id", "lead_id", "responsible_id", "author_id"}
    found = {}
    for table in sorted(CRM | SETS):
        rows = crm.execute(f"SELECT * FROM {table}")
        for row in rows:
            base = row["raw_fields"].get("amo_values", {})
            row["raw_fields"]["amo_values"] = {k: v for k, v in base.items() if k not in hidden}
        found[table] = sorted(repr({k: v for k, v in row.items() if k not in hidden}) for row in rows)
    links = crm.execute(
        "SELECT c.amo_id, f.amo_id AS company, u.name FROM contacts c LEFT JOIN companies f ON f.id = c.company_id "
        "LEFT JOIN users u ON u.id = c.responsible_id ORDER BY 1"
    )
    return found, links, crm.execute("SELECT column_name, crm_value, amo_value FROM sync_conflicts ORDER BY id")
