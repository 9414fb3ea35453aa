"""TLS settings from flags: files, authorities, suites, versions, and certificates that are to be made."""

import os
import stat
from collections.abc import Mapping
from pathlib import Path

import msgspec

from kvstore.base.tls_options import openssl_suites
from kvstore.config.flags import Flags
from kvstore.raft.replicator import PeerTls
from kvstore.wire.engine import ServerTls

FIXTURES = "fixtures"
"""Where etcd keeps self-signed certificates inside the data directory."""


class AutoTls(msgspec.Struct, frozen=True):
    """Which certificates are to be made, in which folder, for how long."""

    client: Path | None = None
    peer: Path | None = None
    years: int = 1
    client_hosts: tuple[str, ...] = ()
    peer_hosts: tuple[str, ...] = ()


class TlsReader:
    """Reads both sides; mistakes go to `flags.problems`. `auto` is filled in on the way."""

    def __init__(self, flags: Flags, data_dir: Path) -> None:
        self._flags = flags
        self._values: Mapping[str, str] = flags.values
        self._fixtures = data_dir / FIXTURES
        self._suites = self._read_suites()
        self._min = flags.values["tls-min-version"]
        self._max = flags.values["tls-max-version"]
        if self._max not in ("", "TLS1.2", "TLS1.3"):
            flags.problems.append(f'unexpected TLS version "{self._max}"')
            self._max = ""
        if self._max and self._max < self._min:
            flags.problems.append(
                f"min version ({self._min}) is greater than max version ({self._max})"
            )
        self.auto = AutoTls(years=self._years())

    def client(self) -> ServerTls | None:
        """TLS of the client side."""
        flags = self._flags
        is_required = flags.boolean("client-cert-auth")
        ca = self._file("trusted-ca-file")
        if is_required and ca is None and self._wants_https("listen-client-urls"):
            flags.problems.append("--client-cert-auth needs --trusted-ca-file")
        pair = self._pair("cert-file", "key-file")
        if pair is None:
            if not flags.boolean("auto-tls") or not self._wants_https("listen-client-urls"):
                if flags.boolean("auto-tls"):
                    flags.warnings.append("--auto-tls has no effect: no client URL is https")
                return None
            folder = self._fixtures / "client"
            hosts = _hosts(flags, "listen-client-urls", "advertise-client-urls")
            self.auto = AutoTls(
                folder, self.auto.peer, self.auto.years, hosts, self.auto.peer_hosts
            )
            pair = folder / "cert.pem", folder / "key.pem"
        elif flags.boolean("auto-tls"):
            flags.warnings.append("ignoring client auto TLS since certs given")
        return ServerTls(
            *pair,
            ca,
            is_required,
            crl_file=self._file("client-crl-file"),
            cipher_suites=self._suites,
            min_version=self._min,
            max_version=self._max,
            allowed_hostname=self._values["client-cert-allowed-hostname"],
        )

    def peer(self) -> PeerTls | None:
        """TLS between members; mutual whenever there is an authority."""
        flags = self._flags
        pair = self._pair("peer-cert-file", "peer-key-file")
        ca = self._file("peer-trusted-ca-file")
        if pair is None:
            if not flags.boolean("peer-auto-tls") or not self._wants_https("listen-peer-urls"):
                return None
            folder = self._fixtures / "peer"
            hosts = _hosts(flags, "listen-peer-urls", "initial-advertise-peer-urls")
            self.auto = AutoTls(
                self.auto.client, folder, self.auto.years, self.auto.client_hosts, hosts
            )
            pair = folder / "cert.pem", folder / "key.pem"
        elif ca is None:
            flags.problems.append(
                "--peer-cert-file and --peer-key-file need --peer-trusted-ca-file: members are verified by it"
            )
            return None
        cn, hostname = (
            self._values["peer-cert-allowed-cn"],
            self._values["peer-cert-allowed-hostname"],
        )
        if cn and hostname:
            flags.problems.append(
                "peer-cert-allowed-cn and peer-cert-allowed-hostname cannot be used at the same time"
            )
        return PeerTls(
            *pair,
            ca,
            crl_file=self._file("peer-crl-file"),
            cipher_suites=self._suites,
            min_version=self._min,
            max_version=self._max,
            allowed_cn=cn,
            allowed_hostname=hostname,
        )

    def _wants_https(self, name: str) -> bool:
        return any(
            url.strip().startswith(("https://", "unixs://"))
            for url in self._values[name].split(",")
        )

    def _pair(self, cert_flag: str, key_flag: str) -> tuple[Path, Path] | None:
        cert, key = self._values[cert_flag], self._values[key_flag]
        if not cert and not key:
            return None
        if not cert or not key:
            self._flags.problems.append(
                f"KeyFile and CertFile must both be present[key: {key}, cert: {cert}]"
            )
            return None
        cert_path, key_path = self._file(cert_flag), self._file(key_flag)
        if key_path is not None:
            self._warn_if_open(key_flag, key_path)
        return (Path(cert), Path(key)) if cert_path and key_path else None

    def _warn_if_open(self, name: str, path: Path) -> None:
        mode = path.stat().st_mode
        if mode & (stat.S_IROTH | stat.S_IWOTH | stat.S_IWGRP):
            self._flags.warnings.append(
                f"--{name}: {path} can be read or written by others (mode {stat.S_IMODE(mode):04o}); "
                f"make it private: chmod 600 {path}"
            )

    def _file(self, name: str) -> Path | None:
        """A path that must be a readable file if given."""
        text = self._values[name]
        if not text:
            return None
        path = Path(text)
        if not path.exists():
            self._flags.problems.append(f"--{name}: open {text}: no such file or directory")
            return None
        if not path.is_file() or not os.access(path, os.R_OK):
            self._flags.problems.append(
                f"--{name}: open {text}: "
                + ("permission denied" if path.is_file() else "it is not a file")
            )
            return None
        return path

    def _read_suites(self) -> tuple[str, ...]:
        names = [one.strip() for one in self._values["cipher-suites"].split(",") if one.strip()]
        try:
            return openssl_suites(names)
        except ValueError as error:
            self._flags.problems.append(str(error))
            return ()

    def _years(self) -> int:
        years = int(self._values["self-signed-cert-validity"], 0)
        if years < 1 and (self._flags.boolean("auto-tls") or self._flags.boolean("peer-auto-tls")):
            self._flags.problems.append(
                "selfSignedCertValidity is invalid,it should be greater than 0"
            )
        return max(1, years)


def _hosts(flags: Flags, *names: str) -> tuple[str, ...]:
    """Hosts that a self-signed certificate must carry."""
    from urllib.parse import urlsplit

    found = ["localhost", "127.0.0.1"]
    for name in names:
        for url in flags.values[name].split(","):
            host = urlsplit(url.strip()).hostname
            if host:
                found.append(host)
    return tuple(dict.fromkeys(found))
