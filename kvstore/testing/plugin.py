"""The pytest plugin: store clusters as fixtures, to be broken by tests.

    def test_survives_the_leader(quorate_cluster):
        with quorate_cluster.client() as client:
            client.put("a", "1")
            quorate_cluster.kill("leader")
            assert client.get("a").kvs[0].value == b"1"
        quorate_cluster.assert_linearizable()

`quorate_store` is one member, `quorate_cluster` three; both are the store alone. With `_module` or `_session` at the
end a cluster lasts that long and keeps its data; without, each test has one that is empty. Clusters of the same kind
are used again by later tests after a reset of milliseconds, unless the marker says `fresh=True`, or a test broke what
cannot be mended.

    @pytest.mark.quorate(members=5, mode="process", tls=True, fresh=True, election_timeout_ms=500)

Options: `--quorate-mode` / ini `quorate_mode` (inprocess, process), `--quorate-members` / ini `quorate_members`,
`--quorate-report-dir`. A failed test gets the members' logs as report sections, and the paths of a timeline page and of
the history. Nothing heavy is imported until a fixture is used. Under xdist every worker has clusters of its own.
"""

from collections.abc import Generator, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from kvstore.testing.harness.cluster import Cluster
    from kvstore.testing.harness.host import Host

_MODES = ("inprocess", "process")
_OWN = ("members", "mode", "tls", "fresh")
_START_TRIES = 3


def pytest_addoption(parser: pytest.Parser) -> None:
    """Our options."""
    group = parser.getgroup("quorate", "quorate store clusters")
    group.addoption(
        "--quorate-mode",
        choices=_MODES,
        default=None,
        help="run stores in this process (quickest) or as real processes; a marker's mode wins",
    )
    group.addoption(
        "--quorate-members",
        type=int,
        default=None,
        help="size of quorate_cluster where no marker says it (3)",
    )
    group.addoption(
        "--quorate-report-dir",
        default=None,
        help="where timelines and histories of failed tests go (pytest's temporary folder)",
    )
    parser.addini("quorate_mode", "inprocess or process", default="inprocess")
    parser.addini("quorate_members", "size of quorate_cluster", default="3")


def pytest_configure(config: pytest.Config) -> None:
    """Our marker."""
    config.addinivalue_line(
        "markers",
        "quorate(members=3, mode='inprocess', tls=False, fresh=False, **settings): "
        "which store a test gets; settings are those of kvstore.local.topology.StoreSettings",
    )


class ClusterPool:
    """Clusters that are started, by kind; those not in use wait here."""

    def __init__(self, config: pytest.Config, folders: pytest.TempPathFactory) -> None:
        self._config, self._folders = config, folders
        self._idle: dict[tuple[Any, ...], list[Cluster]] = {}
        self._all: list[Cluster] = []
        self._host: Host | None = None

    def take(self, node: Any, default_members: int | None) -> "tuple[tuple[Any, ...], Cluster]":
        """A cluster as marker, options and ini ask for: its kind, and itself, empty."""
        from kvstore.testing.harness.cluster import ClusterBroken

        wanted = self._wanted(node, default_members)
        is_fresh = bool(wanted.pop("fresh"))
        kind = tuple(sorted(wanted.items()))
        idle = self._idle.setdefault(kind, [])
        while idle and not is_fresh:
            cluster = idle.pop()
            try:
                cluster.reset()
            except ClusterBroken:
                self._end(cluster)
                continue
            return kind, cluster
        return kind, self._start(wanted)

    def give_back(self, kind: "tuple[Any, ...]", cluster: "Cluster") -> None:
        """The test is over."""
        if cluster in self._all:
            self._idle.setdefault(kind, []).append(cluster)

    def close(self) -> None:
        """End all."""
        for cluster in list(self._all):
            self._end(cluster)
        if self._host is not None:
            self._host.close()
            self._host = None

    def _end(self, cluster: "Cluster") -> None:
        self._all.remove(cluster)
        cluster.close()

    def _start(self, wanted: dict[str, Any]) -> "Cluster":
        from kvstore.local.supervisor import NotReady
        from kvstore.local.topology import StoreSettings
        from kvstore.testing.harness.cluster import Cluster
        from kvstore.testing.harness.host import Host
        from kvstore.wire.engine import ListenError

        try:
            settings = StoreSettings(**{k: v for k, v in wanted.items() if k not in _OWN})
        except (TypeError, ValueError) as error:
            raise pytest.UsageError(f"pytest.mark.quorate: {error}") from error
        if self._host is None:
            self._host = Host()
        for left in reversed(range(_START_TRIES)):
            cluster = Cluster(
                self._folders.mktemp("quorate"),
                members=wanted["members"],
                mode=wanted["mode"],
                tls=wanted["tls"],
                settings=settings,
                host=self._host,
            )
            try:
                cluster.start()
            except (NotReady, ListenError, ExceptionGroup) as error:
                # Somebody may have taken a port between our look and the member's.
                cluster.close()
                if not left:
                    raise pytest.UsageError(f"no store could be started: {error}") from error
                continue
            except BaseException:
                cluster.close()
                raise
            self._all.append(cluster)
            return cluster
        raise AssertionError("unreachable")

    def _wanted(self, node: Any, default_members: int | None) -> dict[str, Any]:
        config = self._config
        members = config.getoption("quorate_members") or int(config.getini("quorate_members"))
        wanted: dict[str, Any] = {
            "members": default_members or members,
            "mode": config.getoption("quorate_mode") or config.getini("quorate_mode"),
            "tls": False,
            "fresh": False,
        }
        for marker in reversed(list(node.iter_markers("quorate"))):
            if marker.args:
                raise pytest.UsageError("pytest.mark.quorate takes named arguments only")
            wanted.update(marker.kwargs)
        if wanted["mode"] not in _MODES:
            raise pytest.UsageError(f"quorate mode {wanted['mode']!r}: one of {', '.join(_MODES)}")
        return wanted


