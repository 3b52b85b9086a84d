"""The account's drive: a separate host that takes the same token (`drive_url` of the account, API v1.0).

From the vendor's page of the files API and the models of the vendor's PHP client. Its filter by date is not documented
well enough to be believed, and its order is not documented at all: the list is read whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import quote

from tap_amocrm.api.listing import Pages
from tap_amocrm.config.account_address import is_of_account
from tap_amocrm.errors import ApiError, DriveError
from tap_amocrm.http.client import Ask, Client
from tap_amocrm.http.dispatcher import FILLER
from tap_amocrm.shapes import Record, text

_FILES = "/v1.0/files"
# What the vendor's own clients ask for; a larger page may be refused.
_PAGE = "50"
_NOT_FOUND = 404
_ACCOUNT = Ask("account", "/api/v4/account", (("with", "drive_url"),), promised=True)


def drive_of(client: Client) -> str:
    """The address of the drive: that of the setting, or the one that the account names.

    Raises:
        DriveError: the account names none, or one that is not a host of the service: it would get the token.
        TapError: the account can't be read.
    """
    if client.settings.drive_url:
        return client.settings.drive_url
    named = text(client.get(_ACCOUNT).body.get("drive_url")).strip().rstrip("/")
    if not named:
        msg = (
            "The account has no drive (drive_url): its plan does not include files, or the integration has no "
            "access to them."
        )
        raise DriveError(msg)
    if not is_of_account(named, client.settings.api_url):
        msg = (
            f"The account names {named[:100]!r} as its drive, which is not a host of amoCRM; the token is not sent "
            f"there."
        )
        raise DriveError(msg)
    return named


def files_of(client: Client, base: str, stream: str, *, deleted: bool) -> Iterator[list[Record]]:
    """Pages of the drive's list: the files, or with `deleted` those in the bin.

    Raises:
        TapError: the list can't be read.
    """
    passed, number = Pages(_FILES), 1
    params = (("filter[deleted]", "1"),) if deleted else ()
    while True:
        asked = (("limit", _PAGE), ("page", str(number)), *params)
        page = client.get(Ask(stream, _FILES, asked, promised=number > 1, key="files", base=base), FILLER)
        records = page.records("files")
        yield records
        more = page.next_params is not None
        passed.passed(records, more=more)
        if not more:
            return
        number += 1


def versions_of(client: Client, base: str, stream: str, uuid: str) -> list[Record]:
    """All versions of a file; none where the drive does not know it.

    Raises:
        TapError: the list can't be read.
    """
    try:
        page = client.get(Ask(stream, f"{_FILES}/{quote(uuid, safe='')}/versions", key="files", base=base), FILLER)
    except ApiError as error:
        if error.status != _NOT_FOUND:
            raise
        return []
    return page.records("files")
