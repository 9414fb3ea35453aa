"""Our own front and clients of other makes: nghttp2 (inside node's http2) and grpc-js, where they are installed.

`GRPC_JS` names the folder `node_modules` that holds `@grpc/grpc-js`; without it, that test is skipped.
"""

import asyncio
import json
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from kvstore.wire.engine import CallContext, Handlers, Listen, Send, WireError
from kvstore.wire.fronts import make_front

NGHTTP2 = """
const http2 = require('node:http2');
const options = {
  paddingStrategy: http2.constants[process.argv[3]],
  settings: {initialWindowSize: Number(process.argv[4])},
};
const session = http2.connect('http://127.0.0.1:' + process.argv[2], options);
session.on('error', e => { console.error(e); process.exit(1); });
function call(method, message, headers = {}) {
  return new Promise((done, failed) => {
    const stream = session.request({
      ':method': 'POST', ':path': '/t.S/' + method, 'content-type': 'application/grpc', te: 'trailers', ...headers});
    const prefix = Buffer.alloc(5);
    prefix.writeUInt32BE(message.length, 1);
    const parts = [];
    let head, trailers = {};
    stream.on('response', h => { head = h; });
    stream.on('trailers', t => { trailers = t; });
    stream.on('data', d => parts.push(d));
    stream.on('error', failed);
    stream.on('close', () => {
      const body = Buffer.concat(parts);
      const status = head['grpc-status'] || trailers['grpc-status'];
      const text = head['grpc-message'] || trailers['grpc-message'] || '';
      done({status, text, length: Math.max(0, body.length - 5), same: body.subarray(5).equals(message)});
    });
    stream.end(Buffer.concat([prefix, message]));
  });
}
(async () => {
  const found = {};
  found.small = await call('Echo', Buffer.from('hello'));
  found.large = await call('Echo', Buffer.alloc(1500000, 7));
  found.refused = await call('Refuse', Buffer.alloc(0));
  found.unknown = await call('Nope', Buffer.alloc(0));
  found.long = await call('Echo', Buffer.from('x'), {'x-long': 'y'.repeat(30000)});
  const many = await Promise.all(Array.from({length: 500}, (_, i) => call('Echo', Buffer.alloc(i * 10, i))));
  found.many = many.filter(one => one.same && one.status === '0').length;
  found.ping = await new Promise(done => session.ping((error) => done(error === null)));
  for (let i = 0; i < 50; i++) {
    const stream = session.request({':method': 'POST', ':path': '/t.S/Hang', 'content-type': 'application/grpc'});
    stream.on('error', () => {});
    stream.write(Buffer.alloc(5));
    await new Promise(done => setImmediate(done));
    stream.close(http2.constants.NGHTTP2_CANCEL);
  }
  found.after = await call('Echo', Buffer.from('still'));
  session.close();
  console.log(JSON.stringify(found));
})().catch(e => { console.error(e); process.exit(1); });
"""

GRPC_JS = """
const grpc = require('@grpc/grpc-js');
const same = b => b;
const method = (name, stream) => ({
  path: '/t.S/' + name, requestStream: stream, responseStream: stream,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same});
const Client = grpc.makeGenericClientConstructor({
  echo: method('Echo', false), refuse: method('Refuse', false), hang: method('Hang', false), chat: method('Chat', true),
}, 'S');
const client = new Client('127.0.0.1:' + process.argv[2], grpc.credentials.createInsecure());
const call = (name, message, options = {}) => new Promise(done =>
  client[name](message, new grpc.Metadata(), options, (error, answer) => done({
    code: error ? error.code : 0, text: error ? error.details : '', length: answer ? answer.length : 0})));
(async () => {
  const found = {};
  found.small = await call('echo', Buffer.from('hello'));
  found.large = await call('echo', Buffer.alloc(1500000, 7));
  found.refused = await call('refuse', Buffer.alloc(0));
  found.late = await call('hang', Buffer.alloc(0), {deadline: Date.now() + 100});
  found.many = (await Promise.all(Array.from({length: 300}, (_, i) => call('echo', Buffer.alloc(i)))))
    .filter((one, i) => one.length === i && one.code === 0).length;
  found.chat = await new Promise(done => {
    const stream = client.chat();
    const sizes = [];
    stream.on('data', d => { sizes.push(d.length); if (sizes.length === 3) stream.end(); });
    stream.on('status', s => done({sizes, code: s.code}));
    for (const size of [1, 70000, 1000000]) stream.write(Buffer.alloc(size));
  });
  client.close();
  console.log(JSON.stringify(found));
})().catch(e => { console.error(e); process.exit(1); });
"""


@asynccontextmanager
async def served() -> AsyncIterator[int]:
    async def echo(request: bytes, _: CallContext) -> bytes:
        return request

    async def refuse(_: bytes, __: CallContext) -> bytes:
        raise WireError(9, "not now")

    async def hang(_: bytes, __: CallContext) -> bytes:
        await asyncio.sleep(60)
        return b""

    async def chat(requests: AsyncIterator[bytes], send: Send, _: CallContext) -> None:
        async for request in requests:
            await send(request)

    front = make_front(
        "http2",
        Handlers(
            unary={"/t.S/Echo": echo, "/t.S/Refuse": refuse, "/t.S/Hang": hang},
            stream={"/t.S/Chat": chat},
        ),
        (Listen("127.0.0.1", 0),),
        max_request_bytes=1_572_864,
        on_handled=lambda *_: None,
    )
    (bound,) = await front.start()
    try:
        yield bound.port
    finally:
        await front.stop(0)


async def run(node: str, script: str, *words: str, path: str = "") -> dict[str, object]:
    process = await asyncio.create_subprocess_exec(
        node, "-e", script, "--", *words,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "NODE_PATH": path},
    )  # fmt: skip
    try:
        out, error = await asyncio.wait_for(process.communicate(), 40)
    finally:
        if process.returncode is None:
            process.kill()
    assert process.returncode == 0, error.decode()
    found: dict[str, object] = json.loads(out)
    return found


@pytest.mark.parametrize("padding", ["PADDING_STRATEGY_NONE", "PADDING_STRATEGY_MAX"])
@pytest.mark.parametrize("window", ["65535", "100", "10000000"])
async def test_nghttp2(program: Callable[[str], str], padding: str, window: str) -> None:
    async with served() as port:
        found = await run(program("node"), NGHTTP2, "x", str(port), padding, window)
    good = {"status": "0", "text": "", "same": True}
    assert found == {
        "small": good | {"length": 5},
        "large": good | {"length": 1_500_000},
        "refused": {"status": "9", "text": "not now", "length": 0, "same": True},
        "unknown": {"status": "12", "text": "unknown method Nope for service t.S", "length": 0, "same": True},
        "long": good | {"length": 1},
        "many": 500,
        "ping": True,
        "after": good | {"length": 5},
    }  # fmt: skip


async def test_grpc_js(program: Callable[[str], str]) -> None:
    path = os.environ.get("GRPC_JS", "")
    if not (Path(path) / "@grpc" / "grpc-js").is_dir():
        pytest.skip("GRPC_JS does not name a node_modules with @grpc/grpc-js")
    async with served() as port:
        found = await run(program("node"), GRPC_JS, "x", str(port), path=path)
    late = found.pop("late")
    assert isinstance(late, dict)
    assert late["code"] == 4
    assert found == {
        "small": {"code": 0, "text": "", "length": 5},
        "large": {"code": 0, "text": "", "length": 1_500_000},
        "refused": {"code": 9, "text": "not now", "length": 0},
        "many": 300,
        "chat": {"sizes": [1, 70_000, 1_000_000], "code": 0},
    }
