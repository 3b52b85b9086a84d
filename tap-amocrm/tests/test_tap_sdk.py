"""The SDK's own suite for taps, against the simulator; every test of it runs.

Its tests of an attribute's type take each type that a schema allows for the only one: they run for the properties
that have one. Properties of several types are checked in test_tap_payloads.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from singer_sdk import Stream
from singer_sdk.testing import SuiteConfig, get_tap_test_class
from singer_sdk.testing.suites import SingerTestSuite, tap_stream_attribute_tests
from singer_sdk.testing.templates import AttributeTestTemplate

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.tap import TapAmoCRM

# Tests are collected before the simulator runs; its address is filled in when it does.
CONFIG: dict[str, Any] = {"api_url": "http://127.0.0.1:1", "access_token": "sim-token", "requests_per_second": 1000}


@pytest.fixture(scope="module", autouse=True)
def account() -> Iterator[None]:
    """An account in which something was deleted, so that no stream is empty."""
    with SimulatorServer(companies=60, customers=5, files=20, rps=0) as sim:
        sim.change("delete", kind="contacts", ids=sorted(sim.truth("contacts"))[:3])
        CONFIG["api_url"] = sim.url
        yield


def everything() -> dict[str, Any]:
    """A catalog in which the optional streams are selected, too."""
    catalog: dict[str, Any] = TapAmoCRM(config=CONFIG).catalog_dict
    for stream in catalog["streams"]:
        for entry in stream["metadata"]:
            if not entry["breadcrumb"]:
                entry["metadata"]["selected"] = True
    return catalog


def of_one_type(test: type[AttributeTestTemplate]) -> type[AttributeTestTemplate]:
    """The test, for properties of one type (and null) alone."""

    def evaluate(cls: type, stream: Stream, property_name: str, property_schema: dict[str, Any]) -> bool:
        kinds = set(property_schema.get("type", ())) - {"null"}
        return len(kinds) == 1 and bool(test.evaluate(stream, property_name, property_schema))

    return type(test.__name__, (test,), {"evaluate": classmethod(evaluate)})


ATTRIBUTES = SingerTestSuite(
    kind="tap_stream_attribute", tests=[of_one_type(test) for test in tap_stream_attribute_tests.tests]
)
TestTapAmoCRM = get_tap_test_class(
    TapAmoCRM,
    config=CONFIG,
    catalog=everything(),
    include_stream_attribute_tests=False,
    custom_suites=[ATTRIBUTES],
    suite_config=SuiteConfig(max_records_limit=400),
    parse_env_config=False,
)
