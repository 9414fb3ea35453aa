"""Where events go: files that are rotated, batches, a webhook, and the bound on their size."""

import asyncio
import gzip
import json
import random
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest
from aiohttp import web

from controlplane.apiserver.audit.batching import Batches, Batching
from controlplane.apiserver.audit.event import Event
from controlplane.apiserver.audit.log_file import LogFile, backups
from controlplane.apiserver.audit.policy import Level
from controlplane.apiserver.audit.sink import Truncating
from controlplane.apiserver.audit.webhook import Receiver, Webhook, WebhookFileError, read_receiver
from kvstore.base.clock import SystemClock

DEADLINE = 60.0


def event(number: int, size: int = 0, level: Level = Level.METADATA) -> Event:
    fields: dict[str, Any] = {"level": level.name, "auditID": str(number)}
    if size:
        fields["requestObject"] = {"data": "x" * size}
    return Event(level, fields, msgspec.json.encode(fields))


class Kept:
    """A sink that keeps what it is given; it may be held."""

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.opened = asyncio.Event()
        self.opened.set()
        self.is_closed = False
        self.fields: list[dict[str, Any]] = []

    async def emit(self, events: Sequence[Event]) -> bool:
        await self.opened.wait()
        self.batches.append([one.fields["auditID"] for one in events])
        self.fields += [json.loads(one.item) for one in events]
        return True

    async def close(self) -> None:
        self.is_closed = True


async def test_lines_of_a_private_file(tmp_path: Path) -> None:
    sink = LogFile(str(tmp_path / "a" / "audit.log"), lambda: 0.0)
    assert await sink.emit([event(1), event(2)])
    await sink.close()
    path = tmp_path / "a" / "audit.log"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["auditID"] for line in lines] == ["1", "2"]
    assert lines[0] == {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": "METADATA",
        "auditID": "1",
    }
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize("compresses", [False, True], ids=["plain", "compressed"])
async def test_a_large_file_is_put_aside_and_old_ones_go(tmp_path: Path, compresses: bool) -> None:
    now = [1_700_000_000.0]
    path = tmp_path / "audit.log"
    sink = LogFile(str(path), lambda: now[0], max_megabytes=1, max_backups=2, compresses=compresses)
    for number in range(5):
        now[0] += 1.5
        assert await sink.emit([event(number, 700_000)])
    await sink.close()
    aside = backups(path)
    ending = ".log.gz" if compresses else ".log"
    assert [one.name for one in aside] == [
        f"audit-2023-11-14T22-13-27.500{ending}",
        f"audit-2023-11-14T22-13-26.000{ending}",
    ]
    first = aside[0].read_bytes()
    text = gzip.decompress(first) if compresses else first
    assert json.loads(text)["auditID"] == "3"
    assert stat.S_IMODE(aside[0].stat().st_mode) == 0o600


async def test_files_older_than_the_bound_go(tmp_path: Path) -> None:
    now = [1_700_000_000.0]
    path = tmp_path / "audit.log"
    sink = LogFile(str(path), lambda: now[0], max_megabytes=1, max_age_days=2)
    for number in range(4):
        now[0] += 24 * 3600
        await sink.emit([event(number, 700_000)])
    await sink.close()
    assert len(backups(path)) == 3
    now[0] += 24 * 3600 * 1.5
    sink = LogFile(str(path), lambda: now[0], max_megabytes=1, max_age_days=2)
    await sink.emit([event(9, 700_000)])
    await sink.close()
    assert len(backups(path)) == 2


async def test_a_file_that_cannot_be_written_loses_events_and_counts_them(tmp_path: Path) -> None:
    (tmp_path / "audit.log").mkdir()
    lost: list[int] = []
    sink = LogFile(str(tmp_path / "audit.log"), lambda: 0.0, on_error=lambda: lost.append(1))
    assert not await sink.emit([event(1)])
    assert lost == [1]


