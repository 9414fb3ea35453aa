"""The store's own client in the simulation.

`connect` makes a real `kvstore.client.client.Client`; only its channels are simulated, so fail-over, retries, deadlines
and the resuming of watches are what users get.
"""

import random

from kvstore.client.client import Client
from kvstore.testing.sim.member import SimClock, member_name
from kvstore.testing.sim.rpc import RpcWorld


def connect(rpc: RpcWorld, name: str, size: int, first: int, rng: random.Random) -> Client:
    """A client `name` of all members, asking member `first` first."""
    order = [member_name((first + step) % size + 1) for step in range(size)]
    client = Client(
        [f"http://{member}:2379" for member in order],
        timeout_seconds=4.0,
        clock=SimClock(rpc.loop),
        rng=rng,
    )
    for connection, member in zip(client._failover.connections, order, strict=True):
        connection._channel = rpc.channel(name, member)  # type: ignore[assignment]
    return client
