"""The audit policy: the first rule that a request matches says how much of it is written. Pure.

Source: apiserver/pkg/apis/audit/validation and apiserver/pkg/audit/policy/checker.go.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any

import msgspec
import yaml

from controlplane.apiserver.http.info import RequestInfo
from controlplane.apiserver.http.messages import User

GROUP_VERSION = "audit.k8s.io/v1"
_ALL = "*"


class Level(IntEnum):
    """How much is written: each level includes the lower ones."""

    NONE = 0
    METADATA = 1
    REQUEST = 2
    REQUEST_RESPONSE = 3


LEVELS = {
    "None": Level.NONE,
    "Metadata": Level.METADATA,
    "Request": Level.REQUEST,
    "RequestResponse": Level.REQUEST_RESPONSE,
}
LEVEL_NAMES = {level: name for name, level in LEVELS.items()}
STAGES = ("RequestReceived", "ResponseStarted", "ResponseComplete", "Panic")


class PolicyError(ValueError):
    """The policy cannot be used; the message says where and why."""


class GroupResources(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Resources of a group, as a policy writes them: `pods`, `pods/log`, `pods/*`, `*/scale`, `*`."""

    group: str = ""
    resources: tuple[str, ...] = ()
    resource_names: tuple[str, ...] = msgspec.field(default=(), name="resourceNames")

    def matches(self, info: RequestInfo) -> bool:
        """Whether a request is about one of them."""
        if self.group not in (info.group, _ALL):
            return False
        if not self.resources:
            return True
        if self.resource_names and info.name not in self.resource_names:
            return False
        whole = f"{info.resource}/{info.subresource}" if info.subresource else info.resource
        wanted = {_ALL, whole, f"{info.resource}/*"}
        if info.subresource:
            wanted.add(f"*/{info.subresource}")
        return any(one in wanted for one in self.resources)


class Rule(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    """One rule; empty lists match everything."""

    level: str = ""
    users: tuple[str, ...] = ()
    user_groups: tuple[str, ...] = ()
    verbs: tuple[str, ...] = ()
    resources: tuple[GroupResources, ...] = ()
    namespaces: tuple[str, ...] = ()
    non_resource_urls: tuple[str, ...] = msgspec.field(default=(), name="nonResourceURLs")
    omit_stages: tuple[str, ...] = ()
    omit_managed_fields: bool | None = None

    def matches(self, user: User, info: RequestInfo) -> bool:
        """Whether this rule is for the request."""
        if self.users and user.name not in self.users:
            return False
        if self.user_groups and not any(group in self.user_groups for group in user.groups):
            return False
        if self.verbs and info.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            if not info.is_resource or (self.namespaces and info.namespace not in self.namespaces):
                return False
            return not self.resources or any(one.matches(info) for one in self.resources)
        if self.non_resource_urls:
            return not info.is_resource and any(
                _path_matches(info.path, one) for one in self.non_resource_urls
            )
        return True


class _Document(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename="camel"):
    kind: str = ""
    api_version: str = ""
    metadata: dict[str, Any] = {}
    rules: tuple[Rule, ...] = ()
    omit_stages: tuple[str, ...] = ()
    omit_managed_fields: bool = False


@dataclass(frozen=True, slots=True)
class Decision:
    """What is written of a request."""

    level: Level
    omitted_stages: frozenset[str] = frozenset()
    omits_managed_fields: bool = False


class Policy:
    """A policy at work. The same request is judged once: decisions rest on nothing but user and request."""

    _MOST_REMEMBERED = 4096

    def __init__(self, document: _Document) -> None:
        self._rules: list[tuple[Rule, Decision]] = []
        omitted = frozenset(document.omit_stages)
        for rule in document.rules:
            omits = rule.omit_managed_fields
            self._rules.append(
                (
                    rule,
                    Decision(
                        LEVELS[rule.level],
                        omitted | frozenset(rule.omit_stages),
                        document.omit_managed_fields if omits is None else omits,
                    ),
                )
            )
        self._otherwise = Decision(Level.NONE, omitted, document.omit_managed_fields)
        self._remembered: dict[tuple[object, ...], Decision] = {}

    def decide(self, user: User, info: RequestInfo) -> Decision:
        """The first matching rule's decision; nothing is written of what no rule is for."""
        key = (user.name, user.groups, info.verb, info.path)
        decision = self._remembered.get(key)
        if decision is None:
            decision = next(
                (decision for rule, decision in self._rules if rule.matches(user, info)),
                self._otherwise,
            )
            if len(self._remembered) >= self._MOST_REMEMBERED:
                self._remembered.clear()
            self._remembered[key] = decision
        return decision


def parse(text: str) -> Policy:
    """The policy of a YAML or JSON document. PolicyError."""
    try:
        found = msgspec.convert(yaml.safe_load(text), _Document, strict=False)
    except (yaml.YAMLError, msgspec.ValidationError) as error:
        raise PolicyError(f"failed decoding: {error}") from error
    if (found.api_version, found.kind) != (GROUP_VERSION, "Policy"):
        raise PolicyError(
            f"unknown group version field {found.api_version!r} or kind {found.kind!r}: "
            f"a Policy of {GROUP_VERSION} is needed"
        )
    if not found.rules:
        raise PolicyError("loaded illegal policy with 0 rules")
    problems = _stages("omitStages", found.omit_stages)
    for index, rule in enumerate(found.rules):
        problems += _problems(f"rules[{index}]", rule)
    if problems:
        raise PolicyError("; ".join(problems))
    return Policy(found)


def _problems(where: str, rule: Rule) -> list[str]:
    problems = _stages(f"{where}.omitStages", rule.omit_stages)
    if rule.level not in LEVELS:
        shown = ", ".join(f'"{name}"' for name in LEVELS)
        problems.append(f'{where}.level: Unsupported value: "{rule.level}": supported: {shown}')
    if rule.non_resource_urls and (rule.resources or rule.namespaces):
        problems.append(
            f"{where}.nonResourceURLs: Invalid value: rules cannot apply to both regular "
            "resources and non-resource URLs"
        )
    for url in rule.non_resource_urls:
        if url != _ALL and not url.startswith("/"):
            problems.append(f"{where}.nonResourceURLs: {url}: must begin with a '/' character")
        if _ALL in url[:-1]:
            problems.append(f"{where}.nonResourceURLs: {url}: '*' must be the final character")
    for one in rule.resources:
        if one.resource_names and not one.resources:
            problems.append(f"{where}.resources.resourceNames: names need resources")
    return problems


def _stages(where: str, stages: tuple[str, ...]) -> list[str]:
    shown = ", ".join(STAGES)
    return [
        f'{where}: Unsupported value: "{stage}": supported: {shown}'
        for stage in stages
        if stage not in STAGES
    ]


def _path_matches(path: str, wanted: str) -> bool:
    if wanted in (_ALL, path):
        return True
    return wanted.endswith(_ALL) and path.startswith(wanted.rstrip(_ALL))
