"""An update may set custom fields of any shape: the account serves it, whatever events can be made of it."""

from __future__ import annotations

import pytest

from amocrm_sim.testing import SimulatorServer


@pytest.mark.parametrize(
    "fields",
    [
        {"custom_fields_values": [None, {"field_id": 1, "values": [{"value": "x"}]}]},
        {"custom_fields_values": "x"},
        {"custom_fields_values": False},
        {"custom_fields_values": {"0": {"field_id": 1}}},
        {"custom_fields_values": [{"field_id": [1], "values": None}]},
    ],
)
def test_an_update_sets_fields_of_any_shape_and_the_next_one_takes_it_back(fields):
    with SimulatorServer(companies=3, rps=0) as sim:
        contact = min(sim.truth("contacts"))
        before = sim.truth("contacts")[contact]
        sim.change("update", kind="contacts", ids=[contact], fields=fields)
        assert fields.items() <= sim.truth("contacts")[contact].items()
        (name,) = fields
        sim.change("update", kind="contacts", ids=[contact], fields={name: before[name]})
        assert sim.truth("contacts")[contact][name] == before[name]
