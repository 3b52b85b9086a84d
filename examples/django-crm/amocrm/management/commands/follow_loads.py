"""Tells Django's signals of the rows that a load wrote: the load itself writes past the ORM."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.core.management.base import BaseCommand, CommandParser
from django.db import connection
from django.db.models import Model
from django.db.models.signals import post_save
from psycopg import sql


class Command(BaseCommand):
    """`manage.py follow_loads`: sends `post_save` for every row that a load wrote, so that search indexes and other
    things that signals keep are complete. With `--save` each row is saved instead, for models that compute columns in
    `save()`."""

    help = "Send post_save for the rows that loads of target-crm write."

    def add_arguments(self, parser: CommandParser) -> None:
        """The options."""
        parser.add_argument("--channel", default="crm_loads", help="target-crm's setting notify_channel")
        parser.add_argument("--schema", default="amocrm", help="target-crm's setting crm_schema")
        parser.add_argument("--run", type=int, help="only this run, without waiting for others")
        parser.add_argument("--save", action="store_true", help="call save() instead of sending the signal")

    def handle(self, *_: Any, **options: Any) -> None:
        """Follow one run, or all that are told from now on."""
        self._schema, self._save = options["schema"], options["save"]
        self._done: dict[int, int] = {}
        if options["run"] is not None:
            self.follow(options["run"])
            return
        listener = connection.get_new_connection(connection.get_connection_params())
        listener.autocommit = True
        listener.execute(sql.SQL("LISTEN {}").format(sql.Identifier(options["channel"])))
        self.stdout.write("listening")
        self.stdout.flush()
        for notice in listener.notifies():
            self.follow(int(notice.payload))

    def follow(self, run: int) -> None:
        """Tell of what a run wrote since it was followed last."""
        models = {model._meta.db_table: model for model in apps.get_models()}
        for table, keys in self._written(run):
            model = models.get(table.rpartition(".")[2].partition("[")[0])
            if model is not None:
                for instance in model._default_manager.filter(pk__in=keys).iterator(chunk_size=500):
                    self._tell(model, instance)

    def _tell(self, model: type[Model], instance: Model) -> None:
        if self._save:
            instance.save()
        else:
            post_save.send(
                sender=model, instance=instance, created=False, raw=False, using=connection.alias, update_fields=None
            )

    def _written(self, run: int) -> Iterator[tuple[str, list[str]]]:
        """Tables with the keys of rows that the run wrote."""
        journal = sql.Identifier(self._schema, "sync_changes")
        last = self._done.get(run, 0)
        with connection.cursor() as cursor:
            cursor.execute(
                sql.SQL(
                    "SELECT table_name, array_agg(DISTINCT row_id), max(id) FROM {} WHERE run_id = %s AND id > %s "
                    "GROUP BY 1 ORDER BY 1"
                ).format(journal),
                [run, last],
            )
            found = cursor.fetchall()
        for table, keys, newest in found:
            self._done[run] = max(self._done.get(run, 0), newest)
            yield table, keys
