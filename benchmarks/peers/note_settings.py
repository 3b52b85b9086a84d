"""Django without a project: settings for the design note's CRM. Runs in the peer's environment."""

from __future__ import annotations

import django
from django.conf import settings


def configure(url: str) -> None:
    """Connect Django to a database given as a libpq URL of the form `postgresql://user:@/name?host=FOLDER`."""
    from psycopg.conninfo import conninfo_to_dict

    given = conninfo_to_dict(url)
    database = {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": given["dbname"],
        "USER": given.get("user", ""),
        "PASSWORD": given.get("password", ""),
        "HOST": given.get("host", ""),
        "PORT": given.get("port", ""),
    }
    settings.configure(DATABASES={"default": database}, USE_TZ=True, DEFAULT_AUTO_FIELD="django.db.models.BigAutoField")
    django.setup()
