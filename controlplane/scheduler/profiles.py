"""What a KubeSchedulerConfiguration file says: profiles, the plugins each enables, their arguments and weights.

The form is kubescheduler.config.k8s.io/v1. One process serves several scheduler names; all its profiles order the queue
by the same plugin. What is not known is refused with its path, never passed over.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

from controlplane.api.meta import View
from controlplane.scheduler.extenders import ExtenderConfig, read_extender
from controlplane.scheduler.framework.handle import Handle
from controlplane.scheduler.framework.runtime import POINTS, Enabled, Framework
from controlplane.scheduler.plugins.registry import REGISTRY

DEFAULT_NAME = "default-scheduler"
MULTI = "multiPoint"
API_VERSION = "kubescheduler.config.k8s.io/v1"

# Read by other programs of upstream or settled by flags here.
_ELSEWHERE = frozenset(
    {
        "apiVersion", "kind", "leaderElection", "clientConnection", "healthzBindAddress",
        "metricsBindAddress", "enableProfiling", "enableContentionProfiling", "parallelism",
    }
)  # fmt: skip


class ConfigurationError(ValueError):
    """All that is wrong with a file, a line each."""


@dataclass(frozen=True, slots=True)
class Use:
    """At which points a plugin is enabled, and the weight of its score."""

    weight: int
    points: frozenset[str] = POINTS


def _default_plugins() -> dict[str, Use]:
    return {name: Use(entry.weight) for name, entry in REGISTRY.items()}


@dataclass(frozen=True, slots=True)
class Profile:
    """One scheduler name: its enabled plugins in the order in which they run, and arguments by plugin."""

    name: str = DEFAULT_NAME
    plugins: Mapping[str, Use] = field(default_factory=_default_plugins)
    args: Mapping[str, View] = field(default_factory=dict)
    percentage_to_score: int = 0

    def build(self, handle: Handle) -> Framework:
        """The profile's framework. Raises ValueError on arguments a plugin does not understand."""
        return Framework(
            [
                Enabled(
                    REGISTRY[name].build(handle, self.args.get(name) or {}), use.weight, use.points
                )
                for name, use in self.plugins.items()
            ],
            handle.waiting,
            self.percentage_to_score,
        )


@dataclass(frozen=True, slots=True)
class Configuration:
    """Profiles, and the delays of pods that failed."""

    profiles: tuple[Profile, ...] = (Profile(),)
    extenders: tuple[ExtenderConfig, ...] = ()
    initial_backoff_seconds: float = 1.0
    max_backoff_seconds: float = 10.0


def read_configuration(text: str) -> Configuration:
    """The file's meaning. Raises ConfigurationError."""
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigurationError(f"not YAML: {error}") from error
    if not isinstance(document, dict):
        raise ConfigurationError("not a KubeSchedulerConfiguration")
    problems: list[str] = []
    head = (document.get("apiVersion"), document.get("kind"))
    if head != (API_VERSION, "KubeSchedulerConfiguration"):
        problems.append(f"apiVersion, kind: expected {API_VERSION} KubeSchedulerConfiguration")
    known = {
        "profiles",
        "extenders",
        "percentageOfNodesToScore",
        "podInitialBackoffSeconds",
        "podMaxBackoffSeconds",
        *_ELSEWHERE,
    }
    problems += [f"{key}: not known" for key in document if key not in known]
    listed = document.get("profiles") or [{}]
    whole = document.get("percentageOfNodesToScore") or 0
    profiles = [
        _profile(raw, f"profiles[{number}]", problems, whole) for number, raw in enumerate(listed)
    ]
    extenders = [
        read_extender(raw, f"extenders[{number}]", problems)
        for number, raw in enumerate(document.get("extenders") or ())
    ]
    if sum(1 for one in extenders if one.bind_verb) > 1:
        problems.append("extenders: found multiple extenders implementing bind")
    names = [profile.name for profile in profiles]
    problems += [
        f"profiles[{number}].schedulerName: {name!r} is there twice"
        for number, name in enumerate(names)
        if name in names[:number]
    ]
    initial = float(document.get("podInitialBackoffSeconds") or 1)
    longest = float(document.get("podMaxBackoffSeconds") or 10)
    if longest < initial:
        problems.append("podMaxBackoffSeconds: must not be below podInitialBackoffSeconds")
    if problems:
        raise ConfigurationError("\n".join(problems))
    ignored = sorted({name for one in extenders for name in one.ignored_resources})
    if ignored:
        profiles = [_ignoring(profile, ignored) for profile in profiles]
    return Configuration(tuple(profiles), tuple(extenders), initial, longest)


