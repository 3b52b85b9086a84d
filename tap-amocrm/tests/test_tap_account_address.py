"""The token goes to the configured account alone, and what does not name an account is refused."""

from __future__ import annotations

import pytest
from bent_api import CONTACTS, BentApi, read

from tap_amocrm.config.account_address import account_url
from tap_amocrm.errors import ConfigError


@pytest.mark.parametrize(
    ("subdomain", "domain", "url"),
    [
        ("mycompany", None, "https://mycompany.amocrm.ru"),
        (" MyCompany ", "amocrm.ru", "https://mycompany.amocrm.ru"),
        ("mycompany", "kommo.com", "https://mycompany.kommo.com"),
        ("mycompany.amocrm.ru", None, "https://mycompany.amocrm.ru"),
        ("mycompany.kommo.com", "amocrm.ru", "https://mycompany.kommo.com"),
        ("https://mycompany.amocrm.ru/", None, "https://mycompany.amocrm.ru"),
        ("http://mycompany.amocrm.com", None, "https://mycompany.amocrm.com"),
        ("my-company2", " AMOCRM.com ", "https://my-company2.amocrm.com"),
    ],
)
def test_an_account_may_be_named_by_its_name_its_host_or_its_address(subdomain, domain, url):
    assert account_url({"subdomain": subdomain, "domain": domain}) == url


@pytest.mark.parametrize(
    "subdomain",
    [
        "evil.example/", "evil.example", "evil.example/#", "evil.example?", "evil.example:443/", "user@evil.example/",
        "a.b", "a/b", "a b", "a\\b", "a\nb", "-a", "a-", "amocrm.ru", ".amocrm.ru", "https://", "https://evil.example/",
        "evil.example/.amocrm.ru", "evil.example#.amocrm.ru", "https://mycompany.amocrm.ru/leads/", "я" * 3, "a" * 64,
        "mycompany.amocrm.ru.evil.example",
    ],
)  # fmt: skip
def test_a_subdomain_that_names_no_account_is_refused(subdomain):
    with pytest.raises(ConfigError, match="Setting subdomain"):
        account_url({"subdomain": subdomain})


@pytest.mark.parametrize("domain", ["evil.example", "amocrm.ru.evil.example", "amocrm.ru/", "ru", "amocrm.ru#"])
def test_a_domain_that_is_not_the_vendor_s_is_refused(domain):
    with pytest.raises(ConfigError, match="Setting domain"):
        account_url({"subdomain": "mycompany", "domain": domain})


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a.example", "https://", "https://user:pa55@a.example", "https://a.example?key=pa55", "https://a.example/#x",
        "https://a.example\\@evil.example", "https://a.example:99999", "https://a b.example",
        "//a.example", "a.example",
    ],
)  # fmt: skip
def test_an_api_url_is_a_host_a_port_and_a_path_and_shows_no_password(url):
    with pytest.raises(ConfigError, match="Setting api_url") as caught:
        account_url({"api_url": url})
    assert "pa55" not in str(caught.value)


@pytest.mark.parametrize("url", ["https://proxy.example:8443/amo/", "http://127.0.0.1:8000", "http://[::1]:80/"])
def test_an_api_url_may_be_any_host(url):
    assert account_url({"api_url": url}) == url.rstrip("/")


def test_netrc_is_not_read(bent, tmp_path, monkeypatch):
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password secret\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    assert len(read(bent).names()) == 30
    assert {seen.headers["Authorization"] for seen in bent.seen} == {"Bearer s3cret-token"}


def test_a_proxy_of_the_environment_is_used(bent, monkeypatch):
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.setenv("no_proxy", "")
    assert "usable answer" in str(read(bent).error)
    assert bent.seen == []


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_and_its_host_is_named(bent, status):
    other = BentApi()
    try:
        location = other.url.replace("127.0.0.1", "localhost")
        bent.bend = lambda request, path, query: path == CONTACTS and request.answer(status, Location=location)
        assert "redirects to localhost" in str(read(bent).error)
        assert other.seen == []
    finally:
        other.close()


def test_a_next_page_on_another_host_is_asked_of_the_account(bent):
    other = BentApi()
    bent.bend = lambda request, path, query: (
        path == CONTACTS
        and request.answer(200, bent.page(path, query)[1] | {"_links": {"next": {"href": f"{other.url}{path}?page=2"}}})
        if query.get("page") == "1"
        else False
    )
    try:
        assert len(read(bent).names()) == 30
        assert other.seen == []
    finally:
        other.close()
