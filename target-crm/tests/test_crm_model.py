"""Random sequences of syncs, manual edits, deletions on both sides and crashes, compared with a small model.

The model (tests/support/soft_update_model.py) is docs/soft-update.md in Python, written without a look at the merge.
A crash is a connection that breaks at any statement, delivered or not. More examples: CRM_EXAMPLES=1000.
"""

from __future__ import annotations

import os
import threading
from contextlib import suppress

import pytest
from cutting_proxy import CuttingProxy
from hypothesis import HealthCheck, given, settings
from soft_update_player import STEPS, Player
from survived import survived

from target_crm.errors import TargetError

EXAMPLES = int(os.environ.get("CRM_EXAMPLES", "40"))


@pytest.fixture(scope="module")
def proxy(database_url):
    with CuttingProxy(database_url) as cutting:
        yield cutting


@settings(
    max_examples=EXAMPLES,
    deadline=None,
    database=None,
    derandomize="CRM_EXAMPLES" not in os.environ,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture, HealthCheck.data_too_large],
)
@given(steps=STEPS)
def test_whatever_happens_the_crm_holds_what_the_truth_table_says(crm, proxy, steps):
    player = Player(crm, proxy)
    try:
        for step in steps:
            player.play(step)
    finally:
        survived("connection cut at any statement", player.cuts, records=player.lost)


@pytest.mark.parametrize("statement", [15, 25, 35])
def test_a_load_whose_server_falls_silent_when_it_is_cut_ends_by_itself(crm, database_url, statement):
    with CuttingProxy(database_url) as deaf:
        player = Player(crm, deaf)
        lines = [crm.schema_message("contacts"), *crm.messages("contacts", *({"id": n} for n in range(1, 9)))]
        deaf.arm(statement, deaf=True)
        ended = threading.Event()

        def load():
            with suppress(TargetError):
                crm.load(lines, database_url=deaf.url, batch_size_rows=2)
            ended.set()

        threading.Thread(target=load, daemon=True).start()
        assert ended.wait(30)
        assert deaf.cut
        player.load(lines)
    assert len(crm.rows("contacts")) == 8
