"""The Pod Security Standards, with the original's words as recorded."""

from typing import Any

import pytest

from controlplane.api.meta import Obj
from controlplane.kinds.core.pod.security import BASELINE, PRIVILEGED, RESTRICTED, told, violations

ESCALATION = (
    'allowPrivilegeEscalation != false (container "c" must set '
    "securityContext.allowPrivilegeEscalation=false)"
)
CAPABILITIES = (
    'unrestricted capabilities (container "c" must set securityContext.capabilities.drop=["ALL"])'
)
NON_ROOT = 'runAsNonRoot != true (pod or container "c" must set securityContext.runAsNonRoot=true)'
SECCOMP = (
    'seccompProfile (pod or container "c" must set securityContext.seccompProfile.type to '
    '"RuntimeDefault" or "Localhost")'
)
HOST = "host namespaces (hostNetwork=true, hostPID=true, hostIPC=true)"
SELINUX = (
    'seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: type "x"; user may not be '
    "set; role may not be set)"
)


def spec(*, context: Obj | None = None, container: Obj | None = None, **fields: Any) -> Obj:
    own = {"name": "c", "image": "nginx", **(container or {})}
    return {"containers": [own], **({"securityContext": context} if context else {}), **fields}


def secured(**context: Any) -> Obj:
    return {"securityContext": context}


HOSTS = {"hostNetwork": True, "hostPID": True, "hostIPC": True}
OPTIONS = {"seLinuxOptions": {"type": "x", "user": "u", "role": "r"}}
SYSCTL = {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]}
PROBE = {"livenessProbe": {"httpGet": {"host": "1.2.3.4", "port": 80}}}
FINE = spec(
    context={"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    container=secured(allowPrivilegeEscalation=False, capabilities={"drop": ["ALL"]}),
)


@pytest.mark.parametrize(
    ("pod", "text"),
    [
        (spec(), ""),
        (spec(**HOSTS), HOST),
        (spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]), 'hostPath volumes (volume "v")'),
        (
            spec(container={"ports": [{"containerPort": 80, "hostPort": 80}]}),
            'hostPort (container "c" uses hostPort 80)',
        ),
        (
            spec(container=secured(privileged=True)),
            'privileged (container "c" must not set securityContext.privileged=true)',
        ),
        (
            spec(container=PROBE),
            'probe or lifecycle host (container "c" uses probe or lifecycle host "1.2.3.4")',
        ),
        (
            spec(container=secured(capabilities={"add": ["NET_ADMIN", "CHOWN"]})),
            'non-default capabilities (container "c" must not include "NET_ADMIN" in '
            "securityContext.capabilities.add)",
        ),
        (
            spec(container=secured(appArmorProfile={"type": "Unconfined"})),
            'forbidden AppArmor profile (container "c" must not set AppArmor profile type to '
            '"Unconfined")',
        ),
        (
            spec(context={"seccompProfile": {"type": "Unconfined"}}),
            'seccompProfile (pod must not set securityContext.seccompProfile.type to "Unconfined")',
        ),
        (spec(context=OPTIONS), SELINUX),
        (spec(context=SYSCTL), "forbidden sysctls (kernel.msgmax)"),
    ],
    ids=[
        "plain",
        "host namespaces",
        "host path",
        "host port",
        "privileged",
        "probe host",
        "capability",
        "apparmor",
        "seccomp unconfined",
        "selinux",
        "sysctl",
    ],
)
def test_baseline(pod: Obj, text: str) -> None:
    assert told(violations(BASELINE, {}, pod)) == text
    assert violations(PRIVILEGED, {}, pod) == []


@pytest.mark.parametrize(
    ("pod", "texts"),
    [
        (FINE, []),
        (spec(), [ESCALATION, CAPABILITIES, NON_ROOT, SECCOMP]),
        (spec(**HOSTS), [HOST, ESCALATION, CAPABILITIES, NON_ROOT, SECCOMP]),
        (
            spec(volumes=[{"name": "v", "hostPath": {"path": "/"}}]),
            [
                ESCALATION,
                CAPABILITIES,
                'restricted volume types (volume "v" uses restricted volume type "hostPath")',
                NON_ROOT,
                SECCOMP,
            ],
        ),
        (
            spec(
                volumes=[
                    {"name": "v", "nfs": {"server": "s", "path": "/"}},
                    {"name": "w", "gitRepo": {"repository": "r"}},
                ]
            ),
            [
                ESCALATION,
                CAPABILITIES,
                'restricted volume types (volumes "v", "w" use restricted volume types "gitRepo", '
                '"nfs")',
                NON_ROOT,
                SECCOMP,
            ],
        ),
        (
            spec(container=secured(capabilities={"add": ["NET_ADMIN", "CHOWN"]})),
            [
                ESCALATION,
                'unrestricted capabilities (container "c" must set '
                'securityContext.capabilities.drop=["ALL"]; container "c" must not include '
                '"CHOWN", "NET_ADMIN" in securityContext.capabilities.add)',
                NON_ROOT,
                SECCOMP,
            ],
        ),
        (
            spec(context={"runAsUser": 0}),
            [
                ESCALATION,
                CAPABILITIES,
                NON_ROOT,
                "runAsUser=0 (pod must not set runAsUser=0)",
                SECCOMP,
            ],
        ),
        (
            spec(container=secured(runAsNonRoot=False)),
            [
                ESCALATION,
                CAPABILITIES,
                'runAsNonRoot != true (container "c" must not set '
                "securityContext.runAsNonRoot=false)",
                SECCOMP,
            ],
        ),
        (
            spec(context={"seccompProfile": {"type": "Unconfined"}}),
            [
                ESCALATION,
                CAPABILITIES,
                NON_ROOT,
                "seccompProfile (pod must not set securityContext.seccompProfile.type to "
                '"Unconfined")',
            ],
        ),
        (spec(context=OPTIONS), [SELINUX, ESCALATION, CAPABILITIES, NON_ROOT, SECCOMP]),
    ],
    ids=[
        "fine",
        "plain",
        "host namespaces",
        "host path",
        "volume kinds",
        "capability",
        "root user",
        "run as non root false",
        "seccomp unconfined",
        "selinux",
    ],
)
def test_restricted(pod: Obj, texts: list[str]) -> None:
    assert told(violations(RESTRICTED, {}, pod)) == ", ".join(texts)


def test_several_containers_are_named_together() -> None:
    pod = {**FINE, "containers": [{"name": "c"}, {"name": "d"}]}
    assert told(violations(RESTRICTED, {}, pod)) == (
        'allowPrivilegeEscalation != false (containers "c", "d" must set '
        "securityContext.allowPrivilegeEscalation=false), unrestricted capabilities (containers "
        '"c", "d" must set securityContext.capabilities.drop=["ALL"])'
    )


@pytest.mark.parametrize("field", ["initContainers", "ephemeralContainers"])
def test_no_container_is_overlooked(field: str) -> None:
    bad = {"name": "x", **secured(privileged=True)}
    assert violations(BASELINE, {}, {**spec(), field: [bad]})


def test_a_user_namespace_relaxes_what_root_means() -> None:
    found = violations(RESTRICTED, {}, spec(hostUsers=False))
    assert "runAsNonRoot != true" not in [reason for reason, _ in found]
