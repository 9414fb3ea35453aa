"""Which Service a request is for."""

from typing import Any

import pytest

from controlplane.ingress.routes import (
    CONTROLLER,
    Target,
    build,
    certificate_for,
    certificates,
    is_ours,
)


def backend(name: str, port: Any = 80) -> dict[str, Any]:
    key = "number" if isinstance(port, int) else "name"
    return {"service": {"name": name, "port": {key: port}}}


def path(text: str, name: str, kind: str = "Prefix") -> dict[str, Any]:
    return {"path": text, "pathType": kind, "backend": backend(name)}


def ingress(name: str = "i", second: int = 0, **spec: Any) -> dict[str, Any]:
    return {
        "metadata": {
            "name": name,
            "namespace": "x",
            "creationTimestamp": f"2026-01-01T00:00:{second:02}Z",
        },
        "spec": spec,
    }


def rule(host: str, *paths: dict[str, Any]) -> dict[str, Any]:
    return {**({"host": host} if host else {}), "http": {"paths": list(paths)}}


def found(rules: list[dict[str, Any]], url: str, **spec: Any) -> str | None:
    host, slash, rest = url.partition("/")
    target = build([ingress(rules=rules, **spec)]).find(host, slash + rest)
    return target.service if target else None


# The table of the documentation of Ingress, row by row.
@pytest.mark.parametrize(
    ("kind", "paths", "asked", "expected"),
    [
        ("Prefix", ["/"], "/any/thing", True),
        ("Exact", ["/foo"], "/foo", True),
        ("Exact", ["/foo"], "/bar", False),
        ("Exact", ["/foo"], "/foo/", False),
        ("Exact", ["/foo/"], "/foo", False),
        ("Prefix", ["/foo"], "/foo", True),
        ("Prefix", ["/foo"], "/foo/", True),
        ("Prefix", ["/foo/"], "/foo", True),
        ("Prefix", ["/foo/"], "/foo/", True),
        ("Prefix", ["/aaa/bb"], "/aaa/bbb", False),
        ("Prefix", ["/aaa/bbb"], "/aaa/bbb", True),
        ("Prefix", ["/aaa/bbb/"], "/aaa/bbb", True),
        ("Prefix", ["/aaa/bbb"], "/aaa/bbb/", True),
        ("Prefix", ["/aaa/bbb"], "/aaa/bbb/ccc", True),
        ("Prefix", ["/aaa/bbb"], "/aaa/bbbxyz", False),
        ("Prefix", ["/", "/aaa"], "/aaa/ccc", True),
        ("Prefix", ["/aaa"], "/ccc", False),
        ("Exact", ["/Foo"], "/foo", False),
        ("ImplementationSpecific", ["/foo"], "/foo/bar", True),
        ("ImplementationSpecific", [""], "/foo", True),
    ],
)
def test_paths(kind: str, paths: list[str], asked: str, expected: bool) -> None:
    rows = [path(one, f"s{at}", kind) for at, one in enumerate(paths)]
    assert (found([rule("", *rows)], f"h{asked}") is not None) is expected


@pytest.mark.parametrize(
    ("rows", "asked", "expected"),
    [
        pytest.param(
            [path("/", "root"), path("/aaa", "a"), path("/aaa/bbb", "b")],
            "/aaa/bbb/c",
            "b",
            id="the longest",
        ),
        pytest.param(
            [path("/foo", "p"), path("/foo", "e", "Exact")], "/foo", "e", id="exact first"
        ),
        pytest.param(
            [path("/foo", "p"), path("/foo", "e", "Exact")], "/foo/x", "p", id="not exact"
        ),
        pytest.param(
            [path("/foo/", "p"), path("/foo", "e", "Exact")], "/foo", "e", id="exact of like length"
        ),
        pytest.param([path("/foo", "a"), path("/foo", "b")], "/foo", "a", id="the first of two"),
    ],
)
def test_precedence_of_paths(rows: list[Any], asked: str, expected: str) -> None:
    assert found([rule("", *rows)], f"h{asked}") == expected


