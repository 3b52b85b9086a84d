"""What the records of an account have in common: IDs, times, owners and parents, computed from seed, kind and place."""

from __future__ import annotations

from amocrm_sim.records.seeds import (
    ACCOUNT_ID,
    ENTITIES,
    EPOCH,
    FIRST_ID,
    FIRST_USER,
    GHOST_USER,
    IMPORT_SECOND,
    USERS,
    mix,
)


class Relations:
    """ID, sizes and seed of an account; computes how its records are related, by kind and index (from 0)."""

    def __init__(self, seed: int, sizes: dict[str, int], plain: bool = False, account_id: int = ACCOUNT_ID) -> None:
        self.seed = seed
        self.id = account_id
        self.sizes = sizes
        self.plain = plain
        self.first = FIRST_ID if plain else {**FIRST_ID, "customers": 1_000_000_158}

    def bits(self, kind: str, index: int) -> int:
        """The record's own random bits."""
        return mix(self.seed, FIRST_ID[kind], index)

    def times(self, kind: str, index: int) -> tuple[int, int]:
        """created_at and updated_at, Unix seconds; a third of all records share one second of an import."""
        b = self.bits(kind, index)
        created = EPOCH - 86_400 * 800 + b % (86_400 * 700)
        if b % 3 == 0:
            return min(created, IMPORT_SECOND), IMPORT_SECOND
        return created, min(EPOCH - 1, created + (b >> 20) % (86_400 * 90))

    def user(self, b: int) -> int:
        """Mostly somebody; sometimes nobody (0) or a deleted user."""
        n = (b >> 16) % 40
        return 0 if n == 0 else GHOST_USER if n == 1 else FIRST_USER + n % USERS

    def companies_of(self, kind: str, index: int) -> tuple[int, ...]:
        """Ids of the companies of a contact or lead: every tenth has none, some have two."""
        b = self.bits(kind, index)
        count = self.sizes["companies"]
        if not count or b % 10 == 0:
            return ()
        first = (b >> 8) % count
        if self.plain or b % 13 or count < 2:
            return (FIRST_ID["companies"] + first,)
        return FIRST_ID["companies"] + first, FIRST_ID["companies"] + (first + 1) % count

    def contact_of_lead(self, index: int) -> int | None:
        """The main contact's id of a lead."""
        count = self.sizes["contacts"]
        return FIRST_ID["contacts"] + (self.bits("leads", index) >> 24) % count if count else None

    def parent_of(self, kind: str, index: int) -> tuple[str | None, int | None]:
        """Entity type and id that a note or task belongs to."""
        b = self.bits(kind, index)
        if kind.endswith("/notes"):
            entity = kind.split("/")[0]
            if not self.plain and b % 149 == 0:
                return entity, None
        else:
            choice = b % 20
            if choice == 0:
                return None, (None if self.plain or b % 3 else 0)
            entity = "customers" if choice == 1 else ENTITIES[choice % 3]
        count = self.sizes.get(entity, 0)
        return (entity, self.first[entity] + (b >> 8) % count) if count else (None, None)
