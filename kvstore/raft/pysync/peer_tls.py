"""TLS between members: contexts for both directions, reloaded when files change, and who may be a member."""

import ssl
from typing import Any

import structlog

from kvstore.base.tls_options import apply_options, carries_name, common_name
from kvstore.raft.replicator import PeerTls

log = structlog.get_logger(__name__)


class PeerContexts:
    """For listening and for dialling: each side must show a certificate of the peers' own authority.

    A certificate, key or revocation list that is replaced on disk is used for connections made from then on, a new
    authority beside the old one. Files that do not fit together (half of a pair is written) leave what was.
    """

    def __init__(self, tls: PeerTls | None) -> None:
        self._tls = tls
        self.server: ssl.SSLContext | None = None
        self.client: ssl.SSLContext | None = None
        if tls is None:
            return
        self._stamp = self._read_stamp()
        self.server = _context(ssl.PROTOCOL_TLS_SERVER, tls)
        self.client = _context(ssl.PROTOCOL_TLS_CLIENT, tls)

    def reload_if_changed(self) -> None:
        """Take what changed on disk since the last look."""
        tls, server, client = self._tls, self.server, self.client
        if tls is None or server is None or client is None:
            return
        stamp = self._read_stamp()
        if stamp == self._stamp:
            return
        self._stamp = stamp
        try:
            # Tried aside: half a change must not spoil the contexts in use.
            _context(ssl.PROTOCOL_TLS_SERVER, tls)
            for context in (server, client):
                _load(context, tls)
        except (OSError, ssl.SSLError) as error:
            log.warning("changed peer certificate files are not usable yet", error=str(error))
            # Looked at again next time, even if nothing changes: the other half may have come in the same moment.
            self._stamp = ()
        else:
            log.info("peer certificate files reloaded")

    def refusal(self, certificate: Any) -> str:
        """Why a verified certificate is not that of a member; empty if it is."""
        tls = self._tls
        if tls is None:
            return ""
        if tls.allowed_cn and common_name(certificate) != tls.allowed_cn:
            return f"its certificate's common name is {common_name(certificate)!r}"
        if tls.allowed_hostname and not carries_name(certificate, tls.allowed_hostname):
            return f"its certificate does not carry {tls.allowed_hostname!r}"
        return ""

    def _read_stamp(self) -> tuple[Any, ...]:
        found: list[Any] = []
        tls = self._tls
        if tls is not None:
            for path in (tls.cert_file, tls.key_file, tls.ca_file, tls.crl_file):
                if path is None:
                    continue
                try:
                    status = path.stat()
                except OSError:
                    found.append(None)
                else:
                    found.append((status.st_mtime_ns, status.st_size, status.st_ino))
        return tuple(found)


def _context(purpose: int, tls: PeerTls) -> ssl.SSLContext:
    context = ssl.SSLContext(purpose)
    # The authority signs members only, so its signature is the proof; addresses may change.
    context.check_hostname = False
    context.verify_mode = ssl.CERT_REQUIRED if tls.ca_file is not None else ssl.CERT_NONE
    _load(context, tls)
    return context


def _load(context: ssl.SSLContext, tls: PeerTls) -> None:
    apply_options(
        context,
        cipher_suites=tls.cipher_suites,
        min_version=tls.min_version,
        max_version=tls.max_version,
        crl_file=tls.crl_file if tls.ca_file is not None else None,
    )
    if tls.ca_file is not None:
        context.load_verify_locations(tls.ca_file)
    context.load_cert_chain(tls.cert_file, tls.key_file)
