"""Who is in the cluster and where one listens: URL flags and `--initial-cluster`, with etcd's rules and words."""

import ipaddress
from urllib.parse import urlsplit

import msgspec

from kvstore.config.flags import Flags, url_problem
from kvstore.raft.replicator import MemberId, PeerTls
from kvstore.service.cluster import member_id_of
from kvstore.wire.engine import Listen, ServerTls


class Members(msgspec.Struct, frozen=True):
    """The members that the flags name."""

    peer_urls: dict[MemberId, tuple[str, ...]]
    names: dict[str, MemberId]
    own_id: MemberId
    addresses: dict[MemberId, tuple[str, int]]

    @property
    def is_secure(self) -> bool:
        """Whether peers are reached by https."""
        return any(url.startswith("https") for urls in self.peer_urls.values() for url in urls)


def address_of(url: str) -> tuple[str, int]:
    """(host, port) of a URL that was checked."""
    parts = urlsplit(url)
    return host_of(parts.hostname), parts.port or 0


def host_of(name: str | None) -> str:
    """The address to bind or dial for a URL's host."""
    return "127.0.0.1" if name in (None, "", "localhost") else str(name)


def split_urls(text: str) -> tuple[str, ...]:
    """A comma list."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def listens_of(flags: Flags, name: str, tls: ServerTls | None) -> tuple[Listen, ...]:
    """Where flag `name` says to listen."""
    listens = []
    for url in split_urls(flags.values[name]):
        parts = urlsplit(url)
        is_secure = parts.scheme in ("https", "unixs")
        if is_secure and tls is None and name != "listen-peer-urls":
            flags.problems.append(
                f"TLS key/cert (--cert-file, --key-file) must be provided for client url {url} with HTTPS scheme"
            )
        if not is_secure and tls is not None and name == "listen-client-urls":
            flags.warnings.append(
                f"scheme is HTTP while key and cert files are present; ignoring key and cert files for {url}"
            )
        used = tls if is_secure else None
        if parts.scheme in ("unix", "unixs"):
            listens.append(Listen(unix_path=parts.netloc + parts.path, tls=used))
            continue
        if not _is_bindable(parts.hostname):
            flags.problems.append(f"expected IP in URL for binding ({url})")
            continue
        listens.append(Listen(host_of(parts.hostname), parts.port or 0, tls=used))
    if not listens and name in ("listen-client-urls", "listen-peer-urls") and not flags.problems:
        flags.problems.append(f"--{name} must name at least one URL")
    return tuple(listens)


def _is_bindable(host: str | None) -> bool:
    if host in (None, "", "localhost"):
        return True
    try:
        ipaddress.ip_address(str(host))
    except ValueError:
        return False
    return True


def read_members(flags: Flags, tls: PeerTls | None) -> Members:
    """All members, and which one this is."""
    name, token = flags.values["name"], flags.values["initial-cluster-token"]
    own_urls = split_urls(flags.values["initial-advertise-peer-urls"])
    text = flags.values["initial-cluster"] or ",".join(f"{name}={url}" for url in own_urls)
    by_name = _by_name(flags, text)
    if not flags.problems:
        if name not in by_name:
            flags.problems.append(
                f'couldn\'t find local name "{name}" in the initial cluster configuration'
            )
        else:
            _check_own(flags, name, by_name[name], own_urls)
    urls_of_all = [url for urls in by_name.values() for url in urls]
    if len(set(urls_of_all)) != len(urls_of_all):
        flags.problems.append(f"initial cluster {text} has duplicate url")
    names = {one: member_id_of(urls, token) for one, urls in by_name.items()}
    peer_urls = {names[one]: tuple(urls) for one, urls in by_name.items()}
    addresses: dict[MemberId, tuple[str, int]] = {}
    for member_id, urls in peer_urls.items():
        if urls[0].startswith("unix"):
            flags.problems.append(f"peer URL {urls[0]}: members talk over TCP only")
        elif not url_problem(urls[0]):
            addresses[member_id] = address_of(urls[0])
    members = Members(peer_urls, names, names.get(name, member_id_of(own_urls, token)), addresses)
    if members.is_secure and tls is None:
        flags.problems.append(
            f"cannot listen on TLS for {own_urls[0] if own_urls else 'peers'}: KeyFile and CertFile are not presented"
        )
    return members


def _by_name(flags: Flags, text: str) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        member, _, url = part.partition("=")
        wrong = url_problem(url)
        if wrong or not member:
            flags.problems.append(
                f"error setting up initial cluster: {wrong or 'empty name in ' + part}"
            )
            continue
        by_name.setdefault(member, []).append(url)
    return by_name


def _check_own(flags: Flags, name: str, listed: list[str], own: tuple[str, ...]) -> None:
    listed, advertised = sorted(listed), sorted(own)
    if listed == advertised:
        return
    pairs = zip(advertised, listed, strict=False)
    differing = next((pair for pair in pairs if pair[0] != pair[1]), None)
    if differing is None:
        reason = f"len({advertised}) != len({listed})"
    else:
        reason = '"{0}"(resolved from "{0}") != "{1}"(resolved from "{1}")'.format(*differing)
    flags.problems.append(
        f"--initial-cluster has {name}={','.join(listed)} but missing from "
        f"--initial-advertise-peer-urls={','.join(own)} ({reason})"
    )
