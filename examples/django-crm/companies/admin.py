"""Companies and contacts in the admin, their phones and e-mails on the same page."""

from __future__ import annotations

from django.contrib import admin

from companies.models import Company, CompanyPhone, Contact, ContactEmail, ContactPhone

AMO = ("amo_id", "amo_created_at", "amo_updated_at", "amo_deleted_at")


class CompanyPhoneInline(admin.TabularInline):
    """Phones of a company."""

    model = CompanyPhone
    extra = 0


class ContactInline(admin.TabularInline):
    """People of a company; each has a separate page."""

    model = Contact
    fields = ("first_name", "last_name", "job_title")
    extra = 0
    show_change_link = True


class ContactPhoneInline(admin.TabularInline):
    """Phones of a person."""

    model = ContactPhone
    extra = 0


class ContactEmailInline(admin.TabularInline):
    """E-mails of a person."""

    model = ContactEmail
    extra = 0


@admin.register(Company)
class CompanyAdmin(admin.ModelAdmin):
    """A company with its phones and people."""

    list_display = ("title", "tax_number", "branch", "manager", "amo_deleted_at")
    list_filter = ("branch", "is_active", ("amo_id", admin.EmptyFieldListFilter))
    search_fields = ("title", "tax_number", "phones__number")
    list_select_related = ("manager",)
    readonly_fields = AMO
    inlines = (CompanyPhoneInline, ContactInline)


@admin.register(Contact)
class ContactAdmin(admin.ModelAdmin):
    """A person with phones and e-mails."""

    list_display = ("__str__", "job_title", "company", "amo_deleted_at")
    search_fields = ("first_name", "last_name", "phones__number", "emails__address")
    list_select_related = ("company",)
    raw_id_fields = ("company",)
    readonly_fields = AMO
    inlines = (ContactPhoneInline, ContactEmailInline)