async def test_events_are_made_smaller_or_left_out() -> None:
    kept = Kept()
    sink = Truncating(kept, most_event_bytes=500, most_batch_bytes=700)
    large = event(2, 600, Level.REQUEST)
    hopeless = Event(Level.METADATA, {"auditID": "3" * 600}, b'"' + b"3" * 600 + b'"')
    assert not await sink.emit([event(1, 400, Level.REQUEST), large, hopeless, event(4, 300)])
    assert [one.get("requestObject") is not None for one in kept.fields] == [True, False, True]
    assert kept.fields[1]["annotations"] == {"audit.k8s.io/truncated": "true"}
    assert [len(batch) for batch in kept.batches] == [2, 1]


async def test_batches_are_full_or_have_waited() -> None:
    kept = Kept()
    sink = Batching(
        kept, Batches(max_size=3, max_wait_seconds=0.05), SystemClock(), lambda lost: None
    )
    await sink.emit([event(number) for number in range(7)])
    async with asyncio.timeout(DEADLINE):
        while sum(map(len, kept.batches)) < 7:
            await asyncio.sleep(0.01)
    assert [len(batch) for batch in kept.batches] == [3, 3, 1]
    await sink.close()
    assert kept.is_closed


async def test_what_does_not_fit_is_lost_and_counted_and_the_rest_is_sent_at_the_end() -> None:
    kept, lost = Kept(), list[int]()
    kept.opened.clear()
    sink = Batching(
        kept, Batches(buffer_size=5, max_size=100, max_wait_seconds=600), SystemClock(), lost.append
    )
    assert not await sink.emit([event(number) for number in range(8)])
    assert lost == [3]
    kept.opened.set()
    await sink.close()
    assert kept.batches == [["0", "1", "2", "3", "4"]]
    assert not await sink.emit([event(9)])


async def test_the_rate_is_bounded() -> None:
    kept = Kept()
    bounds = Batches(max_size=1, max_wait_seconds=0.0, per_second=20.0, burst=2)
    sink = Batching(kept, bounds, SystemClock(), lambda lost: None)
    started = SystemClock().monotonic()
    await sink.emit([event(number) for number in range(5)])
    async with asyncio.timeout(DEADLINE):
        while len(kept.batches) < 5:
            await asyncio.sleep(0.005)
    # Two at once, three more by one each twentieth of a second.
    assert SystemClock().monotonic() - started >= 0.14
    await sink.close()


async def test_a_webhook_is_given_lists_and_is_asked_again_when_it_fails() -> None:
    answers, bodies = [503, 200, 400], list[Any]()

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        assert request.headers["Authorization"] == "Bearer t"
        bodies.append(json.loads(await request.read()))
        return web.Response(status=answers.pop(0))

    runner = web.ServerRunner(web.Server(handle))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/audit"
        lost: list[int] = []
        sink = Webhook(
            Receiver(url, token="t"),
            SystemClock(),
            random.Random(1),
            initial_backoff_seconds=0.01,
            on_error=lambda: lost.append(1),
        )
        assert await sink.emit([event(1), event(2)])
        assert not await sink.emit([event(3)])
        await sink.close()
    finally:
        await runner.cleanup()
    assert lost == [1]
    assert bodies[0] == bodies[1]
    assert (bodies[0]["kind"], bodies[0]["apiVersion"]) == ("EventList", "audit.k8s.io/v1")
    assert [one["auditID"] for one in bodies[0]["items"]] == ["1", "2"]
    assert "kind" not in bodies[0]["items"][0]


def test_a_receiver_of_a_kubeconfig(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("PEM")
    (tmp_path / "config").write_text(
        "current-context: c\n"
        "contexts: [{name: c, context: {cluster: k, user: u}}]\n"
        "clusters: [{name: k, cluster: {server: 'https://h/x', certificate-authority: ca.pem}}]\n"
        "users: [{name: u, user: {token: abc, client-key-data: S0VZ}}]\n"
    )
    assert read_receiver(str(tmp_path / "config")) == Receiver(
        "https://h/x", authority=b"PEM", key=b"KEY", token="abc"
    )
    (tmp_path / "config").write_text("current-context: c\n")
    with pytest.raises(WebhookFileError, match="no context"):
        read_receiver(str(tmp_path / "config"))
