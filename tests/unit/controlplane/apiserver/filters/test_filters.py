"""Each filter by itself, and the order of all of them."""

import asyncio
import json
import random
from typing import Any

import pytest

from controlplane.api import errors
from controlplane.apiserver.authn.chain import AuthenticatorChain
from controlplane.apiserver.authz.chain import AuthorizerChain
from controlplane.apiserver.authz.interface import Attributes, Decision, Verdict
from controlplane.apiserver.filters.authorization import Authorization
from controlplane.apiserver.filters.deadline import Deadline
from controlplane.apiserver.filters.failures import failures
from controlplane.apiserver.filters.flow_control import FlowControl
from controlplane.apiserver.filters.interface import Filter, Next
from controlplane.apiserver.filters.long_running import LongRunning
from controlplane.apiserver.filters.request_id import RequestId
from controlplane.apiserver.filters.warnings import bounded, warnings
from controlplane.apiserver.http import info
from controlplane.apiserver.http.messages import (
    ANONYMOUS,
    Answer,
    Request,
    Response,
    StreamResponse,
    User,
)
from controlplane.apiserver.metrics import Metrics
from controlplane.testing.in_process import InProcessRequest

PODS = "/api/v1/namespaces/d/pods"


def request(
    method: str = "GET", path: str = PODS, *, user: User = ANONYMOUS, **query: str
) -> Request:
    values = {name: [value] for name, value in query.items()}
    incoming = InProcessRequest(method, path, query=values, user=user)
    parsed = info.parse(method, path, is_watch=query.get("watch") == "true")
    return Request(method, path, parsed, values, {}, incoming, user=user)


async def ok(request: Request) -> Answer:
    return Response(200, b"ok")


