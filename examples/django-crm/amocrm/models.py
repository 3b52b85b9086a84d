"""Two abstract models: one for rows that are records of amoCRM, one for their phones and e-mails."""

from __future__ import annotations

from django.db import models


class FromAmoCRM(models.Model):
    """A row that may have come from amoCRM. People's own rows leave all of it empty.

    The key tells amoCRM's records apart, `amo_data` holds the record as received and the values that came last (the
    base of the three-way comparison), the times are amoCRM's. Nobody edits them by hand.
    """

    amo_account_id = models.BigIntegerField(null=True, editable=False)
    amo_id = models.BigIntegerField("id in amoCRM", null=True, editable=False)
    amo_data = models.JSONField(default=dict, editable=False)
    amo_created_at = models.DateTimeField("created in amoCRM", null=True, editable=False)
    amo_updated_at = models.DateTimeField("updated in amoCRM", null=True, editable=False)
    amo_deleted_at = models.DateTimeField("deleted in amoCRM", null=True, editable=False)

    class Meta:
        abstract = True
        # A child with a Meta of its own inherits from this one: class Meta(FromAmoCRM.Meta).
        constraints = [
            models.UniqueConstraint(fields=["amo_account_id", "amo_id"], name="%(app_label)s_%(class)s_amo"),
        ]


class ItemFromAmoCRM(models.Model):
    """A phone or an e-mail that may have come from amoCRM; `amo_data` holds what came, to tell edits from it."""

    amo_data = models.JSONField(default=dict, editable=False)

    class Meta:
        abstract = True
