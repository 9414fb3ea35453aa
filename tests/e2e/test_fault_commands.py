"""`quorate partition|network|disk|clock|pause|heal` on a running store: what happens, what is shown, what undoes it."""

import asyncio
import json
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from click.testing import Result
from typer.testing import CliRunner

from cli.__main__ import command_tree
from cli.status import gather
from controlplane.local.control import ask as ask_supervisor
from controlplane.local.topology import Layout
from kvstore.client.client import Client, ClientTls
from kvstore.client.errors import ClientError
from kvstore.faults.control import ask

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(180)]
MEMBERS = ("master-1", "master-2", "master-3")
SETTINGS = "[cluster]\nkubernetes_port = 0\n" + "".join(
    f'[[masters]]\nname = "{m}"\n' for m in MEMBERS
)


class Cluster:
    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"

    def run(self, *argv: str, code: int = 0) -> Result:
        """A command in this process: starting an interpreter for each would be most of the test's time."""
        done = CliRunner().invoke(command_tree(), argv, env={"QUORATE_STATE": str(self.state)})
        assert done.exit_code == code, f"{argv}: {done.output} {done.exception!r}"
        return done

    def program(self, *argv: str) -> None:
        subprocess.run(
            [sys.executable, "-m", "cli", *argv, "--state", str(self.state)],
            cwd=self.folder,
            check=True,
            capture_output=True,
            timeout=90,
        )

    def status(self) -> dict[str, Any]:
        async def collect() -> dict[str, Any]:
            return await gather(await ask_supervisor(Layout(self.state), "status"))

        return asyncio.run(collect())

    def wait(self, what: str, holds: Callable[[dict[str, Any]], Any]) -> Any:
        deadline = time.monotonic() + 40
        while True:
            status = self.status()
            if found := holds(status):
                return found
            assert time.monotonic() < deadline, f"{what}: {json.dumps(status, indent=1)}"
            time.sleep(0.2)

    def leader(self) -> str:
        def found(status: dict[str, Any]) -> str | None:
            leading = [one["name"] for one in status["members"] if one.get("leads")]
            return str(leading[0]) if len(leading) == 1 else None

        return str(self.wait("one leader", found))

    def process(self, status: dict[str, Any], member: str) -> dict[str, Any]:
        return next(p for p in status["processes"] if p["name"] == f"{member}/store")

    def put(self, key: str) -> float:
        """Write, on whichever member can; how long the try that did it took."""
        document = json.loads((self.state / "cluster.json").read_text())

        async def write() -> float:
            tls = ClientTls(**document["store_tls"])
            async with Client(document["store_endpoints"], tls=tls, timeout_seconds=3) as client:
                deadline = time.monotonic() + 60
                while True:
                    begun = time.monotonic()
                    try:
                        await client.put(key.encode(), b"x")
                    except ClientError:
                        assert time.monotonic() < deadline, f"{key} could not be written"
                    else:
                        return time.monotonic() - begun

        return asyncio.run(write())

    def get(self, key: str) -> bytes:
        document = json.loads((self.state / "cluster.json").read_text())

        async def read() -> bytes:
            tls = ClientTls(**document["store_tls"])
            async with Client(document["store_endpoints"], tls=tls, timeout_seconds=30) as client:
                return (await client.get(key.encode())).kvs[0].value

        return asyncio.run(read())


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    cluster = Cluster(tmp_path_factory.mktemp("faults"))
    (cluster.folder / "cluster.toml").write_text(SETTINGS)
    cluster.program("up", "--config", "cluster.toml", "--only", "store", "--detach")
    yield cluster
    cluster.program("down")


@pytest.fixture(autouse=True)
def healed(cluster: Cluster) -> Iterator[None]:
    yield
    cluster.run("heal", "--start")
    assert cluster.status()["faults"] == {}


def test_a_leader_that_is_cut_off_is_replaced_and_follows_after_heal(cluster: Cluster) -> None:
    old = cluster.leader()
    shown = cluster.run("partition", "--isolate", "leader").stdout
    assert f"drop all to and from {old}" in shown

    def another(status: dict[str, Any]) -> Any:
        return [one for one in status["members"] if one.get("leads") and one["name"] != old]

    cluster.wait("another leader", another)
    cluster.put("during")
    assert "drop all" in cluster.run("status").stdout
    assert old in cluster.run("heal").stdout
    cluster.wait(
        "all follow one",
        lambda s: all(m.get("has_leader") for m in s["members"]) and not s["faults"],
    )
    assert "drop all" not in cluster.run("status").stdout


def test_a_partition_of_groups_leaves_the_majority_working(cluster: Cluster) -> None:
    cluster.run("partition", "master-1", "master-2,master-3")
    cluster.wait(
        "the minority has no leader", lambda s: not s["members"][0].get("has_leader", True)
    )
    cluster.put("majority")
    faults = cluster.status()["faults"]
    assert faults == {
        "master-1": [f"network: drop all to and from {m}" for m in MEMBERS[1:]],
        "master-2": ["network: drop all to and from master-1"],
        "master-3": ["network: drop all to and from master-1"],
    }


def test_one_way_shows_its_direction(cluster: Cluster) -> None:
    shown = cluster.run("partition", "--oneway", "master-1", "master-2").stdout
    assert "drop all to master-2" in shown
    assert "drop all from master-1" in shown
    cluster.put("oneway")


