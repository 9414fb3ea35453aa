"""Events by POST to a server that a kubeconfig names: an EventList at a time, tried again when that may help.

Source: apiserver/plugin/pkg/audit/webhook and apiserver/pkg/util/webhook.
"""

import asyncio
import base64
import binascii
import os
import random
import ssl
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import yaml

from controlplane.apiserver.audit.event import Event
from controlplane.apiserver.audit.policy import GROUP_VERSION
from kvstore.base.clock import Clock
from kvstore.base.log import get_logger

_TRIES = 5
_GROWTH = 1.5
_JITTER = 0.2
_TIMEOUT_SECONDS = 30.0
_HEAD = (
    msgspec.json.encode({"kind": "EventList", "apiVersion": GROUP_VERSION, "metadata": {}})[:-1]
    + b',"items":['
)

log = get_logger(__name__)


class WebhookFileError(ValueError):
    """The kubeconfig cannot be used; the message says why."""


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where events go, and how we show who we are. PEM texts; empty for none."""

    url: str
    authority: bytes = b""
    certificate: bytes = b""
    key: bytes = b""
    token: str = ""
    server_name: str = ""
    skips_verification: bool = False

    def tls(self) -> ssl.SSLContext:
        """The client's side of TLS."""
        context = ssl.create_default_context()
        if self.authority:
            context = ssl.create_default_context(cadata=self.authority.decode())
        if self.skips_verification:
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
        if self.certificate:
            # The library reads a client's certificate from files only.
            handle, path = tempfile.mkstemp()
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(self.certificate + b"\n" + self.key)
                context.load_cert_chain(path)
            finally:
                os.unlink(path)
        return context


def read_receiver(path: str) -> Receiver:
    """The current context of a kubeconfig. WebhookFileError."""
    file = Path(path)
    try:
        document = yaml.safe_load(file.read_text(encoding="utf-8"))
        context = _named(
            document, "contexts", str(document.get("current-context") or ""), "context"
        )
        cluster = _named(document, "clusters", str(context.get("cluster") or ""), "cluster")
        user: dict[str, Any] = {}
        if context.get("user"):
            user = _named(document, "users", str(context["user"]), "user")
        token = str(user.get("token") or "")
        if user.get("tokenFile"):
            token = (file.parent / user["tokenFile"]).read_text(encoding="utf-8").strip()
        return Receiver(
            url=str(cluster["server"]),
            authority=_pem(cluster, "certificate-authority", file.parent),
            certificate=_pem(user, "client-certificate", file.parent),
            key=_pem(user, "client-key", file.parent),
            token=token,
            server_name=str(cluster.get("tls-server-name") or ""),
            skips_verification=bool(cluster.get("insecure-skip-tls-verify")),
        )
    except (OSError, ValueError, yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise WebhookFileError(f"{path}: {error}") from error


def _named(document: dict[str, Any], table: str, name: str, part: str) -> dict[str, Any]:
    for entry in document.get(table) or ():
        if entry.get("name") == name:
            return entry.get(part) or {}
    raise ValueError(f"there is no {part} {name!r}")


def _pem(table: dict[str, Any], key: str, folder: Path) -> bytes:
    if table.get(f"{key}-data"):
        try:
            return base64.b64decode(table[f"{key}-data"], validate=True)
        except binascii.Error as error:
            raise ValueError(f"{key}-data: {error}") from error
    return (folder / table[key]).read_bytes() if table.get(key) else b""


class Webhook:
    """The sink."""

    def __init__(
        self,
        receiver: Receiver,
        clock: Clock,
        rng: random.Random,
        *,
        initial_backoff_seconds: float = 10.0,
        on_error: Callable[[], None] = lambda: None,
    ) -> None:
        self._receiver = receiver
        self._clock = clock
        self._rng = rng
        self._first_wait = initial_backoff_seconds
        self._on_error = on_error
        self._session: aiohttp.ClientSession | None = None

    async def emit(self, events: Sequence[Event]) -> bool:
        """See `Sink.emit`."""
        body = _HEAD + b",".join(event.item for event in events) + b"]}"
        wait = self._first_wait
        for attempt in range(_TRIES):
            problem, may_help = await self._post(body)
            if not problem:
                return True
            if not may_help or attempt == _TRIES - 1:
                break
            await self._clock.sleep(wait * (1 + _JITTER * self._rng.random()))
            wait *= _GROWTH
        log.error("audit events not sent", error=problem, events=len(events))
        self._on_error()
        return False

    async def _post(self, body: bytes) -> tuple[str, bool]:
        """What is wrong, empty when nothing is, and whether trying again may help."""
        headers = {"Content-Type": "application/json"}
        if self._receiver.token:
            headers["Authorization"] = f"Bearer {self._receiver.token}"
        if self._session is None:
            tls = self._receiver.tls() if self._receiver.url.startswith("https:") else True
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(ssl=tls, limit=4), trust_env=False
            )
        try:
            async with asyncio.timeout(_TIMEOUT_SECONDS):
                async with self._session.post(
                    self._receiver.url,
                    data=body,
                    headers=headers,
                    allow_redirects=False,
                    server_hostname=self._receiver.server_name or None,
                ) as response:
                    await response.read()
                    code = response.status
        except (TimeoutError, aiohttp.ClientError, OSError) as error:
            return str(error) or type(error).__name__, True
        if 200 <= code < 300:
            return "", False
        return f"answered {code}", code >= 500 or code == 429

    async def close(self) -> None:
        """See `Sink.close`."""
        if self._session is not None:
            await self._session.close()
            self._session = None
