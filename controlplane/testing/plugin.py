"""The pytest plugin: a Kubernetes cluster in the test's process, as fixtures.

    def test_my_controller(quorate_kubernetes):
        kubectl = ["kubectl", "--kubeconfig", str(quorate_kubernetes.kubeconfig)]
        subprocess.run([*kubectl, "apply", "-f", "app.yaml"], check=True)
        quorate_kubernetes.run_until(lambda: len(quorate_kubernetes.objects("pods")) == 3)

It is the real API server with the real controllers and scheduler; nodes are hollow: every image is there, containers
run until somebody stops them, or as `set_lives` says. `quorate_kubernetes` is empty for each test: clusters of one kind
are used again after a reset. With `_module` or `_session` at the end a cluster lasts that long and keeps its objects.

    @pytest.mark.quorate_kubernetes(nodes=3, virtual_time=True)

Nothing heavy is imported until a fixture is used. Under xdist every worker has clusters of its own.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from controlplane.testing.kubernetes import Kubernetes

_MARKER = "quorate_kubernetes"


def pytest_configure(config: pytest.Config) -> None:
    """Our marker."""
    config.addinivalue_line(
        "markers",
        f"{_MARKER}(nodes=1, virtual_time=False, **settings): which cluster a test gets; "
        "settings are fields of the API server's configuration",
    )


class KubernetesPool:
    """Clusters that are started, by kind; those not in use wait here."""

    def __init__(self) -> None:
        self._idle: dict[tuple[Any, ...], list[Kubernetes]] = {}
        self._all: list[Kubernetes] = []

    def take(self, node: Any) -> "tuple[tuple[Any, ...], Kubernetes]":
        """A cluster as the markers ask for: its kind, and itself, empty."""
        from controlplane.testing.kubernetes import Kubernetes

        wanted: dict[str, Any] = {"nodes": 1, "virtual_time": False}
        for marker in reversed(list(node.iter_markers(_MARKER))):
            if marker.args:
                raise pytest.UsageError(f"pytest.mark.{_MARKER} takes named arguments only")
            wanted.update(marker.kwargs)
        kind = tuple(sorted((name, repr(value)) for name, value in wanted.items()))
        idle = self._idle.setdefault(kind, [])
        if idle:
            cluster = idle.pop()
            cluster.reset()
            return kind, cluster
        try:
            cluster = Kubernetes(**wanted)
        except TypeError as error:
            raise pytest.UsageError(f"pytest.mark.{_MARKER}: {error}") from error
        self._all.append(cluster)
        return kind, cluster

    def give_back(self, kind: tuple[Any, ...], cluster: "Kubernetes") -> None:
        """The test is over."""
        self._idle.setdefault(kind, []).append(cluster)

    def close(self) -> None:
        """End all."""
        while self._all:
            self._all.pop().close()


@pytest.fixture(scope="session")
def _quorate_kubernetes_pool() -> Iterator[KubernetesPool]:
    pool = KubernetesPool()
    yield pool
    pool.close()


def _lend(request: pytest.FixtureRequest, pool: KubernetesPool) -> "Iterator[Kubernetes]":
    kind, cluster = pool.take(request.node)
    yield cluster
    pool.give_back(kind, cluster)


@pytest.fixture
def quorate_kubernetes(
    request: pytest.FixtureRequest, _quorate_kubernetes_pool: KubernetesPool
) -> "Iterator[Kubernetes]":
    """An empty cluster."""
    yield from _lend(request, _quorate_kubernetes_pool)


@pytest.fixture(scope="module")
def quorate_kubernetes_module(
    request: pytest.FixtureRequest, _quorate_kubernetes_pool: KubernetesPool
) -> "Iterator[Kubernetes]":
    """A cluster that a module's tests share, with its objects."""
    yield from _lend(request, _quorate_kubernetes_pool)


@pytest.fixture(scope="session")
def quorate_kubernetes_session(
    request: pytest.FixtureRequest, _quorate_kubernetes_pool: KubernetesPool
) -> "Iterator[Kubernetes]":
    """A cluster that all tests share, with its objects."""
    yield from _lend(request, _quorate_kubernetes_pool)
