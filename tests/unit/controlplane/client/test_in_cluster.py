"""How a program in a pod finds the API server and its token."""

from pathlib import Path

import pytest

from controlplane.client import in_cluster
from controlplane.client.in_cluster import NotInClusterError, TokenFile
from kvstore.base.clock import ManualClock

ENVIRONMENT = {"KUBERNETES_SERVICE_HOST": "10.96.0.1", "KUBERNETES_SERVICE_PORT": "443"}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("one\n")
    (tmp_path / "ca.crt").write_text("authority")
    (tmp_path / "namespace").write_text("demo")
    return tmp_path


def test_the_pods_files_are_read(folder: Path) -> None:
    found = in_cluster.load(ENVIRONMENT, ManualClock(), folder)
    assert (found.server, found.namespace, found.token()) == (
        "https://10.96.0.1:443",
        "demo",
        "one",
    )
    assert found.tls.ca_pem == b"authority"


def test_an_ipv6_host_is_put_in_brackets(folder: Path) -> None:
    environment = {**ENVIRONMENT, "KUBERNETES_SERVICE_HOST": "fd00::1"}
    assert in_cluster.load(environment, ManualClock(), folder).server == "https://[fd00::1]:443"


def test_what_is_missing_is_named(folder: Path) -> None:
    with pytest.raises(NotInClusterError, match="KUBERNETES_SERVICE_HOST"):
        in_cluster.load({}, ManualClock(), folder)
    (folder / "token").unlink()
    with pytest.raises(NotInClusterError, match="token"):
        in_cluster.load(ENVIRONMENT, ManualClock(), folder)


async def test_a_token_that_is_replaced_is_seen_within_a_minute(folder: Path) -> None:
    clock = ManualClock()
    token = TokenFile(folder / "token", clock)
    assert token() == "one"
    (folder / "token").write_text("two")
    assert token() == "one"
    await clock.advance(60)
    assert token() == "two"
    (folder / "token").unlink()
    await clock.advance(60)
    assert token() == "two"
