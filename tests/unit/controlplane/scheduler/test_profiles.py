"""What a KubeSchedulerConfiguration file says."""

import pytest
import yaml

from controlplane.scheduler.config import parse_arguments
from controlplane.scheduler.framework.runtime import POINTS
from controlplane.scheduler.plugins.registry import REGISTRY
from controlplane.scheduler.profiles import (
    Configuration,
    ConfigurationError,
    Profile,
    build_frameworks,
    read_configuration,
)

HEAD = {"apiVersion": "kubescheduler.config.k8s.io/v1", "kind": "KubeSchedulerConfiguration"}


def read(**content):
    return read_configuration(yaml.safe_dump({**HEAD, **content}))


def uses(plugins):
    """Plugin -> its use, in a profile with these changes."""
    return read(profiles=[{"plugins": plugins}]).profiles[0].plugins


def names(*plugins):
    return [{"name": name} for name in plugins]


def test_a_file_without_profiles_is_the_default():
    assert read() == Configuration((Profile(),))


def test_the_default_enables_every_plugin_everywhere(handle):
    assert list(Profile().plugins) == list(REGISTRY)
    assert all(use.points == POINTS for use in Profile().plugins.values())
    assert build_frameworks([Profile()], handle)["default-scheduler"].problems() == []


def test_several_names_and_delays():
    found = read(
        profiles=[{"schedulerName": "a"}, {"schedulerName": "b"}],
        podInitialBackoffSeconds=2,
        podMaxBackoffSeconds=30,
    )
    assert [profile.name for profile in found.profiles] == ["a", "b"]
    assert (found.initial_backoff_seconds, found.max_backoff_seconds) == (2.0, 30.0)


def test_a_plugin_is_disabled_at_one_point():
    found = uses({"filter": {"disabled": names("NodePorts")}})
    assert found["NodePorts"].points == POINTS - {"filter"}


def test_a_plugin_is_disabled_at_all_points():
    assert "NodePorts" not in uses({"multiPoint": {"disabled": names("NodePorts")}})


def test_all_are_disabled_at_a_point_but_one_with_another_weight():
    found = uses(
        {"score": {"disabled": names("*"), "enabled": [{"name": "NodeAffinity", "weight": 7}]}}
    )
    assert found["NodeAffinity"].weight == 7
    assert [name for name, use in found.items() if "score" in use.points] == ["NodeAffinity"]


def test_one_point_of_a_plugin_that_is_off_otherwise():
    found = uses(
        {
            "multiPoint": {"disabled": names("NodeResourcesFit")},
            "filter": {"enabled": names("NodeResourcesFit")},
        }
    )
    assert found["NodeResourcesFit"].points == {"filter"}
    assert list(found)[-1] == "NodeResourcesFit"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ({"kind": "Other"}, "apiVersion, kind: expected"),
        ({"nope": 1}, "nope: not known"),
        ({"profiles": [{"nope": 1}]}, r"profiles\[0\].nope: not known"),
        ({"profiles": [{}, {}]}, r"profiles\[1\].schedulerName: 'default-scheduler' is there twice"),
        ({"profiles": [{"plugins": {"nope": {}}}]}, r"profiles\[0\].plugins.nope: not known"),
        (
            {"profiles": [{"plugins": {"score": {"enabled": [{"name": "No"}]}}}]},
            r"profiles\[0\].plugins.score.enabled: no plugin 'No'",
        ),
        (
            {"profiles": [{"pluginConfig": [{"name": "No"}]}]},
            r"profiles\[0\].pluginConfig\[0\].name: no plugin 'No'",
        ),
        ({"podInitialBackoffSeconds": 5, "podMaxBackoffSeconds": 1}, "podMaxBackoffSeconds: must"),
    ],
    ids=["kind", "field", "profile_field", "twice", "point", "plugin", "args_of_nobody", "delays"],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_path(content, problem):
    with pytest.raises(ConfigurationError, match=problem):
        read(**content)


@pytest.mark.parametrize(
    ("plugin", "args", "problem"),
    [
        ("NodeResourcesFit", {"scoringStrategy": {"type": "Odd"}}, "scoringStrategy.type: 'Odd'"),
        (
            "NodeResourcesFit", {"scoringStrategy": {"type": "RequestedToCapacityRatio"}},
            "shape: at least one point",
        ),
        ("PodTopologySpread", {"defaultingType": "Odd"}, "neither System nor List"),
    ],
)  # fmt: skip
def test_arguments_a_plugin_does_not_understand_are_refused(handle, plugin, args, problem):
    profile = read(profiles=[{"pluginConfig": [{"name": plugin, "args": args}]}]).profiles[0]
    with pytest.raises(ConfigurationError, match=problem):
        build_frameworks([profile], handle)


@pytest.mark.parametrize("plugin", ["PrioritySort", "DefaultBinder"])
def test_a_profile_cannot_do_without(handle, plugin):
    profile = read(profiles=[{"plugins": {"multiPoint": {"disabled": names(plugin)}}}]).profiles[0]
    with pytest.raises(ConfigurationError, match="needed"):
        build_frameworks([profile], handle)


def test_the_file_is_read_by_its_flag(tmp_path):
    path = tmp_path / "scheduler.yaml"
    path.write_text(yaml.safe_dump({**HEAD, "profiles": [{"schedulerName": "mine"}]}))
    config = parse_arguments(["--kubeconfig=k", f"--config={path}"])
    assert [profile.name for profile in config.configuration().profiles] == ["mine"]
