"""The part of an account that a scope chooses, as records come from it."""

from __future__ import annotations

from collections import Counter

from bent_api import CONTACTS, read


def test_a_contact_that_is_listed_with_each_of_its_companies_comes_once(bent):
    first, second, other = (company["id"] for company in bent.lists["companies"])
    for contact in bent.lists["contacts"][:4]:
        contact["_embedded"]["companies"] = [{"id": first}]
    shared = bent.lists["contacts"][2]
    shared["_embedded"]["companies"] = [{"id": first}, {"id": second}]
    bent.lists["contacts"][3]["_embedded"]["companies"] = [{"id": other}]

    def bend(request, path, query):
        if path != CONTACTS or "filter[company_id][]" not in query:
            return False
        listed = [*bent.lists["contacts"][:3], shared]
        return request.answer(200, {"_page": 1, "_links": {}, "_embedded": {"contacts": listed}})

    bent.bend = bend
    ids = Counter(record["id"] for record in read(bent, company_limit=2, child_strategy="batch").records["contacts"])
    assert ids == {1: 1, 2: 1, 3: 1}
