"""Deals, tasks and notes in the admin."""

from __future__ import annotations

from django.contrib import admin

from sales.models import Deal, Note, Task

AMO = ("amo_id", "amo_created_at", "amo_updated_at", "amo_deleted_at")
ABOUT = ("company", "contact", "deal")


class TaskInline(admin.TabularInline):
    """What is to be done for a deal."""

    model = Task
    fields = ("subject", "deadline", "done")
    extra = 0


@admin.register(Deal)
class DealAdmin(admin.ModelAdmin):
    """A deal with its tasks."""

    list_display = ("title", "amount", "funnel", "stage", "company", "amo_deleted_at")
    list_filter = ("funnel", "stage")
    search_fields = ("title", "company__title")
    list_select_related = ("company",)
    raw_id_fields = ("company",)
    readonly_fields = AMO
    inlines = (TaskInline,)


@admin.register(Task)
class TaskAdmin(admin.ModelAdmin):
    """A task."""

    list_display = ("subject", "deadline", "done", "company", "contact", "deal")
    list_filter = ("done", "kind")
    list_select_related = ABOUT
    raw_id_fields = ABOUT
    readonly_fields = AMO


@admin.register(Note)
class NoteAdmin(admin.ModelAdmin):
    """A note."""

    list_display = ("__str__", "kind", "author", "company", "contact", "deal")
    list_filter = ("kind",)
    list_select_related = ("author", *ABOUT)
    raw_id_fields = ABOUT
    readonly_fields = AMO
