"""What is sold, what is to be done, what was said."""

from __future__ import annotations

from django.conf import settings
from django.db import models

from amocrm.models import FromAmoCRM
from companies.models import Company, Contact


class Deal(FromAmoCRM):
    """A sale under way or closed."""

    company = models.ForeignKey(Company, models.SET_NULL, null=True, blank=True, related_name="deals")
    title = models.CharField(max_length=255, blank=True)
    amount = models.DecimalField(max_digits=14, decimal_places=2, null=True, blank=True)
    funnel = models.CharField(max_length=100, null=True, blank=True)
    stage = models.CharField(max_length=100, null=True, blank=True)
    lost_because = models.CharField(max_length=200, null=True, blank=True)
    closed_on = models.DateField(null=True, blank=True)
    manager = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="deals")
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta(FromAmoCRM.Meta):
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.title


class About(models.Model):
    """Something about a company, a person or a deal."""

    company = models.ForeignKey(Company, models.SET_NULL, null=True, blank=True, related_name="%(class)ss")
    contact = models.ForeignKey(Contact, models.SET_NULL, null=True, blank=True, related_name="%(class)ss")
    deal = models.ForeignKey(Deal, models.SET_NULL, null=True, blank=True, related_name="%(class)ss")

    class Meta:
        abstract = True


class Task(FromAmoCRM, About):
    """Something to do."""

    subject = models.TextField()
    kind = models.CharField(max_length=50, blank=True)
    deadline = models.DateTimeField(null=True, blank=True)
    done = models.BooleanField(default=False)
    outcome = models.TextField(blank=True)
    manager = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="tasks")
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta(FromAmoCRM.Meta):
        ordering = ["deadline"]

    def __str__(self) -> str:
        return self.subject[:60]


class Note(FromAmoCRM, About):
    """A remark, a letter, a call."""

    kind = models.CharField(max_length=50, blank=True)
    body = models.TextField(blank=True)
    details = models.JSONField(null=True, blank=True)
    author = models.ForeignKey(settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="notes")
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta(FromAmoCRM.Meta):
        ordering = ["-id"]

    def __str__(self) -> str:
        return self.body[:60]