HOSTS = [
    rule("foo.example.com", path("/", "exact")),
    rule("*.example.com", path("/", "wild")),
    rule("", path("/", "any")),
]


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("foo.example.com", "exact"),
        ("FOO.example.com:8080", "exact"),
        ("foo.example.com.", "exact"),
        ("bar.example.com", "wild"),
        ("a.b.example.com", "any"),
        ("example.com", "any"),
        ("", "any"),
        ("127.0.0.1:80", "any"),
        ("[::1]:80", "any"),
    ],
)
def test_hosts(host: str, expected: str) -> None:
    target = build([ingress(rules=HOSTS)]).find(host, "/")
    assert target == Target("x", expected, 80)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        pytest.param("other/", "rest", id="no such host"),
        pytest.param("a/other", "rest", id="no such path of the host"),
        pytest.param("a/x", "s", id="found"),
    ],
)
def test_the_default_backend(url: str, expected: str) -> None:
    assert found([rule("a", path("/x", "s"))], url, defaultBackend=backend("rest")) == expected


def test_without_a_default_nobody_waits() -> None:
    assert found([rule("a", path("/x", "s"))], "b/x") is None
    assert build([]).find("a", "/") is None


def test_ports_by_name_and_backends_that_are_no_service() -> None:
    rows = [
        {"path": "/n", "pathType": "Prefix", "backend": backend("s", "web")},
        {"path": "/r", "pathType": "Prefix", "backend": {"resource": {"kind": "Bucket"}}},
    ]
    made = build([ingress(rules=[rule("", *rows)], defaultBackend=backend("d"))])
    assert made.find("h", "/n") == Target("x", "s", "web")
    assert made.find("h", "/r") is None
    assert {one.service for one in made.targets()} == {"s", "d"}


def test_of_two_ingresses_the_older_counts_and_both_add_up() -> None:
    old = ingress("old", 1, rules=[rule("a", path("/x", "old"))])
    new = ingress("new", 2, rules=[rule("a", path("/x", "new"), path("/y", "more"))])
    made = build([new, old])
    assert [made.find("a", one) for one in ("/x", "/y")] == [
        Target("x", "old", 80),
        Target("x", "more", 80),
    ]


def test_certificates_by_host() -> None:
    made = certificates(
        [
            ingress(
                tls=[{"hosts": ["a.io", "*.b.io"], "secretName": "one"}, {"hosts": ["c.io"]}],
                rules=[rule("d.io")],
            ),
            ingress("j", 1, tls=[{"secretName": "two"}], rules=[rule("d.io"), rule("a.io")]),
        ]
    )
    asked = {"a.io": "one", "x.b.io": "one", "x.y.b.io": None, "c.io": None, "d.io": "two"}
    assert {name: (certificate_for(made, name) or ("", None))[1] for name in asked} == asked


@pytest.mark.parametrize(
    ("one", "expected"),
    [
        pytest.param(ingress(ingressClassName="quorate"), True, id="by its class"),
        pytest.param(ingress(ingressClassName="nginx"), False, id="another's"),
        pytest.param(ingress(ingressClassName="gone"), False, id="of a class that is not there"),
        pytest.param(ingress(), False, id="of no class"),
        pytest.param(
            {**ingress(), "metadata": {"annotations": {"kubernetes.io/ingress.class": "quorate"}}},
            True,
            id="by the old annotation",
        ),
    ],
)
def test_whose_it_is(one: dict[str, Any], expected: bool) -> None:
    classes = [
        {"metadata": {"name": "quorate"}, "spec": {"controller": CONTROLLER}},
        {"metadata": {"name": "nginx"}, "spec": {"controller": "k8s.io/ingress-nginx"}},
    ]
    assert is_ours(one, classes) is expected
