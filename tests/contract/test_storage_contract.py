"""What every `Storage` must do: the same tests for the fake and for the one over a real store."""

import asyncio
import contextlib
import shutil
import socket
import subprocess
import uuid
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from controlplane.api.meta import Obj
from controlplane.storage.compaction import Turn
from controlplane.storage.encryption.encryption import Encryption
from controlplane.storage.errors import (
    FutureRevisionError,
    KeyExistsError,
    KeyNotFoundError,
    PreconditionError,
    TooOldError,
)
from controlplane.storage.interface import Change, Preconditions, Removal, Storage, UpdateFunction
from controlplane.storage.kv import KvStorage
from controlplane.storage.memory import MemoryStorage

ETCD = shutil.which("etcd")
# Keys with a dot are kinds with a group: all of these tests' prefixes become such.
ENCRYPT_ALL = """
apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["*.*"]
  providers:
  - aescbc: {keys: [{name: k, secret: MDEyMzQ1Njc4OTAxMjM0NQ==}]}
"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def etcd(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    if ETCD is None:
        pytest.skip("etcd is not installed")
    folder: Path = tmp_path_factory.mktemp("etcd")
    client, peer = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
    flags = {
        "--data-dir": str(folder),
        "--listen-client-urls": client,
        "--advertise-client-urls": client,
        "--listen-peer-urls": peer,
        "--initial-advertise-peer-urls": peer,
        "--initial-cluster": f"default={peer}",
    }
    process = subprocess.Popen(
        [ETCD, *(word for flag in flags.items() for word in flag)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    yield client
    process.kill()
    process.wait()


@pytest.fixture(params=["memory", "etcd", "encrypted"])
async def storage(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Storage]:
    made: Storage
    if request.param == "memory":
        made = MemoryStorage()
    else:
        encryption = None
        if request.param == "encrypted":
            path = tmp_path / "encryption.yaml"
            path.write_text(ENCRYPT_ALL)
            encryption = Encryption(path, {})
        endpoint = request.getfixturevalue("etcd")
        made = KvStorage([endpoint], timeout_seconds=10, encryption=encryption)
    yield made
    await made.close()


@pytest.fixture
def prefix(request: pytest.FixtureRequest) -> str:
    return f"/registry/test.example/{request.node.name.replace('[', '-').replace(']', '')}/"


def thing(name: str, **fields: object) -> Obj:
    return {"kind": "Thing", "metadata": {"name": name, "uid": f"uid-{name}"}, **fields}


def setting(**fields: object) -> UpdateFunction:
    """An update that sets fields."""

    async def update(live: Obj) -> Obj:
        return {**live, **fields}

    return update


def revision(obj: Obj) -> int:
    return int(obj["metadata"]["resourceVersion"])


async def test_created_object_is_read_back_with_its_revision(storage: Storage, prefix: str) -> None:
    created = await storage.create(prefix + "a", thing("a", x=1))
    assert await storage.get(prefix + "a") == created
    assert revision(created) > 0
    with pytest.raises(KeyExistsError):
        await storage.create(prefix + "a", thing("a"))


async def test_missing_key_is_told_by_every_verb(storage: Storage, prefix: str) -> None:
    with pytest.raises(KeyNotFoundError):
        await storage.get(prefix + "no")
    with pytest.raises(KeyNotFoundError):
        await storage.guaranteed_update(prefix + "no", setting(x=1))
    with pytest.raises(KeyNotFoundError):
        await storage.delete(prefix + "no")


async def test_update_without_change_writes_nothing(storage: Storage, prefix: str) -> None:
    created = await storage.create(prefix + "a", thing("a", x=1))
    same = await storage.guaranteed_update(prefix + "a", setting(x=1))
    assert revision(same) == revision(created)
    other = await storage.guaranteed_update(prefix + "a", setting(x=2))
    assert revision(other) > revision(created)


async def test_concurrent_updates_are_all_done_once(storage: Storage, prefix: str) -> None:
    await storage.create(prefix + "a", thing("a", count=0))

    async def counted(live: Obj) -> Obj:
        # As one that asks a webhook: others write while it waits.
        await asyncio.sleep(0)
        return {**live, "count": live["count"] + 1}

    async def add() -> None:
        await storage.guaranteed_update(prefix + "a", counted)

    await asyncio.gather(*(add() for _ in range(12)))
    assert (await storage.get(prefix + "a"))["count"] == 12


async def test_error_from_a_stale_cached_state_is_not_believed(
    storage: Storage, prefix: str
) -> None:
    old = await storage.create(prefix + "a", thing("a", x=1))
    await storage.guaranteed_update(prefix + "a", setting(x=2))

    async def refuse_one(live: Obj) -> Obj:
        if live["x"] == 1:
            raise ValueError("stale")
        return {**live, "x": 3}

    assert (await storage.guaranteed_update(prefix + "a", refuse_one, cached=old))["x"] == 3


async def test_preconditions_are_checked_and_removal_is_by_the_same_transaction(
    storage: Storage, prefix: str
) -> None:
    created = await storage.create(prefix + "a", thing("a"))
    with pytest.raises(PreconditionError, match="UID in precondition: other"):
        await storage.delete(prefix + "a", preconditions=Preconditions(uid="other"))
    with pytest.raises(PreconditionError):
        await storage.delete(prefix + "a", preconditions=Preconditions(resource_version="1"))

    async def removed(live: Obj) -> Removal:
        return Removal({**live, "x": 1})

    gone = await storage.guaranteed_update(prefix + "a", removed)
    assert gone["x"] == 1
    assert revision(gone) > revision(created)
    with pytest.raises(KeyNotFoundError):
        await storage.get(prefix + "a")


async def test_pages_are_of_the_first_page_s_revision(storage: Storage, prefix: str) -> None:
    for name in "abcde":
        await storage.create(prefix + name, thing(name))
    first = await storage.list(prefix, limit=2)
    await storage.delete(prefix + "d")
    second = await storage.list(prefix, limit=2, start_key=first.next_key, revision=first.revision)
    third = await storage.list(prefix, limit=2, start_key=second.next_key, revision=first.revision)
    names = [obj["metadata"]["name"] for p in (first, second, third) for obj in p.items]
    assert names == list("abcde")
    assert (first.remaining_count, second.remaining_count) == (3, 1)
    assert third.next_key == ""
    assert [obj["metadata"]["name"] for obj in (await storage.list(prefix)).items] == list("abce")


async def test_list_of_a_future_revision_is_refused(storage: Storage, prefix: str) -> None:
    with pytest.raises(FutureRevisionError):
        await storage.list(prefix, revision=await storage.current_revision() + 1000)


async def test_watch_tells_each_change_once_in_order(storage: Storage, prefix: str) -> None:
    before = await storage.create(prefix + "a", thing("a"))
    seen: list[Change] = []

    async def follow() -> None:
        async for batch in storage.watch(prefix, revision(before) + 1):
            seen.extend(batch.changes)
            if len(seen) >= 3:
                return

    async with asyncio.timeout(10):
        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            made = await storage.create(prefix + "b", thing("b"))
            changed = await storage.guaranteed_update(prefix + "b", setting(x=1))
            gone = await storage.delete(prefix + "a")
    assert [(change.key, change.revision, change.value is None) for change in seen] == [
        (prefix + "b", revision(made), False),
        (prefix + "b", revision(changed), False),
        (prefix + "a", revision(gone), True),
    ]


async def test_progress_mark_reaches_the_current_revision(storage: Storage, prefix: str) -> None:
    start = await storage.current_revision()
    await storage.create(prefix[:-1] + "-elsewhere", thing("x"))
    target = await storage.current_revision()
    reached = asyncio.Event()

    async def follow() -> None:
        with contextlib.suppress(TooOldError):
            async for batch in storage.watch(prefix, start + 1):
                if batch.revision >= target:
                    reached.set()
                    return

    async with asyncio.timeout(10):
        async with asyncio.TaskGroup() as group:
            group.create_task(follow())
            while not reached.is_set():
                await storage.request_progress()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0.1):
                        await reached.wait()


async def test_history_is_forgotten_by_turns(storage: Storage) -> None:
    prefix = f"/registry/turns/{uuid.uuid4()}/"
    key = f"{prefix}a"
    # The key of turns is one of the whole store: earlier tests may have had theirs.
    turn = await storage.compact_in_turn(await storage.compact_in_turn(Turn(-1)))
    made = await storage.create(key, {"kind": "T", "metadata": {"name": "a"}})
    created = int(made["metadata"]["resourceVersion"])

    async def changed(live: Obj) -> Obj:
        return {**live, "spec": "2"}

    await storage.guaranteed_update(key, changed)
    late = turn
    turn = await storage.compact_in_turn(turn)
    # What was there when the turn was taken can be read for another one, even by who was late.
    assert (await storage.compact_in_turn(late)).version == turn.version
    assert len((await storage.list(prefix, revision=created)).items) == 1
    turn = await storage.compact_in_turn(turn)
    with pytest.raises(TooOldError):
        await storage.list(prefix, revision=created)
    with pytest.raises(TooOldError):
        async for _ in storage.watch(prefix, created):
            pass
    assert (await storage.get(key))["spec"] == "2"
