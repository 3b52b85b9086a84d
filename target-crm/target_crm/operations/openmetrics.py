"""The state of the CRM's syncs in the text format of OpenMetrics, for Prometheus and what reads its format."""

from __future__ import annotations

from collections.abc import Iterable

from target_crm.operations.health import Health

_Sample = tuple[dict[str, str], float]


def openmetrics(health: Health | None, schema: str) -> str:
    """All metrics, gauges with the label `schema`; None: there has not been a load yet."""
    own = {"schema": schema}
    accounts = health.accounts if health is not None else []
    labelled = [({**own, "account_id": str(a.account_id or "")}, a) for a in accounts]
    families: list[tuple[str, str, list[_Sample]]] = [
        (
            "target_crm_last_complete_sync_timestamp_seconds",
            "Time at which the last complete sync of the account ended.",
            [(labels, account.at.timestamp()) for labels, account in labelled],
        ),
        (
            "target_crm_sync_overdue",
            "1: the last complete sync of the account is older than max_sync_age_hours, or twice the usual interval.",
            [(labels, float(account.is_stale)) for labels, account in labelled],
        ),
    ]
    if health is not None:
        opened = {
            "conflicts": health.conflicts,
            "rejects": health.rejects,
            "warnings": health.warnings,
            "proposals": health.proposals,
        }
        families += [
            (
                "target_crm_last_run_succeeded",
                "1: the last load read and loaded everything, or is under way.",
                [(own, float(health.last_status in ("succeeded", "running")))],
            ),
            (
                "target_crm_open",
                "Open items that wait for a person, by kind; counted up to 10,001.",
                [({**own, "kind": kind}, float(number)) for kind, number in opened.items()],
            ),
            (
                "target_crm_gaps",
                "Runs that started from a state which this database never released; records may be missing.",
                [(own, float(len(health.gaps)))],
            ),
        ]
    return "".join(_family(*family) for family in families) + "# EOF\n"


def _family(name: str, meaning: str, samples: Iterable[_Sample]) -> str:
    lines = [f"# TYPE {name} gauge", f"# HELP {name} {meaning}"]
    lines += [f"{name}{{{_labels(labels)}}} {value!r}" for labels, value in samples]
    return "\n".join(lines) + "\n"


def _labels(labels: dict[str, str]) -> str:
    escaped = {k: v.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") for k, v in labels.items()}
    return ",".join(f'{name}="{value}"' for name, value in escaped.items())
