"""Deletions, merges and restores: nothing twice, nothing missed between runs, what was restored comes back."""

from __future__ import annotations


def deleted(output):
    return {(r["entity_type"], r["entity_id"]) for r in output.records["deleted_records"].values()}


def test_deletions_of_every_kind_come_once(start):
    tap = start(companies=20)
    state = tap.run().state
    expected = set()
    for kind in ("companies", "contacts", "leads", "tasks"):
        gone = max(tap.sim.truth(kind))
        tap.sim.change("delete", kind=kind, ids=[gone])
        expected.add((kind, gone))
    note = max(tap.sim.truth("contacts/notes"))
    tap.sim.change("delete", kind="contacts/notes", ids=[note])
    expected.add(("notes", note))
    second = tap.run(state)
    assert deleted(second) == expected
    third = tap.run(second.state)
    assert deleted(third) == set()


def test_a_merge_names_the_survivor(start):
    tap = start(companies=20)
    state = tap.run().state
    survivor, loser = sorted(tap.sim.truth("contacts"))[:2]
    tap.sim.change("merge", kind="contacts", into=survivor, ids=[loser])
    (record,) = tap.run(state).records["deleted_records"].values()
    assert (record["entity_id"], record["merged_into"]) == (loser, survivor)


def test_what_was_restored_comes_back_with_its_notes_and_tasks(start):
    tap = start(companies=20)
    tasks = [r for r in tap.sim.truth("tasks").values() if r["entity_type"] == "contacts"]
    notes = {r["entity_id"] for r in tap.sim.truth("contacts/notes").values()}
    contact = next(r["entity_id"] for r in tasks if r["entity_id"] in notes)
    tap.sim.change("delete", kind="contacts", ids=[contact])
    first = tap.run()
    assert contact not in first.ids("contacts")
    tap.sim.change("restore", kind="contacts", ids=[contact])
    second = tap.run(first.state)
    assert second.ids("contacts") == {contact}
    hanging = {i for i, r in tap.sim.truth("contacts/notes").items() if r["entity_id"] == contact}
    assert hanging
    assert second.ids("notes") >= hanging
    (record,) = [r for r in second.records["deleted_records"].values() if r["entity_id"] == contact]
    assert record["restored_at"]
    assert record["deleted_at"] is None


def test_what_was_restored_outside_the_scope_does_not_come(start):
    tap = start(companies=40)
    scope = {"responsible_user_ids": [5_000_003]}
    companies = tap.sim.truth("companies")
    outside = next(
        i
        for i, r in tap.sim.truth("contacts").items()
        if r["_embedded"]["companies"]
        and companies[r["_embedded"]["companies"][0]["id"]]["responsible_user_id"] != 5_000_003
    )
    tap.sim.change("delete", kind="contacts", ids=[outside])
    first = tap.run(**scope)
    tap.sim.change("restore", kind="contacts", ids=[outside])
    assert outside not in tap.run(first.state, **scope).ids("contacts")


def test_without_the_right_to_read_events_the_rest_is_read_and_a_warning_says_so(start):
    tap = start(companies=200, refuse=("events",), refuse_status=403)
    output = tap.run()
    assert output.code == 0
    assert "Stream events stays empty" in output.log
    assert output.ids("contacts") == set(tap.sim.truth("contacts"))
    assert tap.run(output.state).code == 0


def last_version(output, stream, identity):
    """The last record of a key that came in a run."""
    return output.records[stream][identity]


def test_a_deleted_record_gets_a_last_version_in_its_own_stream(start):
    tap = start(companies=20)
    state = tap.run().state
    gone = {kind: max(tap.sim.truth(kind)) for kind in ("companies", "contacts", "leads", "tasks")}
    for kind, identity in gone.items():
        tap.sim.change("delete", kind=kind, ids=[identity])
    note = max(tap.sim.truth("contacts/notes"))
    tap.sim.change("delete", kind="contacts/notes", ids=[note])
    output = tap.run(state)
    for stream, identity in {**gone, "notes": note}.items():
        last = last_version(output, stream, identity)
        assert last["is_deleted"] is True
        (entry,) = [
            r
            for r in output.records["deleted_records"].values()
            if (r["entity_type"], r["entity_id"]) == (stream, identity)
        ]
        assert last["_sdc_deleted_at"] == entry["deleted_at"]
        assert last["updated_at"] == entry["deleted_at"]


def test_what_was_merged_away_gets_a_last_version_too(start):
    tap = start(companies=20)
    state = tap.run().state
    survivor, loser = sorted(tap.sim.truth("contacts"))[:2]
    tap.sim.change("merge", kind="contacts", into=survivor, ids=[loser])
    output = tap.run(state)
    assert last_version(output, "contacts", loser)["is_deleted"] is True
    assert not last_version(output, "contacts", survivor).get("is_deleted")


def test_what_was_deleted_before_the_first_run_and_so_never_sent_gets_none(start):
    tap = start(companies=20)
    contact = max(tap.sim.truth("contacts"))
    tap.sim.change("delete", kind="contacts", ids=[contact])
    output = tap.run()
    assert ("contacts", contact) in deleted(output)
    assert contact not in output.ids("contacts")


def test_a_restored_record_comes_without_the_mark(start):
    tap = start(companies=20)
    state = tap.run().state
    contact = max(tap.sim.truth("contacts"))
    tap.sim.change("delete", kind="contacts", ids=[contact])
    second = tap.run(state)
    assert last_version(second, "contacts", contact)["_sdc_deleted_at"]
    tap.sim.change("restore", kind="contacts", ids=[contact])
    third = tap.run(second.state)
    assert not last_version(third, "contacts", contact).get("_sdc_deleted_at")


def test_last_versions_can_be_switched_off(start):
    tap = start(companies=20)
    state = tap.run(mark_deleted=False).state
    contact = max(tap.sim.truth("contacts"))
    tap.sim.change("delete", kind="contacts", ids=[contact])
    output = tap.run(state, mark_deleted=False)
    assert ("contacts", contact) in deleted(output)
    assert contact not in output.ids("contacts")


def test_a_stream_with_a_stream_map_gets_none_for_its_expressions_may_need_more(start):
    tap = start(companies=20)
    maps = {"contacts": {"name": "md5(str(name))"}}
    state = tap.run(stream_maps=maps).state
    contact = max(tap.sim.truth("contacts"))
    tap.sim.change("delete", kind="contacts", ids=[contact])
    output = tap.run(state, stream_maps=maps)
    assert output.code == 0
    assert contact not in output.ids("contacts")