def test_a_failing_fsync_ends_the_member_and_heal_brings_it_back(cluster: Cluster) -> None:
    victim = cluster.leader()
    cluster.run("disk", "leader", "--fail-fsync")
    cluster.put("failing")
    ended = cluster.wait(
        "the member ends",
        lambda s: (
            cluster.process(s, victim)["exit_code"] is not None and cluster.process(s, victim)
        ),
    )
    assert ended["exit_code"] == 1
    assert "Input/output error" in Path(ended["log"]).read_text()
    assert victim in cluster.run("heal").stdout
    cluster.wait("it is back", lambda s: cluster.process(s, victim)["state"] == "ready")


def test_slow_fsyncs_and_slow_links_are_felt_and_add_up_in_the_status(cluster: Cluster) -> None:
    quick = cluster.put("quick")
    for member in MEMBERS:
        cluster.run("disk", member, "--slow-fsync", "700ms")
    assert cluster.put("slow") > quick + 0.3
    cluster.run("disk", "master-1", "--torn-on-kill")
    cluster.run("network", "master-2", "--to", "master-3", "--delay", "20ms", "--throttle", "1M")
    faults = cluster.status()["faults"]
    assert faults["master-1"] == ["disk: fsync 700ms slower, torn on kill"]
    assert "network: delay 20ms, throttle 1048576 B/s to master-3" in faults["master-2"]


def test_a_torn_log_is_mended_after_a_kill(cluster: Cluster) -> None:
    cluster.run("disk", *MEMBERS, "--torn-on-kill")
    cluster.put("torn")
    cluster.run("kill", *MEMBERS)
    cluster.run("start", *MEMBERS)
    assert cluster.status()["faults"].keys() == set(MEMBERS), "faults outlive a restart"
    cluster.leader()
    assert cluster.get("torn") == b"x"


def test_a_leaping_clock_is_survived(cluster: Cluster) -> None:
    leader = cluster.leader()
    cluster.run("clock", "leader", "--jump", "30s", "--drift", "20%")
    cluster.run("clock", leader, "--skew=-1h")
    assert cluster.status()["faults"][leader] == [
        "clock: wall clock off by -3600s, leapt 30s, runs +20%"
    ]
    cluster.put("clock")


def test_what_is_set_while_paused_comes_with_resume_and_heal_resumes(cluster: Cluster) -> None:
    cluster.run("pause", "master-1/store")
    cluster.run("disk", "master-1", "--slow-fsync", "10ms")
    cluster.run("resume", "master-1/store")
    answer = asyncio.run(ask(cluster.state / "run" / "master-1.faults", op="get"))
    assert answer["active"] == ["disk: fsync 10ms slower"]
    cluster.run("pause", "master-1/store")
    assert "master-1/store           resumed" in cluster.run("heal").stdout
    assert cluster.process(cluster.status(), "master-1")["state"] == "ready"


def test_heal_leaves_what_was_killed_down_and_says_so(cluster: Cluster) -> None:
    cluster.run("kill", "master-2")
    assert "still down: master-2/store" in cluster.run("heal").stderr
    assert cluster.run("heal", "--start").stdout.split() == ["master-2/store", "started"]


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (("partition",), 2, "name groups"),
        (("partition", "master-1"), 2, "--isolate master-1"),
        (("partition", "master-1", "master-1,master-2"), 1, "cannot be on two sides"),
        (("partition", "--isolate", "nobody"), 1, "'nobody' is no store member"),
        (("partition", "--oneway", "a", "b", "c"), 2, "exactly two groups"),
        (("network", "master-1"), 2, "say what"),
        (("network", "master-1", "--cut", "--to", "master-1"), 1, "no link to itself"),
        (("network", "master-1", "--loss", "300%"), 2, "expected a share"),
        (("network", "master-1", "--throttle", "fast"), 2, "bytes a second"),
        (("disk", "master-1"), 2, "say what"),
        (("disk", "master-1", "--slow-fsync", "long"), 2, "invalid duration"),
        (("clock", "master-1", "--drift", "x"), 2, "expected a share"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else None,
)
def test_mistakes_have_a_sentence_and_a_code(
    cluster: Cluster, argv: tuple[str, ...], code: int, words: str
) -> None:
    assert words in cluster.run(*argv, code=code).stderr


async def test_a_clients_certificate_is_worth_nothing_at_a_peer_port(cluster: Cluster) -> None:
    """Members trust an authority of their own: the operator's certificate must not open their port."""
    document = json.loads((cluster.state / "cluster.json").read_text())
    files = document["store_tls"]
    context = ssl.create_default_context(cafile=str(cluster.state / "pki" / "peers" / "ca.crt"))
    context.load_cert_chain(files["cert_file"], files["key_file"])
    url = urlsplit(document["processes"][0]["addresses"]["peer"])

    async def knock() -> bytes:
        reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context)
        try:
            writer.write(b"\0" * 64)
            await writer.drain()
            return await asyncio.wait_for(reader.readexactly(1), 10)
        finally:
            writer.transport.abort()

    with pytest.raises((ssl.SSLError, OSError, asyncio.IncompleteReadError)):
        await knock()
