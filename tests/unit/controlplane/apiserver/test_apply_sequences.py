"""Who owns what after each step of a sequence of writes: as a real API server of 1.36 recorded it.

Managers that controllers leave are taken out of the records. The rest is what was sent and what was found then.
"""

from __future__ import annotations

import json
import random
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from controlplane.apiserver.app import build_chain, build_server
from controlplane.apiserver.bootstrap import loop as bootstrap
from controlplane.apiserver.config import ApiServerConfig
from controlplane.apiserver.filters.chain import Chain
from controlplane.apiserver.http.messages import Response, User
from controlplane.storage.memory import MemoryStorage
from controlplane.testing.in_process import InProcessRequest
from kvstore.base.clock import SystemClock

Obj = dict[str, Any]

SEQUENCES = json.loads((Path(__file__).parent / "recorded" / "apply-sequences.json").read_text())
ADMIN = User("admin", ("system:masters",))
AGENT = "python-requests/2"


@pytest.fixture
async def chain() -> AsyncIterator[Chain]:
    server = build_server(ApiServerConfig(), MemoryStorage(), SystemClock(), random.Random(1))
    server.caches.start()
    await bootstrap.bootstrap(server)
    yield build_chain(server)
    await server.caches.stop()


async def call(chain: Chain, step: Obj) -> tuple[int, Obj]:
    headers = {"content-type": "application/json", "user-agent": AGENT}
    headers |= {name.lower(): value for name, value in (step.get("headers") or {}).items()}
    path = step["path"].replace("golden-proto", "default")
    body = json.loads(json.dumps(step.get("body")).replace("golden-proto", "default"))
    request = InProcessRequest.of(step["method"], path, body, user=ADMIN, headers=headers)
    answer = await chain.handle(request)
    assert isinstance(answer, Response)
    return answer.status, json.loads(answer.body)


def record_of(obj: Obj) -> list[Obj]:
    entries = obj.get("metadata", {}).get("managedFields", [])
    return [{k: v for k, v in one.items() if k not in ("time", "fieldsType")} for one in entries]


def by_manager(entries: list[Obj]) -> list[Obj]:
    """Equal times are in order of names; here all happens at once, in the recording it did not."""
    return sorted(entries, key=lambda one: (one["operation"], one["manager"], str(one)))


def object_path(path: str) -> str:
    base = path.partition("?")[0].removesuffix("/scale").removesuffix("/status")
    return base if base.endswith("/s") else base + "/s"


@pytest.mark.parametrize("sequence", SEQUENCES, ids=[one["id"] for one in SEQUENCES])
async def test_owners_after_each_step(chain: Chain, sequence: Obj) -> None:
    for number, step in enumerate(sequence["steps"], 1):
        code, answer = await call(chain, step)
        assert code == step["code"], (number, answer)
        if "message" in step:
            assert answer["message"] == step["message"], number
            assert answer["details"]["causes"] == step["causes"], number
        _, live = await call(chain, {"method": "GET", "path": object_path(step["path"])})
        assert by_manager(record_of(live)) == by_manager(step["managedFields"]), number
        if "data" in step["object"]:
            assert live.get("data") == step["object"]["data"], number
