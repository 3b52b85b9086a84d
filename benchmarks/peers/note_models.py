"""The design note's CRM as Django models: the tables that its two methods write. Runs in the peer's environment."""

from __future__ import annotations

from typing import Any

from django.db import connection, models


class Imported(models.Model):
    """What every imported table has."""

    amo_id = models.BigIntegerField(unique=True)
    amo_updated_at = models.BigIntegerField(null=True)
    raw_fields = models.JSONField(default=dict)

    class Meta:
        """No table of its own."""

        abstract = True
        app_label = "note"


class Company(Imported):
    """A company of the CRM."""

    name = models.TextField(default="")
    inn = models.TextField(default="")
    address = models.TextField(default="")
    website = models.TextField(default="")
    phone = models.TextField(default="")
    email = models.TextField(default="")
    responsible_amo_id = models.BigIntegerField(null=True)


class Contact(Imported):
    """A contact, linked to its company."""

    company = models.ForeignKey(Company, null=True, on_delete=models.CASCADE)
    first_name = models.TextField(default="")
    last_name = models.TextField(default="")
    position = models.TextField(default="")
    phone = models.TextField(default="")
    email = models.TextField(default="")
    responsible_amo_id = models.BigIntegerField(null=True)


class Lead(Imported):
    """A lead, linked to its company."""

    company = models.ForeignKey(Company, null=True, on_delete=models.CASCADE)
    name = models.TextField(default="")
    price = models.BigIntegerField(null=True)
    status_amo_id = models.BigIntegerField(null=True)
    responsible_amo_id = models.BigIntegerField(null=True)


class Note(Imported):
    """A note of a company, contact or lead."""

    company = models.ForeignKey(Company, null=True, on_delete=models.CASCADE)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.CASCADE)
    lead = models.ForeignKey(Lead, null=True, on_delete=models.CASCADE)
    note_type = models.TextField(default="")
    text = models.TextField(default="")


class Task(Imported):
    """A task of a company, contact or lead."""

    company = models.ForeignKey(Company, null=True, on_delete=models.CASCADE)
    contact = models.ForeignKey(Contact, null=True, on_delete=models.CASCADE)
    lead = models.ForeignKey(Lead, null=True, on_delete=models.CASCADE)
    text = models.TextField(default="")
    due_at = models.BigIntegerField(null=True)
    is_completed = models.BooleanField(default=False)


class CompanyPhone(models.Model):
    """A further phone of a company."""

    owner = models.ForeignKey(Company, on_delete=models.CASCADE)
    value = models.TextField()

    class Meta:
        """In the one app."""

        app_label = "note"


class ContactPhone(models.Model):
    """A further phone of a contact."""

    owner = models.ForeignKey(Contact, on_delete=models.CASCADE)
    value = models.TextField()

    class Meta:
        """In the one app."""

        app_label = "note"


MODELS: dict[str, Any] = {"companies": Company, "contacts": Contact, "leads": Lead, "notes": Note, "tasks": Task}
PHONES: dict[str, Any] = {"companies": CompanyPhone, "contacts": ContactPhone}


def create_tables() -> None:
    """Make the tables where they are not there yet."""
    there = set(connection.introspection.table_names())
    with connection.schema_editor() as editor:
        for model in (*MODELS.values(), *PHONES.values()):
            if model._meta.db_table not in there:
                editor.create_model(model)
