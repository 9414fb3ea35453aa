"""Run the test suites of other people's etcd clients against etcd and against this store.

Nothing of theirs is kept here. Each suite is the source release of a package on PyPI: it is downloaded
into a scratch folder, installed with its dependencies into an environment of its own, and run twice, with
three fresh members of each kind. What passes on etcd and not here is printed, and makes the exit code 1.

    python tests/foreign/run_suites.py --etcd /path/to/etcd --scratch /tmp/foreign [NAME…]

The folder of `--etcd` must hold `etcdctl` too: some suites call it, or start `etcd` themselves. Suites with
127.0.0.1:2379 written into their code get their first member there; the others get free ports.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

REPOSITORY = Path(__file__).resolve().parents[2]
FIXED_PORTS = [2379, 2380]
READY_TIMEOUT = 120.0
"""Seconds until every member must answer /health."""
SUITE_TIMEOUT = 1200.0
"""Seconds after which a suite counts as hung."""


@dataclass(frozen=True)
class Suite:
    """One release and how its tests are started."""

    package: str
    version: str
    tests: tuple[str, ...]
    """Arguments for pytest, in the unpacked release."""
    requirements: tuple[str, ...] = ("pytest",)
    """What its tests need beside the package; old releases are pinned to the tools of their time."""
    fixed_port: bool = False
    """Whether its code expects a member at 127.0.0.1:2379."""
    environment: dict[str, str] = field(default_factory=dict)
    conftest: str = ""
    """Fixtures that the release leaves out; in our own words."""
    old_pip: bool = False
    """Whether its setup.py looks into pip, and works with old ones only."""


ETCETRA_FIXTURE = """\
import pytest
from etcetra import EtcdClient, HostPortPair

@pytest.fixture
def etcd():
    return EtcdClient(HostPortPair("127.0.0.1", 2379))
"""

SUITES = {
    suite.package: suite
    for suite in (
        Suite(
            "etcd3",
            "0.12.0",
            ("tests",),
            (
                "pytest<8",
                "hypothesis<5",
                "tenacity<7",
                "protobuf<3.21",
                "mock",
                "pifpaf",
                "setuptools<70",
            ),
            fixed_port=True,
            environment={"TEST_ETCD_VERSION": "v3.5.1"},
        ),
        Suite(
            "cslab-etcd3",
            "0.12.1",
            ("tests",),
            ("pytest<8", "hypothesis<5", "tenacity<7", "mock", "pifpaf", "setuptools<70"),
            fixed_port=True,
            environment={"TEST_ETCD_VERSION": "v3.5.1"},
        ),
        Suite(
            "aetcd",
            "1.0.0",
            ("tests",),
            ("pytest<8", "pytest-asyncio<0.22", "pytest-cov", "pytest-mock"),
        ),
        Suite("etcd3gw", "2.7.0", ("etcd3gw/tests",), ("pytest", "testtools", "oslotest")),
        Suite(
            "async-etcd3gw",
            "0.8",
            ("tests",),
            ("pytest<8", "pytest-asyncio<0.22", "pytest-mock", "mock"),
            fixed_port=True,
        ),
        Suite(
            "etcetra",
            "0.1.19",
            ("tests",),
            ("pytest<8", "pytest-asyncio<0.22", "grpcio<1.63", "protobuf<5"),
            fixed_port=True,
            conftest=ETCETRA_FIXTURE,
        ),
        Suite("httpetcd", "0.3.3", ("httpetcd/tests",), ("pytest",), fixed_port=True),
        Suite(
            "etcd3-py",
            "0.1.6",
            ("tests",),
            ("pytest<8", "mock", "pytest-asyncio<0.22"),
            fixed_port=True,
            old_pip=True,
        ),
        Suite(
            "tooz",
            "9.1.0",
            ("tooz/tests/test_coordination.py", "tooz/tests/drivers/test_etcd3gw.py"),
            (
                "pytest",
                "testtools",
                "oslotest",
                "fixtures",
                "testscenarios",
                "etcd3gw",
                "ddt",
                "sysv_ipc",
                "pymemcache",
                "redis",
            ),
        ),
    )
}


def free_ports(count: int) -> list[int]:
    """Ports of the loopback that nobody listens on now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


def healthy(url: str) -> bool:
    """Whether the member at `url` says that its cluster works."""
    try:
        with urllib.request.urlopen(f"{url}/health", timeout=2) as answer:
            return b'"true"' in answer.read()
    except (urllib.error.URLError, OSError):
        return False


