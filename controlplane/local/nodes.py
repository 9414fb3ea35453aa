"""Ends what outlives a kubelet: the spawners of nodes whose containers run in namespaces."""

from collections.abc import Iterable
from pathlib import Path

from controlplane.kubelet.runtimes.namespaces.connection import end_node

FABRIC = "fabric"


def node_folder(state_dir: Path, name: str) -> Path:
    """Where a node keeps its pods and logs."""
    return state_dir / "nodes" / name


def fabric_folder(state_dir: Path) -> Path:
    """What the nodes of a cluster share."""
    return state_dir / FABRIC


def end_nodes(state_dir: Path, names: Iterable[str]) -> None:
    """End these nodes with all they run; those that have nothing running are left alone."""
    for name in names:
        _end(node_folder(state_dir, name))


def end_fabric(state_dir: Path) -> None:
    """End what nodes shared, once they have ended."""
    _end(fabric_folder(state_dir))


def _end(folder: Path) -> None:
    if folder.is_dir():
        end_node(folder)
