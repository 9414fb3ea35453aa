"""What a running cluster's protection is worth, looked at from outside: each check is a finding in words.

The pure part judges what was seen (files, answers, objects); `security_probe.py` goes and looks. A failure is
something that lets in who should be kept out; a warning is what an operator should know and may want.
"""

import stat
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controlplane.api import meta
from controlplane.api.meta import Obj

PASSED, WARNED, FAILED = "passed", "warning", "failed"

_EVERYBODY = (
    "system:anonymous",
    "system:unauthenticated",
    "system:authenticated",
    "system:serviceaccounts",
)
_NOBODY = ("system:anonymous", "system:unauthenticated")
# What upstream itself grants to everybody: discovery, health, and reviews of oneself.
_GRANTED_TO_ALL = (
    *("system:basic-user", "system:discovery", "system:public-info-viewer"),
    "system:service-account-issuer-discovery",
)
_SUPERUSERS = "system:masters"
_SECRET_ENDINGS = (".key", ".token")
_SECRET_NAMES = ("kubeconfig", "encryption.yaml", "audit-policy.yaml")
_EXPIRES_SOON_SECONDS = 14 * 24 * 3600
_LEGACY_TOKEN = "kubernetes.io/service-account-token"
_ENFORCED = "pod-security.kubernetes.io/enforce"
_SYSTEM_NAMESPACES = ("kube-system", "kube-public", "kube-node-lease")


@dataclass(frozen=True, slots=True)
class Finding:
    """The outcome of one check; `detail` says what was seen, and what to do where something is wrong."""

    check: str
    outcome: str
    detail: str


@dataclass(frozen=True, slots=True)
class Mode:
    """A file's or folder's permission bits, without the type."""

    path: Path
    bits: int
    is_folder: bool


def modes(state_dir: Path) -> list[Mode]:
    """The state folder itself, and everything in it that holds a key, as far as it can be read."""
    found = [_mode(state_dir)]
    for path in sorted(state_dir.rglob("*")):
        is_private = path.suffix in _SECRET_ENDINGS or any(
            name in path.name for name in _SECRET_NAMES
        )
        if is_private and path.is_file() and not path.is_symlink():
            found.append(_mode(path))
    return found


def _mode(path: Path) -> Mode:
    info = path.stat()
    return Mode(path, stat.S_IMODE(info.st_mode), stat.S_ISDIR(info.st_mode))


def files(found: Sequence[Mode]) -> Finding:
    """Keys and kubeconfigs are their owner's alone."""
    check = "keys and kubeconfigs are readable by their owner alone"
    wrong = [one for one in found if one.bits & 0o077]
    if not wrong:
        return Finding(check, PASSED, f"{len(found)} files and folders")
    shown = ", ".join(f"{one.path} ({one.bits:04o})" for one in wrong[:5])
    return Finding(check, FAILED, f"open to others: {shown}; chmod go= them")


def anonymous(answers: Iterable[tuple[str, str, int]]) -> Finding:
    """Requests without a credential: (server, path, code) of paths that are not for everybody."""
    check = "API servers let nobody in without a credential"
    seen = list(answers)
    let_in = [f"{server}{path} answered {code}" for server, path, code in seen if code < 400]
    if let_in:
        return Finding(check, FAILED, "; ".join(let_in[:5]))
    return Finding(check, PASSED, f"{len(seen)} requests refused")


def kubelets(answers: Iterable[tuple[str, str, int]]) -> Finding:
    """Requests to nodes without a credential, or with one that grants nothing there: (who, path, code)."""
    check = "nodes answer only those who may ask them"
    seen = list(answers)
    let_in = [f"{who}{path} answered {code}" for who, path, code in seen if code < 400]
    if let_in:
        return Finding(check, FAILED, "; ".join(let_in[:5]))
    if not seen:
        return Finding(check, WARNED, "there is no node that could be asked")
    return Finding(check, PASSED, f"{len(seen)} requests refused")


def transport(answers: Iterable[tuple[str, str]]) -> Finding:
    """What each server has said to a client without TLS, or to one of an old version: (server, what it took)."""
    check = "servers speak TLS 1.2 and later only"
    taken = [f"{server} took {what}" for server, what in answers if what]
    if taken:
        return Finding(check, FAILED, "; ".join(taken[:5]))
    return Finding(check, PASSED, "no server took a plain connection or an older version")


def certificates(expiries: Iterable[tuple[str, float]], now: float) -> Finding:
    """When certificates end, in Unix time."""
    check = "certificates are valid"
    known = list(expiries)
    over = [name for name, end in known if end <= now]
    if over:
        return Finding(check, FAILED, f"expired: {', '.join(over[:5])}; start the cluster again")
    soon = [name for name, end in known if end - now < _EXPIRES_SOON_SECONDS]
    if soon:
        return Finding(check, WARNED, f"end within two weeks: {', '.join(soon[:5])}")
    return Finding(check, PASSED, f"{len(known)} certificates")


def encryption(values: Iterable[tuple[str, bytes]]) -> Finding:
    """Secrets as the store has them: (key, value)."""
    check = "Secrets are encrypted in the store"
    known = list(values)
    plain = [key for key, value in known if not value.startswith(b"k8s:enc:")]
    if plain:
        return Finding(
            check,
            FAILED,
            f"{len(plain)} of {len(known)} are plain, such as {plain[0]}; switch encrypt_secrets on and "
            "write them anew: kubectl get secrets -A -o json | kubectl replace -f -",
        )
    if not known:
        return Finding(check, PASSED, "there is none yet")
    return Finding(check, PASSED, f"{len(known)} Secrets")