@contextlib.contextmanager
def three_members(program: Path, fixed_port: bool, folder: Path) -> Iterator[list[str]]:
    """A cluster of three under `program`; gives its client URLs and ends its members afterwards."""
    ports = free_ports(6)
    if fixed_port:
        ports[:2] = FIXED_PORTS
        for port in FIXED_PORTS:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    raise SystemExit(f"this suite needs port {port}, and somebody uses it")
    clients = [f"http://127.0.0.1:{port}" for port in ports[0::2]]
    peers = [f"http://127.0.0.1:{port}" for port in ports[1::2]]
    cluster = ",".join(f"pifpaf{number}={peer}" for number, peer in enumerate(peers))
    members = []
    try:
        for number, (client, peer) in enumerate(zip(clients, peers, strict=True)):
            command = [
                str(program),
                "--name",
                f"pifpaf{number}",
                "--data-dir",
                str(folder / f"{number}"),
            ]
            command += ["--listen-client-urls", client, "--advertise-client-urls", client]
            command += ["--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer]
            command += ["--initial-cluster", cluster, "--initial-cluster-state", "new"]
            with (folder / f"{number}.log").open("wb") as log:
                members.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        deadline = time.monotonic() + READY_TIMEOUT
        while not all(healthy(client) for client in clients):
            if time.monotonic() > deadline:
                raise SystemExit(f"{program} is not ready: see {folder}")
            time.sleep(0.1)
        yield clients
    finally:
        for member in members:
            member.kill()
            member.wait()


def unpacked(suite: Suite, scratch: Path) -> tuple[Path, Path]:
    """The folder of the release's sources and the Python of its environment; both are made once."""
    home = scratch / f"{suite.package}-{suite.version}"
    python = home / "venv" / "bin" / "python"
    sources = home / "source"
    if (home / "done").exists():
        return sources, python
    shutil.rmtree(home, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", home / "venv"], check=True)
    pip = [str(python), "-m", "pip", "--quiet", "--disable-pip-version-check"]
    if suite.old_pip:
        subprocess.run([*pip, "install", "pip==20.0.2", "setuptools<60", "wheel"], check=True)
        pip.append("--no-build-isolation")
    download = [*pip, "download", "--no-deps", "--no-binary", suite.package, "--dest", str(home)]
    subprocess.run([*download, f"{suite.package}=={suite.version}"], check=True)
    with tarfile.open(next(home.glob("*.tar.gz"))) as archive:
        archive.extractall(home, filter="data")
    next(path for path in home.iterdir() if (path / "PKG-INFO").exists()).rename(sources)
    subprocess.run([*pip, "install", *suite.requirements, str(sources)], check=True)
    if suite.conftest:
        (sources / suite.tests[0] / "conftest.py").write_text(suite.conftest)
    (home / "done").touch()
    return sources, python


def outcomes(report: Path) -> dict[str, str]:
    """What became of each test, by name, from pytest's XML report."""
    found: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        name = f"{case.get('classname')}::{case.get('name')}"
        kinds = {child.tag for child in case} & {"failure", "error", "skipped"}
        found[name] = "failed" if kinds & {"failure", "error"} else "skipped" if kinds else "passed"
    return found


def run(suite: Suite, label: str, program: Path, tools: Path, scratch: Path) -> dict[str, str]:
    """Run one suite against one program and say what became of each test."""
    sources, python = unpacked(suite, scratch)
    report = scratch / f"{suite.package}-{label}.xml"
    with tempfile.TemporaryDirectory(dir=scratch) as name:
        folder = Path(name)
        # Suites that start `etcd` themselves find the program under test by that name.
        (folder / "bin").mkdir()
        (folder / "bin" / "etcd").symlink_to(program)
        with three_members(program, suite.fixed_port, folder) as clients:
            environment = {
                key: value for key, value in os.environ.items() if not key.startswith("ETCD")
            }
            environment |= {
                "PATH": os.pathsep.join([str(folder / "bin"), str(tools), os.environ["PATH"]]),
                "PYTHON_ETCD_HTTP_URL": clients[0],
                "TEST_ETCD_HTTP_URL": clients[0],
                "ETCD_ENDPOINT": clients[0],
                "TOOZ_TEST_HTTP_URL": clients[0],
                "TOOZ_TEST_ETCD_PORT": clients[0].rpartition(":")[2],
                "TOOZ_TEST_URL": f"etcd3+{clients[0]}",
            }
            command = [
                str(python),
                "-m",
                "pytest",
                "-q",
                "-p",
                "no:cacheprovider",
                f"--junitxml={report}",
            ]
            with (scratch / f"{suite.package}-{label}.log").open("wb") as log:
                subprocess.run(
                    [*command, *suite.tests],
                    cwd=sources,
                    env=environment | suite.environment,
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    timeout=SUITE_TIMEOUT,
                )
    return outcomes(report)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the suites named, print how many tests passed where, and every test that only etcd passes."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument(
        "suites", nargs="*", metavar="NAME", help=f"of {', '.join(SUITES)}; all by default"
    )
    parser.add_argument(
        "--etcd", type=Path, required=True, help="a real etcd, with etcdctl beside it"
    )
    parser.add_argument("--ours", type=Path, default=Path(sys.executable).with_name("kvstore"))
    parser.add_argument(
        "--scratch", type=Path, default=Path(tempfile.gettempdir()) / "foreign-suites"
    )
    parser.add_argument(
        "--only",
        choices=("etcd", "ours"),
        help="run one side, compare with the other's last report",
    )
    chosen = parser.parse_args(arguments)
    chosen.scratch.mkdir(parents=True, exist_ok=True)
    worse = 0
    for name in chosen.suites or SUITES:
        suite = SUITES[name]
        results = {}
        for label, program in (("etcd", chosen.etcd), ("ours", chosen.ours)):
            if chosen.only in (None, label):
                results[label] = run(
                    suite, label, program.absolute(), chosen.etcd.parent.absolute(), chosen.scratch
                )
            else:
                results[label] = outcomes(chosen.scratch / f"{name}-{label}.xml")
        counts = {label: list(result.values()).count("passed") for label, result in results.items()}
        print(
            f"{name} {suite.version}: {len(results['ours'])} tests;"
            f" passed on etcd {counts['etcd']}, here {counts['ours']}"
        )
        for test, outcome in sorted(results["etcd"].items()):
            here = results["ours"].get(test, "missing")
            if here != outcome:
                worse += outcome == "passed"
                print(f"  {test}: {outcome} on etcd, {here} here")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
