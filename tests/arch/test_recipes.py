"""The recipes of CONTRIBUTING.md are true: each adds its example to a scratch copy of the tree and uses it."""

import os
import re
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# What using the example shows; runs in the scratch copy.
USES = {
    "A kind": """
        from controlplane.kinds.catalog import SCHEME
        row = SCHEME.find("bt")
        kind = SCHEME.kind_of(row)
        assert [cause.field for cause in kind.validate({"spec": {"laps": -1}})] == ["spec.laps"]
        from controlplane.api.wire import discovery
        assert "batons" in str(discovery.api_resource_list(SCHEME, "coordination.k8s.io", "v1"))
    """,
    "A subresource": """
        import asyncio
        from controlplane.kinds.coordination.lease import LEASES
        from controlplane.testing.in_process import InProcessServer
        async def main():
            async with InProcessServer() as server:
                client = server.client()
                await client.create(LEASES, {"metadata": {"name": "a"}}, "default")
                path = "/apis/coordination.k8s.io/v1/namespaces/default/leases/a/age"
                assert (await client.get_document(path))["since"].endswith("Z")
        asyncio.run(main())
    """,
    "A controller": """
        from controlplane.controllers.catalog import CONTROLLERS
        from controlplane.controllers.greeter.plan import LABEL, greeting
        assert "greeter-controller" in [one.name for one in CONTROLLERS]
        assert greeting({"metadata": {"name": "a"}}, "hi") == {"metadata": {"labels": {LABEL: "hi"}}}
        from controlplane.controllers.config import parse_arguments
        parse_arguments(["--kubeconfig=x", "--controllers=greeter-controller", "--greeting-word=hi"])
    """,
    "A scheduler plugin": """
        from controlplane.scheduler.framework.cycle_state import CycleState
        from controlplane.scheduler.framework.node_info import NodeInfo
        from controlplane.scheduler.plugins.registry import REGISTRY
        plugin = REGISTRY["QuietHours"].build(None, {})
        node = NodeInfo("n", {"metadata": {"name": "n", "labels": {"example.com/quiet": ""}}})
        assert plugin.filter(CycleState(), None, node).reasons == ("node(s) wanted quiet",)
    """,
    "An admission plugin": """
        import asyncio
        from controlplane.api.errors import Forbidden
        from controlplane.kinds.core.pod.resource import PODS
        from controlplane.testing.in_process import InProcessServer
        async def main():
            async with InProcessServer() as server:
                spec = {"containers": [{"name": "c", "image": "nginx:latest"}]}
                pod = {"metadata": {"name": "a"}, "spec": spec}
                server.put(__import__("controlplane.kinds.core.service_account", fromlist=["x"]).SERVICE_ACCOUNTS,
                           {"metadata": {"name": "default", "namespace": "default"}})
                try:
                    await server.client().create(PODS, pod, "default")
                except Forbidden as error:
                    assert "names no version" in str(error)
                else:
                    raise AssertionError("not refused")
        asyncio.run(main())
    """,
    "An authorizer": """
        import asyncio
        from controlplane.apiserver.authz.chain import build_authorizer
        from controlplane.apiserver.authz.interface import Attributes
        from controlplane.apiserver.http.messages import User
        chain = build_authorizer((), None, None)
        for verb, wanted in (("get", True), ("delete", False)):
            verdict = asyncio.run(chain.authorize(Attributes(User("jane"), verb, resource="pods")))
            assert verdict.is_allowed is wanted
    """,
    "A volume type": """
        import asyncio, pathlib, tempfile
        from controlplane.kubelet.volumes.interface import Request
        from controlplane.kubelet.volumes.registry import volume_plugins
        volume = {"name": "m", "flexVolume": {"driver": "example.com/motto"}}
        (plugin,) = [one for one in volume_plugins() if one.can_handle(volume)]
        with tempfile.TemporaryDirectory() as folder:
            request = Request({"metadata": {}}, volume, pathlib.Path(folder), None, None)
            path = asyncio.run(plugin.set_up(request))
            assert (path / "motto").read_text().startswith("decide")
    """,
    "A container runtime": """
        import pathlib
        from controlplane.kubelet.runtimes.registry import RuntimeOptions, choose
        from kvstore.base.clock import SystemClock
        chosen = choose("dreaming", RuntimeOptions(pathlib.Path("."), SystemClock(), {}))
        assert type(chosen.runtime).__name__ == "DreamingRuntime"
    """,
}
MOST_FILES_TOUCHED = 2


@dataclass
class Recipe:
    """What one section adds (path -> text) and changes (path -> (old, new) lines)."""

    added: dict[str, str] = field(default_factory=dict)
    changed: dict[str, list[tuple[str, str]]] = field(default_factory=dict)


def recipes() -> dict[str, Recipe]:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("\n## Recipes\n")[2]
    found: dict[str, Recipe] = {}
    for section in re.split(r"^### ", text, flags=re.MULTILINE)[1:]:
        title, _, body = section.partition("\n")
        made = found[title] = Recipe()
        for language, block in re.findall(
            r"^```(python|diff)\n(.*?)^```$", body, re.MULTILINE | re.DOTALL
        ):
            if language == "python":
                first, _, rest = block.partition("\n")
                made.added[first.removeprefix("# ")] = rest
            else:
                _changes(block, made.changed)
    return found


def _changes(block: str, into: dict[str, list[tuple[str, str]]]) -> None:
    path, old, new = "", [], []

    def close() -> None:
        if old:
            into[path].append(("\n".join(old), "\n".join(new)))
            old.clear()
            new.clear()

    for line in block.splitlines():
        if line.startswith("--- "):
            close()
            path = line.removeprefix("--- ")
            into.setdefault(path, [])
        elif line.startswith("-"):
            if new:
                close()
            old.append(line[1:])
        elif line.startswith("+"):
            new.append(line[1:])
    close()


RECIPES = recipes()


def test_every_recipe_is_used_here() -> None:
    # A store RPC is a walk through layers, not one list: it has no example.
    assert set(RECIPES) == {*USES, "A store RPC"}


@pytest.mark.parametrize("title", USES)
def test_an_example_touches_few_places(title: str) -> None:
    assert RECIPES[title].added
    assert 1 <= len(RECIPES[title].changed) <= MOST_FILES_TOUCHED


@pytest.mark.parametrize("title", USES)
def test_an_example_works(title: str, tmp_path: Path) -> None:
    ignored = shutil.ignore_patterns("__pycache__", "*.pyc")
    for folder in ("controlplane", "kvstore", "cli"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignored)
    recipe = RECIPES[title]
    for name, text in recipe.added.items():
        path = tmp_path / name
        assert not path.exists(), f"{name} is there already"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    for name, pairs in recipe.changed.items():
        path = tmp_path / name
        text = path.read_text(encoding="utf-8")
        for old, new in pairs:
            assert text.count(old + "\n") == 1, f"{name} does not have this line once: {old}"
            text = text.replace(old + "\n", new + "\n")
        path.write_text(text, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(USES[title])],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr[-3000:]
