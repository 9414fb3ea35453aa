"""One user's flood and another's few requests, on a whole API server: the few do not wait for the many."""

import asyncio

import pytest

from controlplane.api.meta import Obj
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.filters.fairness import LEVEL_HEADER
from controlplane.apiserver.http.messages import Answer, User
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest, InProcessServer
from kvstore.base.clock import ManualClock

pytestmark = pytest.mark.timeout(120)
ALICE = User("alice", ("system:authenticated",))
MALLORY = User("mallory", ("system:authenticated",))
ADMIN = User("admin", ("system:masters",))
URL = "/api/v1/namespaces/default/configmaps/c"
FLOOD, FEW = 400, 10
DEADLINE = 100.0


class SlowStorage(MemoryStorage):
    """Reads take some turns of the loop once `is_slow`, as those of a store do."""

    is_slow = False

    async def get(self, key: str) -> Obj:
        for _ in range(20 if self.is_slow else 0):
            await asyncio.sleep(0)
        return await super().get(key)


async def test_a_flood_of_one_user_does_not_delay_another() -> None:
    storage = SlowStorage()
    # Few seats, so that requests wait for their turn and not for the test's one loop.
    config = ApiServerConfig(max_reads_in_flight=16, max_writes_in_flight=8)
    # Time stands still: what counts is whose turn it is, not how fast this machine is.
    clock = ManualClock()
    async with InProcessServer(storage=storage, config=config, clock=clock) as server:
        body = {"metadata": {"name": "c"}}
        collection = URL.removesuffix("/c")
        made = await server.ask(InProcessRequest.of("POST", collection, body, user=ADMIN))
        assert made.status == 201
        flow = server.app.server.flow
        async with asyncio.timeout(DEADLINE):
            while "workload-low" not in flow.levels:
                await asyncio.sleep(0.01)
        storage.is_slow = True
        served: list[str] = []

        async def ask(user: User) -> Answer:
            answer = await server.ask(InProcessRequest.of("GET", URL, user=user))
            if answer.status == 200:
                served.append(user.name)
            return answer

        flood = [asyncio.ensure_future(ask(MALLORY)) for _ in range(FLOOD)]
        await asyncio.sleep(0)
        few = [await ask(ALICE) for _ in range(FEW)]
        before = served.count("mallory")
        master = await ask(ADMIN)
        many = await asyncio.gather(*flood)
    assert [one.status for one in few] == [200] * FEW
    assert len({one.headers[LEVEL_HEADER] for one in few}) == 1
    # In the order of arrival her first request would have come after the whole flood.
    assert before < served.count("mallory") / 2
    assert master.status == 200
    assert {one.status for one in many} <= {200, 429}
    assert sum(one.status == 200 for one in many) >= FLOOD / 4
