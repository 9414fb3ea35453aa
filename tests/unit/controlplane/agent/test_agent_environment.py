"""Commands, variables, images, addresses and log lines."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.kubelet.containers.environment import (
    ConfigError,
    command_line,
    container_env,
    expand,
    field_value,
)
from controlplane.kubelet.images.catalog import Image, ImageCatalog, short_name
from controlplane.kubelet.network.addresses import AddressPool, NoAddressLeftError
from controlplane.kubelet.runtimes.cri_log import CriLogWriter, read_log
from controlplane.kubelet.runtimes.interface import LogOptions
from kvstore.base.clock import ManualClock

POD: dict[str, Any] = {
    "metadata": {"name": "p", "namespace": "ns", "uid": "u", "labels": {"app": "x"}},
    "spec": {"containers": [], "nodeName": "n1"},
}


@pytest.mark.parametrize(
    ("text", "expected"),
    [("$(A)-$(B)", "1-$(B)"), ("$$(A)", "$(A)"), ("plain", "plain"), ("$(A", "$(A")],
)
def test_expand(text: str, expected: str) -> None:
    assert expand(text, {"A": "1"}) == expected


@pytest.mark.parametrize(
    ("container", "expected"),
    [
        ({}, ["e", "a"]),
        ({"args": ["b"]}, ["e", "b"]),
        ({"command": ["c"]}, ["c"]),
        ({"command": ["c"], "args": ["$(X)"]}, ["c", "1"]),
    ],
)
def test_command_line(container: dict[str, Any], expected: list[str]) -> None:
    assert command_line(container, Image("i", ("e",), ("a",)), {"X": "1"}) == expected


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("metadata.name", "p"),
        ("metadata.labels['app']", "x"),
        ("metadata.labels", 'app="x"'),
        ("status.podIP", "127.1.2.3"),
        ("spec.nodeName", "n1"),
    ],
)
def test_field_value(path: str, expected: str) -> None:
    assert field_value(POD, path, {"POD_IP": "127.1.2.3"}) == expected


async def test_env_from_objects() -> None:
    async def fetch(kind: str, namespace: str, name: str) -> dict[str, Any] | None:
        return {"ConfigMap": {"data": {"k": "v"}}, "Secret": {"data": {"s": "aGk="}}}[kind]

    container = {
        "name": "c",
        "envFrom": [{"prefix": "P_", "configMapRef": {"name": "m"}}],
        "env": [
            {"name": "S", "valueFrom": {"secretKeyRef": {"name": "x", "key": "s"}}},
            {"name": "T", "value": "$(S)!"},
        ],
    }
    env = await container_env(POD, container, Image("i"), {"POD_IP": "127.1.2.3"}, fetch)
    assert (env["P_k"], env["S"], env["T"], env["POD_IP"]) == ("v", "hi", "hi!", "127.1.2.3")
    container["env"] = [
        {"name": "S", "valueFrom": {"configMapKeyRef": {"name": "x", "key": "none"}}}
    ]
    with pytest.raises(ConfigError, match="couldn't find key none"):
        await container_env(POD, container, Image("i"), {}, fetch)


@pytest.mark.parametrize(
    "reference", ["nginx", "nginx:1.14.2", "docker.io/library/nginx:1@sha256:00", "r:5000/nginx"]
)
def test_names_of_images(reference: str) -> None:
    assert short_name(reference) == "nginx"
    assert ImageCatalog().find(reference) is not None


def test_folders_are_images(tmp_path: Path) -> None:
    found = ImageCatalog().find(f"file://{tmp_path}")
    assert found is not None
    assert found.root == str(tmp_path)
    assert ImageCatalog().find("/no/such/folder") is None


def test_addresses_are_distinct_and_come_back_late() -> None:
    pool = AddressPool("127.9.0.0/29")
    taken = [pool.take(name) for name in "abcde"]
    assert len(set(taken)) == 5
    with pytest.raises(NoAddressLeftError):
        pool.take("f")
    pool.release("b")
    assert pool.take("f") == taken[1]
    assert pool.take("f", "127.9.0.2") == taken[1]


async def test_log_lines(tmp_path: Path) -> None:
    clock = ManualClock()
    log = CriLogWriter(tmp_path / "0.log", clock)
    log.feed(b"stdout", b"one\ntw")
    await clock.advance(10)
    log.feed(b"stdout", b"o\n" + b"x" * 20_000 + b"\n")
    log.feed(b"stderr", b"rest")
    log.close()

    async def text(**options: Any) -> bytes:
        parts = [part async for part in read_log(tmp_path / "0.log", LogOptions(**options), None)]
        return b"".join(parts)

    assert await text() == b"one\ntwo\n" + b"x" * 20_000 + b"\nrest\n"
    assert await text(tail_lines=1) == b"rest\n"
    assert (await text(since=clock.time() - 1)).startswith(b"two\n")
    assert await text(limit_bytes=5) == b"one\nt"
    assert (await text(timestamps=True)).startswith(b"2023-11-14T22:13:20.000000000Z one\n")
