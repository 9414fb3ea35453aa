"""Sockets and TLS of a front: bound addresses, certificates that may change while the front runs, revoked ones.

Certificate files are looked at on each handshake and read anew when they have changed, as etcd does; a pair that cannot
be loaded leaves the old one in use. Revocation is judged as etcd does, by the serial number alone.
"""

import asyncio
import contextlib
import errno
import os
import socket
import ssl
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from kvstore.base.accepting import Acceptor
from kvstore.base.log import get_logger
from kvstore.base.tls_options import apply_options, carries_name
from kvstore.wire.engine import Listen, ListenError, ServerTls

log = get_logger("kvstore.wire.h2")

_BACKLOG = 1024
HANDSHAKE_SECONDS = 20.0
SHUTDOWN_SECONDS = 1.0
"""How long a closing TLS connection waits for the client's own goodbye."""


def bind(listen: Listen) -> socket.socket:
    """A listening socket. Raises ListenError."""
    try:
        return _bind_unix(listen.unix_path) if listen.unix_path else _bind_tcp(listen)
    except OSError as error:
        reason = error.strerror or str(error)
        raise ListenError(f"cannot listen on {describe(listen)}: {reason}") from error


def describe(listen: Listen) -> str:
    """An address as people write it."""
    if listen.unix_path:
        return f"unix:{listen.unix_path}"
    return f"[{listen.host}]:{listen.port}" if ":" in listen.host else str(listen)


def bound_address(listen: Listen, listening: socket.socket) -> Listen:
    """The address with its real port."""
    if listen.unix_path:
        return listen
    return Listen(listen.host, int(listening.getsockname()[1]), tls=listen.tls)


def _bind_tcp(listen: Listen) -> socket.socket:
    found = socket.getaddrinfo(
        listen.host or None, listen.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    family, kind, protocol, _, address = found[0]
    listening = socket.socket(family, kind, protocol)
    try:
        listening.setblocking(False)
        # Not SO_REUSEPORT: a second member would silently share a taken port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            # Go serves both families on the wildcard address.
            listening.setsockopt(
                socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0 if listen.host == "::" else 1
            )
        listening.bind(address)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _bind_unix(path: str) -> socket.socket:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        listening.setblocking(False)
        _remove_stale(path)
        listening.bind(path)
        listening.listen(_BACKLOG)
    except BaseException:
        listening.close()
        raise
    return listening


def _remove_stale(path: str) -> None:
    """Remove the socket of a process that is gone; one that answers is in use."""
    if not Path(path).is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            Path(path).unlink(missing_ok=True)
        except BlockingIOError:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE)) from None
        else:
            raise OSError(errno.EADDRINUSE, os.strerror(errno.EADDRINUSE))


_Stamp = tuple[tuple[int, int, int], ...]


class Certificates:
    """The server's certificate and the authorities it trusts, as they are in the files now."""

    def __init__(self, tls: ServerTls, *, protocols: Sequence[str] = ("h2", "http/1.1")) -> None:
        self._tls = tls
        self._protocols = list(protocols)
        self._stamp = self._look()
        self._revoked: frozenset[int] = frozenset()
        try:
            self._current = self._load()
        except (OSError, ValueError) as error:
            raise ListenError(f"cannot use {tls.cert_file} and {tls.key_file}: {error}") from error
        # The context of the listening socket stays; each handshake swaps in the current one.
        self.context = self._current
        self.context.sni_callback = self._on_handshake

    def is_revoked(self, certificate: Any) -> bool:
        """Whether a client's certificate is on the list, or lacks the name that it must carry."""
        if self._tls.allowed_hostname and not carries_name(certificate, self._tls.allowed_hostname):
            return True
        if self._tls.crl_file is None:
            return False
        self._refresh()
        return int(certificate.get("serialNumber", "0"), 16) in self._revoked

    def _files(self) -> tuple[Path, ...]:
        tls = self._tls
        return tuple(one for one in (tls.cert_file, tls.key_file, tls.ca_file, tls.crl_file) if one)

    def _look(self) -> _Stamp:
        stamp = []
        for file in self._files():
            with contextlib.suppress(OSError):
                found = file.stat()
                stamp.append((found.st_ino, found.st_size, found.st_mtime_ns))
        return tuple(stamp)

    def _refresh(self) -> None:
        stamp = self._look()
        if stamp == self._stamp:
            return
        try:
            self._current = self._load()
        except (OSError, ValueError) as error:
            # Files are replaced one after the other: the next handshake tries again.
            log.warning("changed certificates cannot be used yet", error=str(error))
            return
        self._stamp = stamp
        log.info("changed certificates are in use", cert_file=str(self._tls.cert_file))

    def _load(self) -> ssl.SSLContext:
        tls = self._tls
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        apply_options(
            context,
            cipher_suites=tls.cipher_suites,
            min_version=tls.min_version,
            max_version=tls.max_version,
        )
        context.load_cert_chain(tls.cert_file, tls.key_file)
        context.set_alpn_protocols(self._protocols)
        # A resumed session would skip the look at the client's certificate, which may be revoked by now.
        context.options |= ssl.OP_NO_TICKET
        context.num_tickets = 0
        if tls.ca_file is not None:
            context.load_verify_locations(tls.ca_file)
            context.verify_mode = ssl.CERT_REQUIRED if tls.is_client_required else ssl.CERT_OPTIONAL
        if tls.crl_file is not None:
            self._revoked = _revoked_serials(tls.crl_file)
        return context

    def _on_handshake(self, tls: ssl.SSLObject, _: str | None, __: ssl.SSLContext) -> None:
        self._refresh()
        if tls.context is not self._current:
            tls.context = self._current


def _revoked_serials(file: Path) -> frozenset[int]:
    from cryptography import x509

    data = file.read_bytes()
    if b"-----BEGIN" in data:
        crl = x509.load_pem_x509_crl(data)
    else:
        crl = x509.load_der_x509_crl(data)
    return frozenset(one.serial_number for one in crl)


def serve(
    factory: Callable[[], asyncio.BaseProtocol],
    listening: socket.socket,
    certificates: Certificates | None,
    make_room: Callable[[], bool] = lambda: False,
) -> Acceptor:
    """Accept connections; `make_room` as `Acceptor` asks for it."""
    return Acceptor(
        factory,
        [listening],
        tls=certificates.context if certificates else None,
        handshake_seconds=HANDSHAKE_SECONDS,
        shutdown_seconds=SHUTDOWN_SECONDS,
        make_room=make_room,
    )
