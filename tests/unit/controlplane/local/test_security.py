"""What `quorate security-check` says of what was seen: each finding by a table of good and bad sights."""

from pathlib import Path
from typing import Any

import pytest

from controlplane.local import security
from controlplane.local.security import FAILED, PASSED, WARNED, Finding

Obj = dict[str, Any]


def role(name: str, *rules: Obj) -> Obj:
    return {"metadata": {"name": name}, "rules": list(rules)}


def binding(role_name: str, *groups: str) -> Obj:
    return {
        "metadata": {"name": f"b-{role_name}"},
        "roleRef": {"name": role_name},
        "subjects": [{"kind": "Group", "name": group} for group in groups],
    }


READ = {"verbs": ["get", "list"], "resources": ["pods"]}
READ_SECRETS = {"verbs": ["get"], "resources": ["secrets"]}
WRITE = {"verbs": ["create"], "resources": ["pods"]}
ROLES = [
    role("read", READ),
    role("secrets", READ_SECRETS),
    role("write", WRITE),
    role("paths", {"verbs": ["get"], "nonResourceURLs": ["/x"]}),
    role("system:discovery"),
]


@pytest.mark.parametrize(
    ("given", "outcome"),
    [
        ([binding("write", "dev")], PASSED),
        ([binding("system:discovery", "system:authenticated")], PASSED),
        ([binding("read", "system:authenticated")], WARNED),
        ([binding("paths", "system:authenticated")], WARNED),
        ([binding("write", "system:authenticated")], FAILED),
        ([binding("secrets", "system:serviceaccounts")], FAILED),
        ([binding("read", "system:unauthenticated")], FAILED),
    ],
    ids=[
        *("somebody", "upstream's own", "reading", "paths", "writing", "secrets"),
        "reading by nobody known",
    ],
)
def test_roles_of_everybody(given: list[Obj], outcome: str) -> None:
    assert security.bindings(ROLES, given).outcome == outcome


@pytest.mark.parametrize(
    ("finding", "outcome"),
    [
        (security.anonymous([("m", "/api", 401), ("m", "/metrics", 403)]), PASSED),
        (security.anonymous([("m", "/api", 401), ("m", "/metrics", 200)]), FAILED),
        (security.kubelets([("n", "/pods", 401), ("n", "/exec", 403)]), PASSED),
        (security.kubelets([("n", "/pods", 200)]), FAILED),
        (security.kubelets([]), WARNED),
        (security.transport([("m", ""), ("n", "")]), PASSED),
        (security.transport([("m", "TLS 1.1")]), FAILED),
        (security.certificates([("a", 1e9), ("b", 2e9)], 0.0), PASSED),
        (security.certificates([("a", 1e6), ("b", 2e9)], 0.0), WARNED),
        (security.certificates([("a", 1.0), ("b", 2e9)], 2.0), FAILED),
        (security.encryption([]), PASSED),
        (security.encryption([("s", b"k8s:enc:aesgcm:v1:k:x")]), PASSED),
        (security.encryption([("s", b"k8s:enc:x"), ("t", b"{}")]), FAILED),
        (security.store([("a", False)], has_tls=True), PASSED),
        (security.store([("a", False), ("b", True)], has_tls=True), FAILED),
        (security.store([], has_tls=False), FAILED),
        (security.administrators([binding("cluster-admin", "system:masters")]), PASSED),
        (security.administrators([binding("cluster-admin", "dev")]), WARNED),
        (security.tokens([{"metadata": {}, "type": "Opaque"}]), PASSED),
        (
            security.tokens([{"metadata": {}, "type": "kubernetes.io/service-account-token"}]),
            WARNED,
        ),
        (security.namespaces([{"metadata": {"name": "kube-system"}}]), PASSED),
        (security.namespaces([{"metadata": {"name": "default"}}]), WARNED),
        (security.audit(True, 1), PASSED),
        (security.audit(False, 0), WARNED),
        (security.addresses([("a", "127.0.0.1"), ("b", "::1")]), PASSED),
        (security.addresses([("a", "0.0.0.0")]), WARNED),
    ],
)
def test_findings(finding: Finding, outcome: str) -> None:
    assert finding.outcome == outcome
    assert security.words(finding).startswith(
        {PASSED: "ok    ", WARNED: "warn  ", FAILED: "FAIL  "}[outcome]
    )


def test_keys_that_others_may_read(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "pki").mkdir()
    for name, mode in (("pki/ca.key", 0o600), ("kubeconfig", 0o600), ("pki/ca.crt", 0o644)):
        (tmp_path / name).write_text("x")
        (tmp_path / name).chmod(mode)
    assert security.files(security.modes(tmp_path)).outcome == PASSED
    (tmp_path / "kubeconfig").chmod(0o640)
    found = security.files(security.modes(tmp_path))
    assert found.outcome == FAILED
    assert "kubeconfig (0640)" in found.detail
    (tmp_path / "kubeconfig").chmod(0o600)
    tmp_path.chmod(0o755)
    assert security.files(security.modes(tmp_path)).outcome == FAILED


def test_the_exit_code_tells_failures_alone() -> None:
    assert security.exit_code([Finding("a", PASSED, ""), Finding("b", WARNED, "")]) == 0
    assert security.exit_code([Finding("a", PASSED, ""), Finding("b", FAILED, "")]) == 1
