"""What people try first: one endpoint as a text, a prefix, None as a value, a client of the cluster that runs here."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from kvstore.client.client import Client
from kvstore.client.environment import DEFAULT_ENDPOINT, Surroundings, read_surroundings
from kvstore.client.ops import key_range
from kvstore.client.types import ClientTls, encoded


@pytest.mark.parametrize(
    ("given", "endpoints"),
    [
        pytest.param("http://127.0.0.1:2379", ("http://127.0.0.1:2379",), id="one_text"),
        pytest.param("a:1,b:2", ("a:1", "b:2"), id="as_etcdctl_takes_it"),
        pytest.param(["a:1", "b:2"], ("a:1", "b:2"), id="list"),
    ],
)
async def test_endpoints(given: Any, endpoints: tuple[str, ...]) -> None:
    async with Client(given) as client:
        assert client.endpoints == endpoints


@pytest.mark.parametrize(
    ("text", "expected"),
    [("ä", b"\xc3\xa4"), (b"\0", b"\0"), (bytearray(b"a"), b"a"), (memoryview(b"a"), b"a")],
    ids=["str", "bytes", "bytearray", "memoryview"],
)
def test_keys_and_values(text: Any, expected: bytes) -> None:
    assert encoded(text) == expected


@pytest.mark.parametrize("text", [None, 3, ["a"]], ids=["none", "number", "list"])
async def test_what_is_no_value_is_not_stored_as_an_empty_one(text: Any) -> None:
    with pytest.raises(TypeError, match="a key or a value is str or bytes, not "):
        encoded(text)
    async with Client("127.0.0.1:1") as client:
        requests: list[Callable[[], Any]] = [
            lambda: client.put("a", text),
            lambda: client.put(text, "a"),
            lambda: client.get(text),
        ]
        for request in requests:
            with pytest.raises(TypeError):
                await request()


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        pytest.param("a/", (b"a/", b"a0"), id="usual"),
        pytest.param(b"a\xff", (b"a\xff", b"b"), id="carries"),
        pytest.param("", (b"\0", b"\0"), id="empty_is_all"),
    ],
)
def test_a_prefix(key: Any, expected: tuple[bytes, bytes]) -> None:
    assert key_range(key, b"", True) == expected
    assert key_range(key) == (encoded(key), b"")
    with pytest.raises(ValueError, match="a prefix has no range_end"):
        key_range(key, "z", True)


TLS = {"ca_file": "/pki/ca.crt", "cert_file": "/pki/o.crt", "key_file": "/pki/o.key"}


@pytest.fixture
def running(tmp_path: Path) -> Path:
    """A state folder as `quorate up` writes it."""
    state = tmp_path / ".quorate"
    state.mkdir()
    text = json.dumps({"store_endpoints": ["https://127.0.0.1:5"], "store_tls": TLS})
    (state / "cluster.json").write_text(text)
    return state


@pytest.mark.parametrize("below", [".", "a/b"], ids=["here", "above"])
def test_the_cluster_that_runs_here_is_found(running: Path, below: str) -> None:
    folder = running.parent / below
    folder.mkdir(parents=True, exist_ok=True)
    found = read_surroundings({}, folder)
    assert found == Surroundings(("https://127.0.0.1:5",), ClientTls(**TLS))


def test_the_named_state_folder_and_nothing_else(running: Path, tmp_path: Path) -> None:
    away = tmp_path / "elsewhere"
    environ = {"QUORATE_STATE": str(running)}
    assert read_surroundings(environ, away).endpoints == ("https://127.0.0.1:5",)
    assert read_surroundings({"QUORATE_STATE": str(away)}, running.parent).endpoints == (
        DEFAULT_ENDPOINT,
    )


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        pytest.param({}, Surroundings(), id="nothing"),
        pytest.param(
            {"ETCDCTL_ENDPOINTS": "a:1, b:2"}, Surroundings(("a:1", "b:2")), id="endpoints"
        ),
        pytest.param(
            {
                "ETCDCTL_ENDPOINTS": "a:1",
                "ETCDCTL_CACERT": "ca",
                "ETCDCTL_CERT": "cert",
                "ETCDCTL_KEY": "key",
            },
            Surroundings(("a:1",), ClientTls("ca", "cert", "key")),
            id="certificates",
        ),
        pytest.param(
            {"ETCDCTL_ENDPOINTS": "a:1", "ETCDCTL_INSECURE_SKIP_TLS_VERIFY": "true"},
            Surroundings(("a:1",), ClientTls(skip_verify=True)),
            id="unchecked",
        ),
        pytest.param(
            {"ETCDCTL_USER": "me:secret"},
            Surroundings(user="me", password="secret"),
            id="user_with_password",
        ),
        pytest.param(
            {"ETCDCTL_USER": "a:b", "ETCDCTL_PASSWORD": "secret"},
            Surroundings(user="a:b", password="secret"),
            id="password_of_its_own",
        ),
    ],
)
def test_etcdctls_variables(
    environ: dict[str, str], expected: Surroundings, tmp_path: Path
) -> None:
    assert read_surroundings(environ, tmp_path) == expected


async def test_a_client_of_the_surroundings(running: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(running.parent)
    for name in ("QUORATE_STATE", "ETCDCTL_ENDPOINTS"):
        monkeypatch.delenv(name, raising=False)
    async with Client.from_env(timeout_seconds=1.0) as client:
        assert client.endpoints == ("https://127.0.0.1:5",)
    async with Client.from_env({}, endpoints="c:3", tls=None) as client:
        assert client.endpoints == ("c:3",)