def _ignoring(profile: Profile, resources: Sequence[str]) -> Profile:
    """The profile with resources that only an extender counts."""
    fit = profile.args.get("NodeResourcesFit") or {}
    merged = [*(fit.get("ignoredResources") or ()), *resources]
    args = {**profile.args, "NodeResourcesFit": {**fit, "ignoredResources": merged}}
    return replace(profile, args=args)


def _profile(raw: Any, path: str, problems: list[str], whole: Any = 0) -> Profile:
    if not isinstance(raw, dict):
        problems.append(f"{path}: expected a map")
        return Profile()
    known = {"schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore"}
    problems += [f"{path}.{key}: not known" for key in raw if key not in known]
    plugins = _plugins(raw.get("plugins") or {}, f"{path}.plugins", problems)
    args: dict[str, View] = {}
    for number, entry in enumerate(raw.get("pluginConfig") or ()):
        name = str(entry.get("name") or "")
        if name not in REGISTRY:
            problems.append(f"{path}.pluginConfig[{number}].name: no plugin {name!r}")
        args[name] = entry.get("args") or {}
    percentage = raw.get("percentageOfNodesToScore")
    percentage = whole if percentage is None else percentage
    if not isinstance(percentage, int) or not 0 <= percentage <= 100:
        problems.append(f"{path}.percentageOfNodesToScore: not in the range [0-100]")
        percentage = 0
    name = str(raw.get("schedulerName") or DEFAULT_NAME)
    return Profile(name, plugins, args, percentage)


def _plugins(raw: Mapping[str, Any], path: str, problems: list[str]) -> dict[str, Use]:
    """The defaults with what the file disables and enables; what it adds runs last, in the order given."""
    uses = _default_plugins()
    problems += [f"{path}.{point}: not known" for point in raw if point not in {MULTI, *POINTS}]
    # `multiPoint` first: a single point's word is the more special one.
    for point in (MULTI, *sorted(POINTS)):
        changes = raw.get(point) or {}
        points = POINTS if point == MULTI else frozenset({point})
        for name in _names(changes, "disabled", f"{path}.{point}", problems):
            for known in list(uses) if name == "*" else [name]:
                use = uses.get(known)
                if use is not None:
                    uses[known] = Use(use.weight, use.points - points)
        weights = {e.get("name"): e.get("weight") for e in changes.get("enabled") or ()}
        for name in _names(changes, "enabled", f"{path}.{point}", problems):
            before = uses.get(name, Use(REGISTRY[name].weight, frozenset()))
            weight = int(weights[name] or before.weight)
            if not before.points:
                uses.pop(name, None)  # it comes anew, behind the others
            uses[name] = Use(weight, before.points | points)
    return {name: use for name, use in uses.items() if use.points}


def _names(changes: Any, which: str, path: str, problems: list[str]) -> list[str]:
    found = [str(entry.get("name") or "") for entry in changes.get(which) or ()]
    allowed = {*REGISTRY, *({"*"} if which == "disabled" else ())}
    problems += [f"{path}.{which}: no plugin {name!r}" for name in found if name not in allowed]
    return [name for name in found if name in allowed]


def build_frameworks(profiles: Sequence[Profile], handle: Handle) -> dict[str, Framework]:
    """A framework a scheduler name. Raises ConfigurationError."""
    built: dict[str, Framework] = {}
    problems: list[str] = []
    for profile in profiles:
        try:
            built[profile.name] = profile.build(handle)
        except (ValueError, KeyError, TypeError) as error:
            problems.append(f"profile {profile.name}: {error}")
            continue
        problems += [f"profile {profile.name}: {p}" for p in built[profile.name].problems()]
    if problems:
        raise ConfigurationError("\n".join(problems))
    return built
