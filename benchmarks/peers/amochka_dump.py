"""Print what amochka reads from an account, one JSON array [kind, record] a line: `python amochka_dump.py URL`.

The check is replaced that refuses other addresses than the vendor's; its token must carry the time of its end.
Companies come through its own pages, since it has no list of them. Runs in the peer's environment.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any

from amochka import AmoCRMClient, CacheConfig


def main(url: str) -> None:
    """List every kind."""
    AmoCRMClient._validate_base_url = staticmethod(lambda given: given.rstrip("/"))
    token = json.dumps({"access_token": "any", "expires_at": str(time.time() + 86_400)})
    cache = CacheConfig.disabled()
    client = AmoCRMClient(url, token_file=token, cache_config=cache, disable_logging=True, rate_limit=1000)
    path, data = "/api/v4/companies", ("_embedded", "companies")
    lists: dict[str, Any] = {
        "companies": client._iterate_paginated(path, params={"limit": 250}, data_path=data),
        "contacts": client.iter_contacts(),
        "leads": client.iter_leads(),
        "tasks": client.iter_tasks(),
        "companies/notes": client.iter_notes(entity="company"),
        "contacts/notes": client.iter_notes(entity="contact"),
        "leads/notes": client.iter_notes(entity="lead"),
    }
    for kind, records in lists.items():
        for record in records:
            print(json.dumps([kind, record]))


if __name__ == "__main__":
    main(sys.argv[1])
