"""What becomes of records that are like rows, whatever their order and however they are divided into batches."""

from __future__ import annotations

import pytest
from firms import crm_of_firms, proposals, record, sync, tied, typed
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

INNS, EMAILS = ("7707083893", "7728168971"), ("a@b.ru", "x@y.ru")
NAMES = ("Ромашка", "Лютик")
# Numbers of records, and of rows as people type them.
NUMBERS = ("+79161112201", "+79031112202")
SPELT = ("8 (916) 111-22-01", "9031112202", "+79161112201, +79031112202")


def some(values):
    return st.sampled_from((None, *values))


ROW = st.fixed_dictionaries({"inn": some(INNS), "phone": some(SPELT), "email": some(EMAILS), "name": some(NAMES)})
VALUES = st.fixed_dictionaries(
    {
        "inn": some(INNS),
        "phones": st.lists(st.sampled_from(NUMBERS), max_size=2, unique=True),
        "emails": st.lists(st.sampled_from(EMAILS), max_size=1),
        "name": some(NAMES),
    }
)
CLEAR = "TRUNCATE firm, person, firm_phone, sync_proposals, sync_keys, sync_changes, sync_conflicts, sync_pending"


def outcome(crm, rows, records, size):
    """The rows' places in the order in which they were typed that records got, None for a new row, and what
    waits."""
    crm.execute(CLEAR)
    places = {typed(crm, **row): place for place, row in enumerate(rows)}
    sync(crm, *records, batch_size_rows=size)
    got = {number: places.get(row) for number, row in tied(crm).items()}
    waiting = [(p["amo_id"], p["rule"], sorted(places[int(key)] for key in p["candidates"])) for p in proposals(crm)]
    return got, waiting


@pytest.fixture
def firms(crm):
    return crm_of_firms(crm)(["inn", "phones", "email", ["name"]], sets=True)


@given(rows=st.lists(ROW, min_size=1, max_size=5), values=st.lists(VALUES, min_size=1, max_size=5), data=st.data())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_neither_the_order_nor_the_batches_decide_which_record_becomes_which_row(firms, rows, values, data):
    records = [record(number, **given) for number, given in enumerate(values, 1)]
    shuffled = data.draw(st.permutations(records))
    size = data.draw(st.sampled_from([1, 2, 3]))
    assert outcome(firms, rows, records, 10_000) == outcome(firms, rows, shuffled, size)


def versions(old, new):
    """One record twice in a run, the older version first."""
    return [record(1, updated_at=f"2026-01-0{day}T00:00:00+00:00", **given) for day, given in ((1, old), (2, new))]


@given(rows=st.lists(ROW, min_size=1, max_size=4), old=VALUES, new=VALUES, swapped=st.booleans())
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_of_a_record_that_comes_twice_in_one_batch_the_newer_version_decides(firms, rows, old, new, swapped):
    both = versions(old, new)
    alone = outcome(firms, rows, both[1:], 10_000)
    assert outcome(firms, rows, both[::-1] if swapped else both, 10_000) == alone


@pytest.mark.parametrize("size", [1, 10_000])
@pytest.mark.parametrize("swapped", [False, True], ids=["older first", "newer first"])
@pytest.mark.parametrize("new", [{"inn": INNS[1]}, {"name": "nothing like it"}], ids=["like another", "like none"])
def test_a_waiting_record_that_comes_again_in_the_same_run_is_decided_by_its_newer_version(firms, size, swapped, new):
    rows = [{"inn": INNS[0]}, {"inn": INNS[1]}]
    both = versions({"inn": INNS[0]}, new)
    got, waiting = outcome(firms, rows, both[::-1] if swapped else both, size)
    assert (got, waiting) == ({1: 1 if "inn" in new else None}, [])


def test_a_record_that_is_like_a_row_only_when_it_comes_again_in_another_batch_is_reported(firms):
    rows, both = [{"inn": INNS[0]}], versions({"name": "nothing like it"}, {"inn": INNS[0]})
    assert outcome(firms, rows, both, 10_000) == ({1: 0}, [])
    assert outcome(firms, rows, both, 1) == ({1: None}, [])
    (run,) = firms.execute("SELECT notices FROM sync_runs ORDER BY id DESC LIMIT 1")
    assert [(n["args"]["number"], n["args"]["by"]) for n in run["notices"] if n["code"] == "W_LOOKS_THE_SAME"] == [
        (1, "inn: 1")
    ]


def test_records_that_wait_for_a_person_are_the_same_after_one_run_and_after_two(firms):
    rows = [{"inn": INNS[0]}, {"inn": INNS[0]}]
    records = [record(number, inn=INNS[0]) for number in (1, 2)]
    together = outcome(firms, rows, records, 10_000)
    divided = outcome(firms, rows, records[:1], 10_000)[1]
    sync(firms, *records[1:])
    assert [len(divided), len(proposals(firms)), len(together[1])] == [1, 2, 2]
    assert tied(firms) == {}