class Gate:
    """A handler that answers when it is opened."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()
        self.entered = 0

    async def __call__(self, request: Request) -> Answer:
        self.entered += 1
        await self.opened.wait()
        return Response(200, b"")


async def test_the_clients_request_id_is_kept() -> None:
    one = request()
    one.headers = {"audit-id": "mine"}
    answer = await RequestId(random.Random(1))(one, ok)
    assert (one.request_id, answer.headers["Audit-Id"]) == ("mine", "mine")
    other = request()
    answer = await RequestId(random.Random(1))(other, ok)
    assert len(answer.headers["Audit-Id"]) == 36


@pytest.mark.parametrize(
    ("texts", "kept"),
    [
        pytest.param(["a", "", "a", "b\n", "é"], ["a", "é"], id="what a header can carry, once"),
        pytest.param(["x" * 4096], ["x" * 4096], id="as much as fits"),
        pytest.param(["x" * 4000, "y" * 100], ["x" * 256, "y" * 100], id="cut"),
        pytest.param(
            [f"{n:03}" + "x" * 300 for n in range(20)],
            [f"{n:03}" + "x" * 253 for n in range(16)],
            id="left out",
        ),
    ],
)
def test_warnings_are_bounded(texts: list[str], kept: list[str]) -> None:
    assert bounded(texts) == kept


async def test_warnings_are_said_once_and_with_refusals_too() -> None:
    async def refusing(request: Request) -> Answer:
        request.warnings += ['a "b"', 'a "b"', "c"]
        return await failures(request, _raising(errors.BadRequest("no")))

    answer = await warnings(request(), refusing)
    assert answer.status == 400
    assert answer.headers["Warning"] == '299 - "a \\"b\\"", 299 - "c"'


def _raising(error: Exception) -> Next:
    async def handler(request: Request) -> Answer:
        raise error

    return handler


@pytest.mark.parametrize(
    ("error", "code", "reason"),
    [
        (errors.Forbidden("no"), 403, "Forbidden"),
        (errors.TooManyRequests("wait", retry_after_seconds=3), 429, "TooManyRequests"),
        (KeyError("secret"), 500, "InternalError"),
    ],
    ids=["refusal", "later", "our fault"],
)
async def test_errors_become_statuses(error: Exception, code: int, reason: str) -> None:
    answer = await failures(request(), _raising(error))
    assert isinstance(answer, Response)
    status = json.loads(answer.body)
    assert (answer.status, status["code"], status["reason"]) == (code, code, reason)
    assert "secret" not in status["message"]
    if code == 429:
        assert answer.headers["Retry-After"] == "3"


@pytest.mark.parametrize(("method", "limit"), [("GET", 2), ("POST", 1)], ids=["reads", "writes"])
async def test_requests_above_the_limit_are_sent_away(method: str, limit: int) -> None:
    flow, gate = FlowControl(Metrics(), max_reads=2, max_writes=1), Gate()
    held = [asyncio.ensure_future(flow(request(method), gate)) for _ in range(limit)]
    while gate.entered < limit:
        await asyncio.sleep(0)
    refused = await flow(request(method), gate)
    assert isinstance(refused, Response)
    assert (refused.status, refused.headers["Retry-After"]) == (429, "1")
    assert refused.content_type.startswith("text/plain")
    assert refused.body == b"Too many requests, please try again later.\n"
    # The other sort has seats of its own, documents and watches need none.
    other = "POST" if method == "GET" else "GET"
    assert (await flow(request(other), ok)).status == 200
    assert (await flow(request("GET", "/version"), ok)).status == 200
    assert (await flow(request("GET", watch="true"), ok)).status == 200
    gate.opened.set()
    await asyncio.gather(*held)
    assert (await flow(request(method), ok)).status == 200


async def test_watches_are_counted_while_they_last() -> None:
    metrics = Metrics()
    flow = LongRunning(metrics)

    async def chunks() -> Any:
        yield b"a"
        yield b"b"

    async def watching(request: Request) -> Answer:
        return StreamResponse(chunks())

    answer = await flow(request(watch="true"), watching)
    assert isinstance(answer, StreamResponse)
    gauge = metrics.watches.labels("watch", "pods")
    assert await anext(answer.chunks) == b"a"
    assert gauge._value.get() == 1
    await answer.chunks.aclose()  # type: ignore[attr-defined]
    assert gauge._value.get() == 0


async def test_a_request_that_takes_too_long_is_answered_504() -> None:
    with pytest.raises(errors.Timeout) as late:
        await Deadline(60)(request("POST", timeout="10ms"), Gate())
    assert not late.value.outcome_known
    with pytest.raises(errors.BadRequest):
        await Deadline(60)(request("POST", timeout="soon"), ok)


async def test_a_watch_has_no_deadline() -> None:
    gate = Gate()
    waiting = asyncio.ensure_future(Deadline(0.001)(request(watch="true"), gate))
    await asyncio.sleep(0.05)
    assert not waiting.done()
    gate.opened.set()
    await waiting


class Saying:
    """An authorizer that says always the same and remembers what it was asked."""

    def __init__(self, verdict: Verdict) -> None:
        self.verdict = verdict
        self.asked: list[Attributes] = []

    async def authorize(self, attributes: Attributes) -> Verdict:
        self.asked.append(attributes)
        return self.verdict


ALLOW, DENY, NONE = (
    Saying(Verdict(decision, word))
    for decision, word in zip(Decision, ("yes", "never", "who"), strict=True)
)


@pytest.mark.parametrize(
    ("chain", "decision", "reason"),
    [
        ([], Decision.NO_OPINION, ""),
        ([NONE, NONE], Decision.NO_OPINION, "who\nwho"),
        ([NONE, ALLOW, DENY], Decision.ALLOW, "yes"),
        ([NONE, DENY, ALLOW], Decision.DENY, "never"),
    ],
    ids=["nobody asked", "nobody knows", "first yes", "first no"],
)
async def test_the_first_opinion_decides(
    chain: list[Saying], decision: Decision, reason: str
) -> None:
    verdict = await AuthorizerChain(chain).authorize(Attributes(ANONYMOUS, "get"))
    assert verdict == Verdict(decision, reason)


@pytest.mark.parametrize(
    ("method", "path", "query", "subject", "rest"),
    [
        (
            "GET",
            "/api/v1/pods",
            {},
            "pods is ",
            'list resource "pods" in API group "" at the cluster scope',
        ),
        (
            "GET",
            PODS,
            {"watch": "true"},
            "pods is ",
            'watch resource "pods" in API group "" in the namespace "d"',
        ),
        (
            "PUT",
            "/apis/apps/v1/namespaces/d/deployments/w/scale",
            {},
            'deployments.apps "w" is ',
            'update resource "deployments/scale" in API group "apps" in the namespace "d"',
        ),
        ("POST", "/metrics", {}, "", 'post path "/metrics"'),
    ],
    ids=["list", "watch", "subresource", "path"],
)
async def test_a_refusal_says_who_may_not_do_what(
    method: str, path: str, query: dict[str, str], subject: str, rest: str
) -> None:
    with pytest.raises(errors.Forbidden) as refused:
        await Authorization(AuthorizerChain([]))(request(method, path, user=User("u"), **query), ok)
    assert refused.value.message == f'{subject}forbidden: User "u" cannot {rest}'


async def test_selectors_are_attributes_of_lists_only() -> None:
    asked = Saying(Verdict(Decision.ALLOW))
    for method in ("GET", "POST"):
        await Authorization(asked)(request(method, fieldSelector="spec.nodeName=n"), ok)
    assert [one.field_selector for one in asked.asked] == ["spec.nodeName=n", ""]


class Known:
    """An authenticator with one answer."""

    def __init__(self, answer: User | errors.Unauthorized | None) -> None:
        self.answer = answer

    async def authenticate(self, request: Request) -> User | None:
        if isinstance(self.answer, errors.Unauthorized):
            raise self.answer
        return self.answer


BAD, NOBODY, U = Known(errors.Unauthorized()), Known(None), Known(User("u", ("g",)))


@pytest.mark.parametrize(
    ("ways", "anonymous", "name"),
    [
        ([NOBODY, U], ANONYMOUS, "u"),
        ([BAD, U], ANONYMOUS, "u"),
        ([NOBODY], ANONYMOUS, "system:anonymous"),
        ([NOBODY], None, None),
        ([BAD, NOBODY], ANONYMOUS, None),
    ],
    ids=["known", "second way", "anonymous", "anonymous is not let in", "bad is not anonymous"],
)
async def test_who_is_known(ways: list[Known], anonymous: User | None, name: str | None) -> None:
    chain = AuthenticatorChain(ways, Known(anonymous))
    if name is None:
        with pytest.raises(errors.Unauthorized):
            await chain.authenticate(request())
        return
    user = await chain.authenticate(request())
    assert user.name == name
    assert ("system:authenticated" in user.groups) == (name == "u")


def test_filters_are_called_from_the_outside_in() -> None:
    """The order is part of the security: nobody unknown is authorized, nothing forbidden is read."""
    from controlplane.apiserver.app import build_server
    from controlplane.apiserver.config import ApiServerConfig
    from controlplane.apiserver.filters.chain import default_filters
    from controlplane.storage.memory import MemoryStorage
    from kvstore.base.clock import SystemClock

    server = build_server(ApiServerConfig(), MemoryStorage(), SystemClock(), random.Random(1))
    chain: list[Filter] = default_filters(server)
    names = [getattr(one, "__name__", type(one).__name__) for one in chain]
    order = ["failures", "Deadline", "Authentication", "Fairness", "Authorization", "body"]
    assert [name for name in names if name in order] == order