@pytest.fixture(scope="session")
def _quorate_pool(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[ClusterPool]:
    pool = ClusterPool(request.config, tmp_path_factory)
    yield pool
    pool.close()


def _lend(
    request: pytest.FixtureRequest, pool: ClusterPool, members: int | None
) -> "Iterator[Cluster]":
    kind, cluster = pool.take(request.node, members)
    yield cluster
    pool.give_back(kind, cluster)


@pytest.fixture
def quorate_store(
    request: pytest.FixtureRequest, _quorate_pool: ClusterPool
) -> "Iterator[Cluster]":
    """An empty store of one member."""
    yield from _lend(request, _quorate_pool, 1)


@pytest.fixture
def quorate_cluster(
    request: pytest.FixtureRequest, _quorate_pool: ClusterPool
) -> "Iterator[Cluster]":
    """An empty store of three members."""
    yield from _lend(request, _quorate_pool, None)


@pytest.fixture(scope="module")
def quorate_store_module(
    request: pytest.FixtureRequest, _quorate_pool: ClusterPool
) -> "Iterator[Cluster]":
    """A store of one member that a module's tests share, with its data."""
    yield from _lend(request, _quorate_pool, 1)


@pytest.fixture(scope="module")
def quorate_cluster_module(
    request: pytest.FixtureRequest, _quorate_pool: ClusterPool
) -> "Iterator[Cluster]":
    """A store of three members that a module's tests share, with its data."""
    yield from _lend(request, _quorate_pool, None)


@pytest.fixture(scope="session")
def quorate_store_session(
    request: pytest.FixtureRequest, _quorate_pool: ClusterPool
) -> "Iterator[Cluster]":
    """A store of one member that all tests share, with its data."""
    yield from _lend(request, _quorate_pool, 1)


@pytest.fixture(scope="session")
def quorate_cluster_session(
    request: pytest.FixtureRequest, _quorate_pool: ClusterPool
) -> "Iterator[Cluster]":
    """A store of three members that all tests share, with its data."""
    yield from _lend(request, _quorate_pool, None)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Attach to a failed test what its clusters can tell."""
    report = yield
    if report.when == "call" and report.failed:
        for name, value in sorted(getattr(item, "funcargs", {}).items()):
            if name.startswith("quorate_") and hasattr(value, "write_report"):
                _attach(item, report, name, value)
    return report


def _attach(item: pytest.Item, report: pytest.TestReport, name: str, cluster: "Cluster") -> None:
    # Whatever fails here must not hide the failure of the test.
    try:
        for member, text in cluster.logs().items():
            report.sections.append((f"{name}: log of {member}", text))
        folder = item.config.getoption("quorate_report_dir")
        base = Path(folder) if folder else cluster.folder
        safe = "".join(one if one.isalnum() or one in "-_." else "_" for one in item.nodeid)
        page, lines = cluster.write_report(base / safe[-120:], title=item.nodeid)
        report.sections.append((f"{name}: what happened", f"timeline: {page}\nhistory:  {lines}"))
    except Exception as error:
        report.sections.append((f"{name}: no report", repr(error)))
