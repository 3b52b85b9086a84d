"""The SDK's own suite for taps, against the simulator; every test of it runs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from singer_sdk.testing import SuiteConfig, get_tap_test_class

from amocrm_sim.testing import SimulatorServer
from tap_amocrm.tap import TapAmoCRM

# Tests are collected before the simulator runs; its address is filled in when it does.
CONFIG: dict[str, Any] = {"api_url": "http://127.0.0.1:1", "access_token": "sim-token", "requests_per_second": 1000}


@pytest.fixture(scope="module", autouse=True)
def account() -> Iterator[None]:
    """An account in which something was deleted, so that no stream is empty."""
    with SimulatorServer(companies=60, customers=5, rps=0) as sim:
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


TestTapAmoCRM = get_tap_test_class(
    TapAmoCRM,
    config=CONFIG,
    catalog=everything(),
    suite_config=SuiteConfig(max_records_limit=400),
    parse_env_config=False,
)
