"""Faults of the links between nodes: what is asked for is kept here and told to the relay, which carries it out."""

import asyncio
import contextlib
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from controlplane.kubelet.network.addresses import own_network
from controlplane.kubelet.network.namespaces import node_address
from controlplane.local.links.plan import LinkError, Links, changed, described, partitioned, ways
from controlplane.local.nodes import fabric_folder
from kvstore.faults.kinds import LinkFault

_ANSWER_SECONDS = 20.0


class LinkDesk:
    """The links of the nodes of one cluster, by their names and networks (`pod_cidr`)."""

    def __init__(self, state_dir: Path, networks: Mapping[str, str]) -> None:
        self._state_dir = state_dir
        self._networks = dict(networks)
        self._links: Links = dict.fromkeys(networks, ())
        self._relay: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()

    @property
    def nodes(self) -> list[str]:
        """All nodes' names."""
        return list(self._networks)

    def describe(self) -> dict[str, list[str]]:
        """One line a fault, for each node that has any."""
        return described(self._links)

    async def partition(self, groups: Sequence[Sequence[str]], *, is_one_way: bool = False) -> None:
        """Let nothing pass between groups of nodes. Raises LinkError."""
        await self._set(partitioned(self._links, groups, one_way=is_one_way))

    async def network(self, node: str, fault: LinkFault) -> None:
        """Make the links of a node slow, lossy or cut. Raises LinkError."""
        await self._set(changed(self._links, node, fault))

    async def heal(self) -> list[str]:
        """Undo all; who had any."""
        had = [name for name, faults in self._links.items() if faults]
        if had:
            await self._set(dict.fromkeys(self._networks, ()))
        return had

    async def stop(self) -> None:
        """End the relay. Idempotent."""
        relay, self._relay = self._relay, None
        if relay is None or relay.stdin is None:
            return
        relay.stdin.close()
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await relay.wait()
        except TimeoutError:
            relay.kill()
            await relay.wait()

    async def _set(self, links: Links) -> None:
        async with self._turn:
            await self._tell(links)
            self._links = links

    async def _tell(self, links: Links) -> None:
        table = {
            "nodes": {
                name: node_address(own_network(cidr)) for name, cidr in self._networks.items()
            },
            "ways": [
                [*pair, way.drop, way.delay_seconds, way.jitter_seconds, way.bytes_per_second]
                for pair, way in ways(links).items()
            ],
        }
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                relay = await self._running()
                assert relay.stdin is not None
                assert relay.stdout is not None
                relay.stdin.write(json.dumps(table).encode() + b"\n")
                await relay.stdin.drain()
                answer = await relay.stdout.readline()
        except (OSError, TimeoutError) as problem:
            raise LinkError(f"the relay of the nodes' links does not answer: {problem}") from None
        if answer != b"ok\n":
            raise LinkError(
                "the nodes have no links of their own here: their pods share the machine's network "
                '(runtime = "process"), or none of them runs'
            )

    async def _running(self) -> asyncio.subprocess.Process:
        if self._relay is not None and self._relay.returncode is None:
            return self._relay
        folder = fabric_folder(self._state_dir)
        enter = [sys.executable, "-m", "controlplane.kubelet.network.enter", str(folder)]
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(open(folder / "relay.log", "ab")) if folder.is_dir() else None
            self._relay = await asyncio.create_subprocess_exec(
                *enter, sys.executable, "-m", "controlplane.local.links.relay",
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log or subprocess.DEVNULL,
                start_new_session=True,
            )  # fmt: skip
        return self._relay
