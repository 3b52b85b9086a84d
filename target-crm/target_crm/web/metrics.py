"""The state of the syncs for a monitor: `/metrics`, with a bearer token of its own and without a session."""

from __future__ import annotations

import hmac
import logging

import psycopg
from psycopg_pool import PoolTimeout
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from target_crm.config.database_url import without_secrets
from target_crm.errors import TargetError
from target_crm.operations.health import read_health
from target_crm.operations.openmetrics import openmetrics
from target_crm.operations.session import NothingYetError
from target_crm.web.crm import Crm

logger = logging.getLogger("target-crm")
# https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md, "Overall Structure".
CONTENT_TYPE = "application/openmetrics-text; version=1.0.0; charset=utf-8"


async def answer(request: Request, crm: Crm) -> Response:
    """The metrics, for whoever has the token of the setting `metrics_token`; without that setting for nobody."""
    token = crm.settings.metrics_token
    if token is None:
        return PlainTextResponse("The setting metrics_token is not set.\n", status_code=404)
    if not is_bearer(request.headers.get("authorization", ""), token):
        refusal = PlainTextResponse("The bearer token is missing or wrong (setting metrics_token).\n", status_code=401)
        refusal.headers["WWW-Authenticate"] = 'Bearer realm="metrics"'
        return refusal
    try:
        text = await run_in_threadpool(_read, crm)
    except (psycopg.Error, PoolTimeout, TargetError) as error:
        logger.warning("/metrics: %s", without_secrets(str(error)))
        return PlainTextResponse("The database can't be read; the log says why.\n", status_code=503)
    return Response(text, media_type=CONTENT_TYPE)


def is_bearer(header: str, token: str) -> bool:
    """Whether a header Authorization holds the token; compared in the same time whatever is given."""
    scheme, _, given = header.partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.encode()) and scheme.lower() == "bearer"


def _read(crm: Crm) -> str:
    try:
        with crm.session() as session:
            health = read_health(session)
    except NothingYetError:
        health = None
    return openmetrics(health, crm.settings.crm_schema)