def store(answers: Iterable[tuple[str, bool]], *, has_tls: bool) -> Finding:
    """Whether store members gave data to a client without a certificate: (endpoint, did it)."""
    check = "the store is closed to those without a certificate"
    if not has_tls:
        return Finding(check, FAILED, "store_tls is off: whoever reaches the port reads everything")
    gave = [endpoint for endpoint, did in answers if did]
    if gave:
        return Finding(check, FAILED, f"answered without a certificate: {', '.join(gave)}")
    return Finding(check, PASSED, "no member answered")


def bindings(roles: Sequence[Obj], cluster_bindings: Sequence[Obj]) -> Finding:
    """Roles that are given to everybody, or to nobody in particular."""
    check = "no role of weight is bound to everybody"
    rules = {meta.name(role): role.get("rules") or [] for role in roles}
    wide, warned = [], []
    for binding in cluster_bindings:
        role = (binding.get("roleRef") or {}).get("name") or ""
        for subject in binding.get("subjects") or ():
            who = subject.get("name") or ""
            if who not in _EVERYBODY or role in _GRANTED_TO_ALL:
                continue
            shown = f"{meta.name(binding)} gives {role} to {who}"
            if who in _NOBODY or _is_weighty(rules.get(role, [])):
                wide.append(shown)
            else:
                warned.append(shown)
    if wide:
        return Finding(check, FAILED, "; ".join(wide[:5]))
    if warned:
        return Finding(check, WARNED, "; ".join(warned[:5]))
    return Finding(check, PASSED, f"{len(cluster_bindings)} bindings")


def _is_weighty(rules: Sequence[Obj]) -> bool:
    """Whether rules let somebody change things, or read Secrets."""
    reads = {"get", "list", "watch"}
    for rule in rules:
        verbs, resources = set(rule.get("verbs") or ()), rule.get("resources") or ()
        if not resources:
            continue
        if verbs - reads or "secrets" in resources or "*" in resources:
            return True
    return False


def administrators(cluster_bindings: Sequence[Obj]) -> Finding:
    """Who has cluster-admin beside the superusers."""
    check = "cluster-admin is bound to few"
    found = [
        f"{subject.get('kind')} {subject.get('name')}"
        for binding in cluster_bindings
        if (binding.get("roleRef") or {}).get("name") == "cluster-admin"
        for subject in binding.get("subjects") or ()
        if subject.get("name") != _SUPERUSERS
    ]
    if found:
        return Finding(check, WARNED, f"also {', '.join(found[:5])}")
    return Finding(check, PASSED, f"only the group {_SUPERUSERS}")


def tokens(secrets: Sequence[Obj]) -> Finding:
    """Tokens that never expire."""
    check = "no token of a service account lasts for ever"
    found = [
        f"{meta.namespace(one)}/{meta.name(one)}"
        for one in secrets
        if one.get("type") == _LEGACY_TOKEN
    ]
    if found:
        return Finding(check, WARNED, f"Secrets with such tokens: {', '.join(found[:5])}")
    return Finding(check, PASSED, "none is kept in a Secret")


def namespaces(found: Sequence[Obj]) -> Finding:
    """Namespaces whose pods may do anything."""
    check = "pods are held to a security standard"
    free = [
        meta.name(one)
        for one in found
        if _ENFORCED not in meta.labels(one) and meta.name(one) not in _SYSTEM_NAMESPACES
    ]
    if free:
        return Finding(
            check,
            WARNED,
            f"namespaces without {_ENFORCED}: {', '.join(free[:5])}; label them baseline or restricted",
        )
    return Finding(check, PASSED, "every namespace enforces one")


def audit(is_on: bool, bytes_written: int) -> Finding:
    """Whether what is done is written down."""
    check = "an audit log is written"
    if not is_on:
        return Finding(check, WARNED, "[audit] is off: nobody can tell who has done what")
    return Finding(check, PASSED, f"{bytes_written} bytes so far")


def addresses(listening: Iterable[tuple[str, str]]) -> Finding:
    """Where servers listen: (name, address)."""
    check = "servers are reached from this machine alone"
    known = list(listening)
    wide = [f"{name} on {address}" for name, address in known if not _is_loopback(address)]
    if wide:
        return Finding(check, WARNED, f"others reach {', '.join(wide[:5])}")
    return Finding(check, PASSED, f"{len(known)} addresses, all of the loopback range")


def _is_loopback(address: str) -> bool:
    return address.startswith("127.") or address in ("::1", "localhost")


def exit_code(findings: Iterable[Finding]) -> int:
    """0 when nothing has failed, else 1."""
    return 1 if any(one.outcome == FAILED for one in findings) else 0


def words(finding: Finding) -> str:
    """A finding as a line."""
    mark = {PASSED: "ok  ", WARNED: "warn", FAILED: "FAIL"}[finding.outcome]
    return f"{mark}  {finding.check}: {finding.detail}"


def as_json(findings: Iterable[Finding]) -> list[dict[str, Any]]:
    """Findings for programs."""
    return [{"check": one.check, "outcome": one.outcome, "detail": one.detail} for one in findings]
