"""Companies, contacts, and their phones and e-mails in related tables."""

from __future__ import annotations

from django.conf import settings
from django.db import models
from django.db.models.signals import post_save
from django.dispatch import receiver

from amocrm.models import FromAmoCRM, ItemFromAmoCRM


class Company(FromAmoCRM):
    """A customer, a supplier, or somebody who may become one."""

    class Branch(models.TextChoices):
        """Which of our offices looks after it."""

        NORTH = "north", "North"
        SOUTH = "south", "South"
        WEST = "west", "West"
        EAST = "east", "East"
        CENTRE = "centre", "Centre"
        NONE = "", "None"

    title = models.CharField(max_length=255)
    tax_number = models.CharField("ИНН", max_length=12, blank=True)
    address = models.TextField(blank=True)
    site = models.CharField(max_length=500, blank=True)
    email = models.EmailField(blank=True)
    industry = models.CharField(max_length=100, blank=True)
    headcount = models.PositiveIntegerField(null=True, blank=True)
    founded_on = models.DateField(null=True, blank=True)
    branch = models.CharField(max_length=10, choices=Branch, blank=True, default=Branch.NONE)
    manager = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="companies"
    )
    is_active = models.BooleanField(default=True)
    remarks = models.TextField("our own remarks", blank=True, help_text="Not in amoCRM.")
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta(FromAmoCRM.Meta):
        verbose_name_plural = "companies"
        ordering = ["title"]
        constraints = [
            *FromAmoCRM.Meta.constraints,
            models.CheckConstraint(
                condition=models.Q(branch__in=["north", "south", "west", "east", "centre", ""]),
                name="companies_company_branch",
            ),
        ]

    def __str__(self) -> str:
        return self.title


class CompanyPhone(ItemFromAmoCRM):
    """One of a company's phones. What is no number stands in `note`, without a number."""

    company = models.ForeignKey(Company, models.CASCADE, related_name="phones")
    number = models.CharField(max_length=32, null=True, blank=True)
    kind = models.CharField(max_length=20, null=True, blank=True)
    note = models.CharField(max_length=255, null=True, blank=True)

    def __str__(self) -> str:
        return self.number or self.note or ""


class Contact(FromAmoCRM):
    """A person."""

    company = models.ForeignKey(Company, models.SET_NULL, null=True, blank=True, related_name="contacts")
    first_name = models.CharField(max_length=100, blank=True)
    last_name = models.CharField(max_length=100, blank=True)
    job_title = models.CharField(max_length=120, blank=True)
    labels = models.JSONField(default=list, blank=True)
    manager = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.SET_NULL, null=True, blank=True, related_name="contacts"
    )
    created = models.DateTimeField(auto_now_add=True)
    modified = models.DateTimeField(auto_now=True)

    class Meta(FromAmoCRM.Meta):
        ordering = ["last_name", "first_name"]

    def __str__(self) -> str:
        return f"{self.last_name} {self.first_name}".strip()


class ContactPhone(ItemFromAmoCRM):
    """One of a person's phones."""

    contact = models.ForeignKey(Contact, models.CASCADE, related_name="phones")
    number = models.CharField(max_length=32, null=True, blank=True)
    kind = models.CharField(max_length=20, null=True, blank=True)
    note = models.CharField(max_length=255, null=True, blank=True)

    def __str__(self) -> str:
        return self.number or self.note or ""


class ContactEmail(ItemFromAmoCRM):
    """One of a person's e-mail addresses."""

    contact = models.ForeignKey(Contact, models.CASCADE, related_name="emails")
    address = models.EmailField(null=True, blank=True)
    note = models.CharField(max_length=255, null=True, blank=True)

    def __str__(self) -> str:
        return self.address or self.note or ""


class CompanySearch(models.Model):
    """What a search looks through, kept by a signal."""

    company = models.OneToOneField(Company, models.CASCADE, primary_key=True, related_name="search")
    text = models.TextField()

    def __str__(self) -> str:
        return self.text


@receiver(post_save, sender=Company)
def index_company(instance: Company, **_: object) -> None:
    """Keep the search's text of a company that was saved."""
    words = [instance.title, instance.tax_number, instance.address]
    CompanySearch.objects.update_or_create(
        company=instance, defaults={"text": " ".join(word for word in words if word).lower()}
    )
