"""The account's records: what they hold is worked out from the seed when it is asked for."""

from amocrm_sim.records.account import Account
from amocrm_sim.records.seeds import ACCOUNT_ID, CARDS, ENTITIES, EPOCH, FIRST_ID, FIRST_USER, USERS, Record

__all__ = ["ACCOUNT_ID", "CARDS", "ENTITIES", "EPOCH", "FIRST_ID", "FIRST_USER", "USERS", "Account", "Record"]
