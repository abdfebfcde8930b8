"""Who is served and who is not: token, host, origin, method, and forty ways to ask for a file."""

from __future__ import annotations

import http.client
import re

import pytest

TRAVERSALS = [
    "/../../../../etc/passwd",
    "/part/../../../../etc/passwd",
    "/part/..%2f..%2f..%2f..%2fetc%2fpasswd",
    "/part/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
    "/part/%2e%2e%2f%2e%2e%2fetc%2fpasswd",
    "/part/%252e%252e%252fetc%252fpasswd",
    "/part/%25252e%25252e%25252fetc%25252fpasswd",
    "/part/..%252f..%252fetc%252fpasswd",
    "/part/..%5c..%5cetc%5cpasswd",
    "/part/..\\..\\etc\\passwd",
    "/part/%5c%5cetc%5cpasswd",
    "/part/....//....//etc/passwd",
    "/part/....%2f%2f....%2f%2fetc/passwd",
    "/part/..;/..;/etc/passwd",
    "/part/..%00/etc/passwd",
    "/part/sheet%00",
    "/part/sheet%00.txt",
    "/part/%00",
    "/part/sheet/../../etc/passwd",
    "/part/sheet/",
    "/part/./sheet/..",
    "/part//etc/passwd",
    "//etc/passwd",
    "///etc/passwd",
    "/%2fetc%2fpasswd",
    "/part/%2fetc%2fpasswd",
    "/part/file:%2f%2f%2fetc%2fpasswd",
    "/part/http:%2f%2fexample.org",
    "/part/%c0%ae%c0%ae%c0%afetc%c0%afpasswd",
    "/part/%e0%80%ae%e0%80%ae/etc/passwd",
    "/part/%uff0e%uff0e/etc/passwd",
    "/part/%ef%bc%8e%ef%bc%8e%ef%bc%8fetc",
    "/part/~root",
    "/part/~%2f.ssh%2fid_rsa",
    "/part/config.toml",
    "/part/grow%2fsheet-0.safetensors",
    "/part/__class__",
    "/part/sheet?../../etc/passwd=1&x=/part/config.toml#",
    "/part/SHEET",
    "/part/%73%68%65%65%74%2e%2e",
    "/static/../../etc/passwd",
    "/part",
    "/part/",
    "/." + "/.." * 20 + "/etc/passwd",
]


def test_the_page_is_served_to_who_knows_the_token(ask):
    status, headers, body = ask("/")
    assert status == 200
    assert b"<canvas" in body
    policy = headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "frame-ancestors 'none'" in policy
    assert f"connect-src 'self' ws://127.0.0.1:{ask.port} ws://localhost:{ask.port}" in policy
    assert "unsafe-eval" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "no-referrer"


def test_the_token_in_the_address_becomes_a_cookie_of_this_site_alone(ask):
    status, headers, _ = ask("/?token=a-token-that-nobody-guesses", cookie=False)
    assert status == 200
    assert re.fullmatch(
        rf"devnet-{ask.port}=a-token-that-nobody-guesses; Path=/; HttpOnly; SameSite=Strict",
        headers["set-cookie"],
    )


def test_a_title_that_is_a_script_is_text(ask):
    body = ask("/")[2].decode()
    assert "<script>alert" not in body
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body


def test_a_part_is_served_by_its_id(ask):
    assert ask("/part/sheet")[::2] == (200, b"the sheet")
    assert ask("/parts")[2] == b'{"parts":{"sheet":"1"},"stages":[]}'


@pytest.mark.parametrize("target", TRAVERSALS)
def test_nothing_but_the_table_is_served(ask, target):
    status, _, body = ask(target)
    served = target.partition("?")[0] == "/part/sheet"  # a query is not looked at
    assert (status, body) == (200, b"the sheet") if served else status in (400, 404, 307)
    assert b"root:" not in body


@pytest.mark.parametrize(
    "host",
    [
        "example.org",
        "127.0.0.1",
        "127.0.0.1:1",
        "localhost.example.org",
        "127.0.0.1.nip.io:{port}",
        "[::1]:{port}",
        "0.0.0.0:{port}",
        "LOCALHOST:{port}",
        "user@127.0.0.1:{port}",
        "127.0.0.1:{port}, example.org",
        "",
    ],
)
def test_another_name_is_not_answered(ask, host):
    status, headers, body = ask("/", host=[host.format(port=ask.port)])
    assert status in (400, 421)
    assert b"<canvas" not in body
    assert "set-cookie" not in headers


@pytest.mark.parametrize(
    "hosts", [[], ["127.0.0.1:{port}", "example.org"], ["example.org", "127.0.0.1:{port}"]]
)
def test_no_name_or_two_are_not_answered(ask, hosts):
    status, _, body = ask("/", host=[host.format(port=ask.port) for host in hosts])
    assert status in (400, 421)
    assert b"<canvas" not in body


@pytest.mark.parametrize(
    "token", [None, "", "wrong", "a-token-that-nobody-guesse", "a-token-that-nobody-guesses2", "é"]
)
@pytest.mark.parametrize("target", ["/", "/parts", "/part/sheet", "/?token={token}"])
def test_without_the_token_nothing_is_served(ask, target, token):
    from urllib.parse import quote

    status, headers, body = ask(
        target.format(token=quote(token or "")), token=quote(token) if token else token
    )
    assert status == 403
    assert "set-cookie" not in headers
    assert b"sheet" not in body


def test_the_token_in_the_address_opens_the_page_only(ask):
    assert ask("/part/sheet?token=a-token-that-nobody-guesses", cookie=False)[0] == 403


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
def test_only_reading_is_possible(ask, method):
    assert ask("/part/sheet", method=method)[0] == 405


def test_a_request_of_another_page_is_refused(ask):
    assert ask("/parts", Origin="http://example.org")[0] == 403
    assert ask("/parts", Origin="null")[0] == 403
    assert ask("/parts", Origin=f"http://127.0.0.1:{ask.port}")[0] == 200


def test_a_long_address_is_refused(ask):
    assert ask("/part/" + "a" * 600)[0] == 414


def upgraded(ask, **headers):
    try:
        return ask.upgrade(**headers)[0]
    except http.client.BadStatusLine:
        return 0


def test_a_stream_opens_to_its_own_page_alone(ask):
    assert upgraded(ask) == 101
    assert upgraded(ask, Origin="http://example.org") == 403
    assert upgraded(ask, Origin="null") == 403
    assert upgraded(ask, token="wrong") == 403
    assert upgraded(ask, token=None) == 403
    assert upgraded(ask, host="example.org") == 403
