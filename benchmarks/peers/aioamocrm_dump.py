"""Print what aioamocrm reads from an account, one JSON array [kind, record] a line: `python aioamocrm_dump.py URL`.

Nothing of the client is replaced. Runs in the peer's environment.
"""

from __future__ import annotations

import asyncio
import json
import sys

from aioamocrm import AmoCRMClient, LongLivedToken


async def main(url: str) -> None:
    """List every kind."""
    async with AmoCRMClient(base_url=url, auth=LongLivedToken("any"), rate_limit=None) as amo:
        lists = {name: getattr(amo, name) for name in ("companies", "contacts", "leads", "tasks")}
        lists |= {f"{name}/notes": getattr(amo, name).notes for name in ("companies", "contacts", "leads")}
        for kind, source in lists.items():
            async for record in source.iterate():
                # Only what came over the wire, under the wire's names.
                print(json.dumps([kind, record.model_dump(exclude_unset=True, by_alias=True)]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
