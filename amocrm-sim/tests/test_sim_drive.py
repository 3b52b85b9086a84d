"""The drive: a separate host with files, versions, a bin, and downloads that go wrong."""

from __future__ import annotations

import hashlib

import pytest
import requests

AUTH = {"Authorization": "Bearer sim-token"}


@pytest.fixture(scope="module")
def server():
    from amocrm_sim.testing import SimulatorServer

    with SimulatorServer(companies=3, files=40, rps=0) as sim:
        yield sim


@pytest.fixture
def drive(server):
    account = requests.get(f"{server.url}/api/v4/account?with=drive_url", headers=AUTH, timeout=10).json()
    return account["drive_url"]


def ask(url, **headers):
    return requests.get(url, headers={**AUTH, **headers}, timeout=10)


def link(drive, uuid):
    return ask(f"{drive}/v1.0/files/{uuid}").json()["_links"]["download"]["href"]


def test_the_drive_is_another_host_that_takes_the_same_token(server, drive):
    assert drive != server.url
    assert requests.get(f"{drive}/v1.0/files", timeout=10).status_code == 401
    assert ask(f"{drive}/api/v4/contacts").status_code == 404
    assert ask(f"{server.url}/v1.0/files").status_code == 404


def test_the_list_is_paged_and_leaves_out_the_bin(drive):
    seen, url = [], f"{drive}/v1.0/files?limit=10"
    while url:
        body = ask(url).json()
        seen += [f["uuid"] for f in body["_embedded"]["files"]]
        url = body["_links"].get("next", {}).get("href")
    binned = [f["uuid"] for f in ask(f"{drive}/v1.0/files?filter[deleted]=1").json()["_embedded"]["files"]]
    assert len(seen) == len(set(seen)) == 36
    assert sorted(seen + binned) == sorted(f"f{n}" for n in range(40))
    assert ask(f"{drive}/v1.0/files?page=9&limit=10").status_code == 204


def test_a_download_goes_on_where_it_is_asked_to(server, drive):
    server.control("drive", do="upload", uuid="ranged", name="a.bin", size=5000)
    url = link(drive, "ranged")
    whole = ask(url).content
    rest = ask(url, Range="bytes=4000-")
    assert (rest.status_code, rest.content) == (206, whole[4000:])
    assert rest.headers["Content-Range"] == "bytes 4000-4999/5000"
    assert ask(url, Range="bytes=5000-").status_code == 416


def test_each_version_has_its_own_content(server, drive):
    server.control("drive", do="upload", uuid="twice", name="a.bin", size=100)
    server.control("drive", do="version", uuid="twice", version="v2", size=120)
    versions = ask(f"{drive}/v1.0/files/twice/versions").json()["_embedded"]["files"]
    contents = [ask(v["_links"]["download_version"]["href"]).content for v in versions]
    assert [len(c) for c in contents] == [100, 120]
    assert len({hashlib.sha256(c).hexdigest() for c in contents}) == 2
    assert ask(f"{drive}/v1.0/files/twice").json()["has_multiple_versions"] is True


def test_some_downloads_are_of_a_storage_that_must_not_see_the_token(server, drive):
    file = next(f for f in ask(f"{drive}/v1.0/files").json()["_embedded"]["files"] if f["id"] % 3 == 0 and f["size"])
    url = file["_links"]["download"]["href"]
    moved = requests.get(url, headers=AUTH, timeout=10, allow_redirects=False)
    storage = moved.headers["Location"]
    assert (moved.status_code, "//localhost:" in storage) == (302, True)
    assert len(requests.get(storage, timeout=10).content) == file["size"]
    before = server.control("drive")["leaked"]
    assert ask(storage).status_code == 400
    assert server.control("drive")["leaked"] == before + 1


def test_downloads_go_wrong_when_told_to(server, drive):
    server.control("drive", do="upload", uuid="bad", name="a.bin", size=50_000)
    url = link(drive, "bad")
    good = ask(url).content
    server.control("drive", do="spoil", uuid="bad", how="cut")
    with pytest.raises(requests.RequestException):
        ask(url)
    server.control("drive", do="spoil", uuid="bad", how="short")
    assert len(ask(url).content) == 25_000
    server.control("drive", do="spoil", uuid="bad", how="no_range")
    assert ask(url, Range="bytes=10-").status_code == 200
    assert ask(url).content == good
    server.control("drive", do="purge", uuid="bad")
    assert ask(url).status_code == 404


def test_entities_name_the_files_that_hang_on_them(server, drive):
    company = next(i for _, r in server.dump("companies") for i in [r["id"]])
    assert ask(f"{server.url}/api/v4/companies/{company}/files").status_code == 204
    server.control("drive", do="attach", entity="companies", id=company, uuid="f1")
    found = ask(f"{server.url}/api/v4/companies/{company}/files").json()["_embedded"]["files"]
    assert [(f["id"], f["file_uuid"]) for f in found] == [(1, "f1")]
