"""What of a proxied request is pure: names, paths, headers, links."""

import pytest

from controlplane.apiserver.backends import headers, names
from controlplane.apiserver.backends.exchange import BadAnswerError, Head, head_bytes, parse_head
from controlplane.apiserver.backends.headers import Secrets
from controlplane.apiserver.backends.links import Links
from controlplane.apiserver.backends.names import Name

NAMES = {
    "name": ("p", Name("p")),
    "port": ("p:80", Name("p", "", "80")),
    "named_port": ("p:web", Name("p", "", "web")),
    "empty_port": ("p:", Name("p", "", "")),
    "scheme": ("https:p:443", Name("p", "https", "443")),
    "no_scheme": (":p:443", Name("p", "", "443")),
    "scheme_without_port": ("http:p:", Name("p", "http", "")),
    "other_scheme": ("ftp:p:21", None),
    "no_name": (":80", None),
    "empty": ("", None),
    "too_many": ("http:p:80:x", None),
}


@pytest.mark.parametrize(("text", "wanted"), NAMES.values(), ids=NAMES)
def test_names(text: str, wanted: Name | None) -> None:
    assert names.parse(text) == wanted


PATHS = {
    "bare": ((), "/x/proxy", ""),
    "slash": ((), "/x/proxy/", "/"),
    "path": (("a", "b"), "/x/proxy/a/b", "/a/b"),
    "path_with_slash": (("a", "b"), "/x/proxy/a/b/", "/a/b/"),
    "up": (("a", "..", "b"), "/x/proxy/a/../b", "/b"),
    "never_above": (("..", "..", "b"), "/x/proxy/../../b", "/b"),
}


@pytest.mark.parametrize(("rest", "path", "wanted"), PATHS.values(), ids=PATHS)
def test_the_path_behind(rest: tuple[str, ...], path: str, wanted: str) -> None:
    assert names.sub_path(rest, path) == wanted


