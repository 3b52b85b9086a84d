"""Print what amocrm-api reads from an account, one JSON array [kind, record] a line: `python amocrm_api_dump.py URL`.

Its address is fixed in the code, so the method that makes URLs is replaced; its token must look like a JWT that has not
expired. Runs in the peer's environment.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

import jwt
from amocrm.v2 import Company, Contact, Lead, tokens
from amocrm.v2.entity.task import Task
from amocrm.v2.interaction import BaseInteraction, GenericInteraction


def main(url: str) -> None:
    """List every kind."""
    BaseInteraction._get_url = lambda self, path: f"{url}/api/v4/{path}"
    store = tokens.MemoryTokensStorage()
    store.save_tokens(jwt.encode({"exp": int(time.time()) + 86_400}, "k" * 32), "refresh")
    tokens.default_token_manager("id", "secret", "demo", "https://localhost", storage=store)
    lists: dict[str, Any] = {"companies": Company, "contacts": Contact, "leads": Lead, "tasks": Task}
    for kind, model in lists.items():
        for entity in model.objects.all():
            print(json.dumps([kind, entity._data]))
    for kind in ("companies/notes", "contacts/notes", "leads/notes"):
        for record in GenericInteraction(path=kind, field="notes").get_all():
            print(json.dumps([kind, record]))


if __name__ == "__main__":
    main(sys.argv[1].rstrip("/"))
