"""Audit policies: which rule is for a request, and what a policy may not say."""

import pytest

from controlplane.apiserver.audit.policy import Level, PolicyError, parse
from controlplane.apiserver.http import info
from controlplane.apiserver.http.messages import User

HEAD = "apiVersion: audit.k8s.io/v1\nkind: Policy\n"
ALICE = User("alice", ("dev", "system:authenticated"))
POD = ("GET", "/api/v1/namespaces/d/pods/web")
LOG = ("GET", "/api/v1/namespaces/d/pods/web/log")
NODE = ("GET", "/api/v1/nodes/n1")
SCALE = ("PATCH", "/apis/apps/v1/namespaces/d/deployments/web/scale")
HEALTH = ("GET", "/healthz/etcd")


@pytest.mark.parametrize(
    ("rule", "request_of", "matches"),
    [
        ("{}", POD, True),
        ("{users: [alice]}", POD, True),
        ("{users: [bob]}", POD, False),
        ("{userGroups: [ops, dev]}", POD, True),
        ("{userGroups: [ops]}", POD, False),
        ("{verbs: [get]}", POD, True),
        ("{verbs: [list]}", POD, False),
        ("{namespaces: [d]}", POD, True),
        ("{namespaces: [e]}", POD, False),
        ('{namespaces: [""]}', NODE, True),
        ('{namespaces: [""]}', POD, False),
        ("{namespaces: [d]}", HEALTH, False),
        ('{resources: [{group: ""}]}', POD, True),
        ("{resources: [{group: apps}]}", POD, False),
        ('{resources: [{group: "*", resources: [pods]}]}', POD, True),
        ("{resources: [{resources: [pods]}]}", LOG, False),
        ("{resources: [{resources: [pods/log]}]}", LOG, True),
        ('{resources: [{resources: ["pods/*"]}]}', LOG, True),
        ('{resources: [{resources: ["*"]}]}', LOG, True),
        ('{resources: [{group: apps, resources: ["*/scale"]}]}', SCALE, True),
        ('{resources: [{group: apps, resources: ["*/status"]}]}', SCALE, False),
        ("{resources: [{resources: [pods], resourceNames: [web]}]}", POD, True),
        ("{resources: [{resources: [pods], resourceNames: [db]}]}", POD, False),
        ('{nonResourceURLs: ["/healthz*"]}', HEALTH, True),
        ('{nonResourceURLs: ["/healthz"]}', HEALTH, False),
        ('{nonResourceURLs: ["*"]}', HEALTH, True),
        ('{nonResourceURLs: ["*"]}', POD, False),
    ],
)
def test_rules(rule: str, request_of: tuple[str, str], matches: bool) -> None:
    text = HEAD + "rules:\n- " + rule.replace("{", "{level: Request, ", 1).replace(", }", "}")
    decision = parse(text).decide(ALICE, info.parse(*request_of))
    assert decision.level == (Level.REQUEST if matches else Level.NONE)


def test_the_first_rule_decides_and_stages_add_up() -> None:
    policy = parse(
        HEAD
        + "omitStages: [RequestReceived]\n"
        + "omitManagedFields: true\n"
        + "rules:\n"
        + "- {level: Metadata, users: [alice], omitStages: [Panic], omitManagedFields: false}\n"
        + "- {level: RequestResponse}\n"
    )
    first = policy.decide(ALICE, info.parse(*POD))
    assert (first.level, first.omits_managed_fields) == (Level.METADATA, False)
    assert first.omitted_stages == {"RequestReceived", "Panic"}
    second = policy.decide(User("bob"), info.parse(*POD))
    assert (second.level, second.omits_managed_fields) == (Level.REQUEST_RESPONSE, True)
    assert second.omitted_stages == {"RequestReceived"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("kind: Policy\nrules: [{level: None}]", "unknown group version"),
        (HEAD, "0 rules"),
        (HEAD + "rules: [{level: Everything}]", "Unsupported value"),
        (HEAD + "rules: [{level: None, verb: [get]}]", "unknown field"),
        (HEAD + "rules: [{level: None, omitStages: [Never]}]", "omitStages"),
        (
            HEAD + 'rules: [{level: None, nonResourceURLs: ["/a"], namespaces: [d]}]',
            "non-resource URLs",
        ),
        (HEAD + 'rules: [{level: None, nonResourceURLs: ["a"]}]', "must begin with"),
        (HEAD + 'rules: [{level: None, nonResourceURLs: ["/a*b"]}]', "final character"),
        (HEAD + "rules: [{level: None, resources: [{resourceNames: [x]}]}]", "need resources"),
        (HEAD + "rules: [", "failed decoding"),
    ],
)
def test_policies_that_are_refused(text: str, words: str) -> None:
    with pytest.raises(PolicyError, match=words):
        parse(text)


def test_the_shipped_policy_writes_changes_and_no_bodies() -> None:
    from importlib import resources

    policy = parse(resources.files("controlplane.local").joinpath("audit-policy.yaml").read_text())
    levels = {
        (user, method, path): policy.decide(User(user, (group,)), info.parse(method, path)).level
        for user, group, method, path in (
            ("alice", "dev", "GET", "/api/v1/namespaces/d/secrets/s"),
            ("alice", "dev", "POST", "/api/v1/namespaces/d/secrets"),
            ("system:kube-scheduler", "", "GET", "/api/v1/pods"),
            ("system:kube-scheduler", "", "POST", "/api/v1/namespaces/d/pods/p/binding"),
            ("system:node:n1", "system:nodes", "PATCH", "/api/v1/nodes/n1/status"),
            ("system:node:n1", "system:nodes", "PATCH", "/api/v1/nodes/n1"),
            ("alice", "dev", "GET", "/readyz"),
        )
    }
    assert list(levels.values()) == [
        *(Level.METADATA, Level.METADATA, Level.NONE, Level.METADATA),
        *(Level.NONE, Level.METADATA, Level.NONE),
    ]