@pytest.mark.parametrize(
    ("address", "is_public"),
    [
        ("10.244.0.5", True),
        ("192.168.1.1", True),
        ("8.8.8.8", True),
        ("fd00::1", True),
        ("127.0.0.1", False),
        ("127.101.1.9", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("169.254.169.254", False),
        ("fe80::1", False),
        ("224.0.0.1", False),
        ("0.0.0.0", False),
        ("255.255.255.255", False),
        ("", False),
        ("localhost", False),
    ],
)
def test_addresses_that_may_be_connected_to(address: str, is_public: bool) -> None:
    assert names.is_public(address) is is_public


LINKS = Links("/api/v1/namespaces/n/pods/p/proxy", "10.1.1.1:80", "api:6443")
REWRITTEN = {
    "absolute_path": ("/next", "/api/v1/namespaces/n/pods/p/proxy/next"),
    "slash_at_the_end": ("/next/", "/api/v1/namespaces/n/pods/p/proxy/next/"),
    "root": ("/", "/api/v1/namespaces/n/pods/p/proxy/"),
    "query_and_fragment": ("/n?a=b#c", "/api/v1/namespaces/n/pods/p/proxy/n?a=b#c"),
    "of_the_backend": ("http://10.1.1.1:80/x", "/api/v1/namespaces/n/pods/p/proxy/x"),
    "of_this_server": ("https://api:6443/x", "https://api:6443/api/v1/namespaces/n/pods/p/proxy/x"),
    "of_another": ("http://example.com/x", "http://example.com/x"),
    "relative": ("x/y", "x/y"),
    "only_a_query": ("?x", "?x"),
    "rewritten_already": (
        "/api/v1/namespaces/n/pods/p/proxy/x",
        "/api/v1/namespaces/n/pods/p/proxy/x",
    ),
    "no_url": ("http://[", "http://["),
    "mail": ("mailto:me@example.com", "mailto:me@example.com"),
    "spaces": ("/a%20b", "/api/v1/namespaces/n/pods/p/proxy/a%20b"),
}


@pytest.mark.parametrize(("link", "wanted"), REWRITTEN.values(), ids=REWRITTEN)
def test_links(link: str, wanted: str) -> None:
    assert LINKS.rewritten(link) == wanted


PROXIED = "/api/v1/namespaces/n/pods/p/proxy"
PAGES = {
    "link": ('<a href="/x">y</a>', f'<a href="{PROXIED}/x">y</a>'),
    "unquoted": ("<a href=/x>y</a>", f'<a href="{PROXIED}/x">y</a>'),
    "single_quotes": ("<A HREF='/x'>y</A>", f'<a href="{PROXIED}/x">y</A>'),
    "other_attribute": ('<a title="/x">y</a>', '<a title="/x">y</a>'),
    "other_tag": ('<p href="/x">', '<p href="/x">'),
    "two": ('<img src="/x" longdesc="/y"/>', f'<img src="{PROXIED}/x" longdesc="{PROXIED}/y"/>'),
    "entities": ('<a href="/x?a&amp;b">', f'<a href="{PROXIED}/x?a&amp;b">'),
    "text": ("a < b /x", "a < b /x"),
    "comment": ('<!-- <a href="/x"> -->', '<!-- <a href="/x"> -->'),
    "doctype": ("<!DOCTYPE html><p>", "<!DOCTYPE html><p>"),
    "script": (
        '<script src="/x">"<a href=\'/y\'>"</script><a href="/z">',
        f'<script src="{PROXIED}/x">"<a href=\'/y\'>"</script><a href="{PROXIED}/z">',
    ),
    "never_ends": ('<a href="/x"', '<a href="/x"'),
    "odd_letters": ('<a =  href="/x">', f'<a href="{PROXIED}/x">'),
    "not_closed_quote": ('<a href="/x>', '<a href="/x>'),
}


@pytest.mark.parametrize(("page", "wanted"), PAGES.values(), ids=PAGES)
def test_pages(page: str, wanted: str) -> None:
    assert LINKS.in_html(page) == wanted


@pytest.mark.parametrize("piece", ["<a href=", "<a ='", "<!--", "<script>", "<a/", '<a x="', "<"])
def test_bad_pages_cost_no_more_than_their_length(piece: str) -> None:
    page = piece * 20_000
    assert LINKS.in_html(page)


def test_credentials_stay_here() -> None:
    given = [
        ("authorization", "Bearer x"),
        ("x-remote-user", "root"),
        ("x-remote-group", "system:masters"),
        ("x-remote-extra-scopes", "all"),
        ("impersonate-user", "root"),
        ("impersonate-extra-x", "y"),
        ("x-own-user", "root"),
        ("x-own-extra-scopes", "all"),
        ("sec-websocket-protocol", "chat, base64url.bearer.authorization.k8s.io.dG9rZW4"),
        ("cookie", "a=b"),
    ]
    kept = headers.without_credentials(given, Secrets(("x-own-user",), ("x-own-extra-",)))
    assert kept == [("sec-websocket-protocol", "chat"), ("cookie", "a=b")]


def test_headers_of_a_connection_stay_with_it() -> None:
    given = [("connection", "keep-alive, X-Mine"), ("x-mine", "1"), ("te", "gzip"), ("accept", "a")]
    assert headers.of_the_request(given) == [("accept", "a")]


@pytest.mark.parametrize(
    ("given", "wanted"), [([], "10.0.0.9"), (["1.1.1.1", "2.2.2.2"], "1.1.1.1, 2.2.2.2, 10.0.0.9")]
)
def test_the_client_is_named(given: list[str], wanted: str) -> None:
    pairs = [("x-forwarded-for", one) for one in given]
    assert headers.forwarded_for(pairs, "10.0.0.9") == [("x-forwarded-for", wanted)]


def test_a_header_of_two_lines_is_none() -> None:
    with pytest.raises(ValueError, match="one line"):
        head_bytes("GET", "/", [("x", "a\r\ny: b")])


def test_heads_of_answers() -> None:
    raw = b"HTTP/1.1 200 All well\r\nA: b\r\nSet-Cookie: 1\r\nset-cookie: 2\r\n\r\n"
    head = parse_head(raw)
    assert head == Head(200, (("A", "b"), ("Set-Cookie", "1"), ("set-cookie", "2")))
    assert head.values("set-cookie") == ["1", "2"]
    assert head.value("missing") == ""


@pytest.mark.parametrize(
    "raw",
    [
        b"\x15\x03\x01\x00\x02",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nA : b\r\n\r\n",
    ],
)
def test_what_is_no_answer(raw: bytes) -> None:
    with pytest.raises(BadAnswerError):
        parse_head(raw)
