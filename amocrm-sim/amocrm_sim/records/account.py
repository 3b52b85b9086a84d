"""The account's records, each computed from seed, kind and place: a million cost no memory until they are asked for."""

from __future__ import annotations

from amocrm_sim.records import notes, plain, unkind
from amocrm_sim.records.relations import Relations
from amocrm_sim.records.seeds import CARDS, EPOCH, Record


class Account(Relations):
    """Computes any record by kind and index (from 0)."""

    def record(self, kind: str, index: int) -> Record:
        """The whole record as the API gives it with all of `with`."""
        created, updated = self.times(kind, index)
        b = self.bits(kind, index)
        base: Record = {
            "id": self.first[kind] + index,
            "created_by": self.user(b >> 3),
            "updated_by": self.user(b >> 5),
            "created_at": created,
            "updated_at": updated,
            "responsible_user_id": self.user(b),
            "group_id": 0,
            "account_id": self.id,
        }
        if kind.endswith("/notes"):
            _, entity_id = self.parent_of(kind, index)
            note_type, params = (notes.params if self.plain else notes.unkind)(b, index)
            base |= {"entity_id": entity_id, "note_type": note_type, "params": params}
            return base
        if kind in CARDS:
            base |= {"closest_task_at": EPOCH + b % 86_400 if b % 7 == 0 else None, "is_deleted": False}
        getattr(plain, kind)(self, base, index, b)
        if not self.plain:
            getattr(unkind, kind)(self, base, index, b)
        return base
