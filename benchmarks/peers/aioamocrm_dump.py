"""Print what aioamocrm reads from an account, one JSON array [kind, record] a line: `python aioamocrm_dump.py URL`.

Three fields that its models declare narrower than what the vendor sends are taken as they come. Runs in the peer's
environment.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

from aioamocrm import AmoCRMClient, LongLivedToken
from aioamocrm import _models as models

# Texts and lists come as parameters of a note, numbers as its type, texts as a price.
NARROW = {models.Note: ("params", "note_type"), models.Lead: ("price",)}


def widen() -> None:
    """Take the narrow fields as they come."""
    for model, fields in NARROW.items():
        for name in fields:
            model.model_fields[name].annotation = Any
            model.model_fields[name].metadata = []
        model.model_rebuild(force=True)


async def main(url: str) -> None:
    """List every kind."""
    widen()
    async with AmoCRMClient(base_url=url, auth=LongLivedToken("any"), rate_limit=None) as amo:
        lists = {name: getattr(amo, name) for name in ("companies", "contacts", "leads", "tasks")}
        lists |= {f"{name}/notes": getattr(amo, name).notes for name in ("companies", "contacts", "leads")}
        for kind, source in lists.items():
            async for record in source.iterate():
                # Only what came over the wire, under the wire's names.
                print(json.dumps([kind, record.model_dump(exclude_unset=True, by_alias=True)]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
