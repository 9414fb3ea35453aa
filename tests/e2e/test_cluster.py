"""The whole thing as its users run it: `quorate up`, stock kubectl and etcdctl, masters and nodes killed.

Requirements rows 1, 4, 5, 9, 16, 23, 33, 34, 36, 52, 58, 61, 70, 86, 143, 147, 149, 156-160, 162, 168, 190-192.
"""

import base64
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(240)]

ROOT = Path(__file__).resolve().parents[2]
SETTINGS = """
[cluster]
kubernetes_port = 0
[[masters]]
name = "master-1"
[[masters]]
name = "master-2"
[[masters]]
name = "master-3"
[[nodes]]
name = "node-1"
port = 0
health_port = 0
[[nodes]]
name = "node-2"
port = 0
health_port = 0
[leader_election]
lease_duration = "3s"
renew_deadline = "2s"
retry_period = "300ms"
[node_lifecycle]
heartbeat_interval = "500ms"
monitor_period = "300ms"
monitor_grace_period = "4s"
toleration_seconds = 1
"""


class Cluster:
    """A running cluster, driven by commands only."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "state"
        (folder / "cluster.toml").write_text(SETTINGS)
        self.env = {**os.environ, "QUORATE_STATE": str(self.state)}

    def run(
        self, *argv: str, timeout: float = 60, check: bool = True
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            argv,
            env=self.env,
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )
        if check:
            assert done.returncode == 0, f"{argv}: {done.stdout}{done.stderr}"
        return done

    def quorate(self, *argv: str, timeout: float = 60, check: bool = True) -> str:
        done = self.run(sys.executable, "-m", "cli", *argv, timeout=timeout, check=check)
        return done.stdout + done.stderr

    def up(self, *argv: str) -> str:
        output = self.quorate("up", "--config", "cluster.toml", "--detach", *argv, timeout=120)
        for line in (self.state / "env").read_text().splitlines():
            name, _, value = line.removeprefix("export ").partition("=")
            self.env[name] = value.strip("'")
        return output

    def status(self) -> dict[str, Any]:
        return dict(json.loads(self.quorate("status", "-o", "json")))

    def leader(self) -> str:
        return str(next(m["name"] for m in self.status()["members"] if m.get("leads")))

    def ctl(self, *argv: str) -> str:
        return self.quorate("ctl", *argv)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        return list(json.loads(self.ctl("get", kind, "-o", "json"))["items"])

    def pids(self) -> list[int]:
        return [p["pid"] for p in self.status()["processes"] if p["pid"]]

    def ready_pods(self, app: str) -> dict[str, dict[str, Any]]:
        return {
            pod["metadata"]["name"]: pod
            for pod in self.objects("pods")
            if pod["metadata"].get("labels", {}).get("app") == app
            and "deletionTimestamp" not in pod["metadata"]
            and any(
                c["type"] == "Ready" and c["status"] == "True"
                for c in pod.get("status", {}).get("conditions", ())
            )
        }


def until(condition: Callable[[], object], seconds: float, what: str) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except (AssertionError, StopIteration, json.JSONDecodeError):
            pass  # the API may be between two leaders
        assert time.monotonic() < deadline, f"not in {seconds} s: {what}"
        time.sleep(0.1)


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except OSError:
        return True


def deployment(name: str, replicas: int) -> str:
    text = (ROOT / "examples" / "web.yaml").read_text()
    return (
        text.replace("name: web\n", f"name: {name}\n", 1)
        .replace("app: web", f"app: {name}")
        .replace("replicas: 3", f"replicas: {replicas}")
    )


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    made = Cluster(tmp_path_factory.mktemp("cluster"))
    made.up()
    pids = made.pids()
    yield made
    made.quorate("down")
    until(lambda: all(is_gone(pid) for pid in pids), 10, "all processes gone")
    assert not (made.state / "control.sock").exists()
    assert not (made.state / "cluster.json").exists()


def apply(cluster: Cluster, name: str, replicas: int) -> None:
    file = cluster.folder / f"{name}.yaml"
    file.write_text(deployment(name, replicas))
    cluster.ctl("apply", "-f", str(file))


def test_status_shows_one_leader_and_ready_nodes(cluster: Cluster) -> None:
    status = cluster.status()
    assert len(status["processes"]) == 15
    assert [m.get("leads") for m in status["members"]].count(True) == 1
    assert all(node["ready"] for node in status["nodes"])
    until(
        lambda: all(cluster.status()["leaders"].values()), 15, "scheduler and controllers are led"
    )


SECRET_TEXT = "swordfish-of-the-e2e-test"
USES_A_SECRET = f"""
apiVersion: v1
kind: Secret
metadata: {{name: password}}
stringData: {{word: {SECRET_TEXT}}}
---
apiVersion: v1
kind: Pod
metadata: {{name: reader}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    command: [sh, -c, 'test -n "$WORD" && test -s /secret/word && sleep 3600']
    env:
    - name: WORD
      valueFrom: {{secretKeyRef: {{name: password, key: word}}}}
    volumeMounts: [{{name: s, mountPath: /secret}}]
  volumes: [{{name: s, secret: {{secretName: password}}}}]
---
apiVersion: v1
kind: Pod
metadata: {{name: stuck}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
  - name: c
    image: busybox
    env:
    - name: WORD
      valueFrom: {{secretKeyRef: {{name: password, key: nothing}}}}
"""


def test_no_secret_is_in_the_store_in_logs_or_in_events(cluster: Cluster) -> None:
    (cluster.folder / "secret.yaml").write_text(USES_A_SECRET)
    cluster.ctl("apply", "-f", "secret.yaml")

    def phases() -> dict[str, str]:
        return {
            pod["metadata"]["name"]: pod.get("status", {}).get("phase", "")
            for pod in cluster.objects("pods")
        }

    until(lambda: phases().get("reader") == "Running", 60, "the reader runs")
    until(
        lambda: any(
            event["involvedObject"]["name"] == "stuck" and event["type"] == "Warning"
            for event in cluster.objects("events")
        ),
        60,
        "what is wrong with the other pod is told",
    )
    encoded = base64.b64encode(SECRET_TEXT.encode()).decode()
    hidden = (SECRET_TEXT, encoded, "PRIVATE KEY-----", "eyJhbGciOi")
    answer = cluster.quorate("kv", "get", "-w", "json", "/registry/secrets/default/password")
    stored = base64.b64decode(json.loads(answer)["kvs"][0]["value"])
    assert stored.startswith(b"k8s:enc:aesgcm:v1:")
    assert SECRET_TEXT.encode() not in stored
    assert encoded.encode() not in stored
    events = json.dumps(cluster.objects("events"))
    texts = {"events": events, "audit": cluster.quorate("audit", "-o", "json")}
    for path in (cluster.state / "logs").rglob("*.log"):
        texts[path.name] = path.read_text(errors="replace")
    for name, text in texts.items():
        for word in hidden:
            assert word not in text, f"{word} in {name}"
    assert "secrets default/password" in cluster.quorate("audit", "--resource", "secrets")
    cluster.ctl("delete", "pod", "reader", "stuck")
    cluster.ctl("delete", "secret", "password")


def test_the_security_check_finds_nothing_open_and_says_what_is(cluster: Cluster) -> None:
    found = json.loads(cluster.quorate("security-check", "-o", "json"))
    assert [one for one in found if one["outcome"] == "failed"] == []
    assert len(found) >= 12
    (cluster.state / "kubeconfig").chmod(0o644)
    try:
        done = cluster.run(sys.executable, "-m", "cli", "security-check", check=False)
    finally:
        (cluster.state / "kubeconfig").chmod(0o600)
    assert done.returncode == 1
    assert "FAIL  keys and kubeconfigs are readable by their owner alone" in done.stdout


def test_kubectl_deploys_scales_and_deletes(
    cluster: Cluster, program: Callable[[str], str]
) -> None:
    kubectl = program("kubectl")

    def k(*argv: str, check: bool = True) -> str:
        done = cluster.run(kubectl, *argv, check=check)
        return done.stdout + done.stderr

    (cluster.folder / "k.yaml").write_text(deployment("k", 3))
    assert "deployment.apps/k created" in k("apply", "-f", "k.yaml")
    assert "unchanged" in k("apply", "-f", "k.yaml")
    assert "successfully rolled out" in k("rollout", "status", "deploy/k", "--timeout=40s")
    table = k("get", "pods", "-o", "wide", "-l", "app=k").splitlines()
    assert table[0].split()[:6] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP"]
    assert [line.split()[1:3] for line in table[1:]] == [["1/1", "Running"]] * 3
    assert k("get", "deploy", "k", "--no-headers").split()[:4] == ["k", "3/3", "3", "3"]
    assert len({line.split()[5] for line in table[1:]}) == 3, "each pod has its own address"
    victim = table[1].split()[0]
    k("delete", "pod", victim)
    until(lambda: len(cluster.ready_pods("k")) == 3, 10, "the deleted pod is replaced")
    assert victim not in cluster.ready_pods("k")
    name = next(iter(cluster.ready_pods("k")))
    assert "serving on" in k("logs", name)
    described = k("describe", "pod", name)
    assert "Successfully assigned default/" in described
    assert "Started container web" in described
    assert "ScalingReplicaSet" in k("get", "events")
    assert "scaled" in k("scale", "deploy", "k", "--replicas=5")
    until(lambda: len(cluster.ready_pods("k")) == 5, 20, "five pods")
    assert "NotFound" in k("get", "pod", "nosuch", check=False)
    k("delete", "deployment", "k")
    until(lambda: "app=k" not in k("get", "pods,rs", "--show-labels"), 20, "all of it is gone")


def test_etcdctl_sees_the_objects_through_every_member(
    cluster: Cluster, program: Callable[[str], str]
) -> None:
    etcdctl = program("etcdctl")
    keys = cluster.run(etcdctl, "get", "/registry", "--prefix", "--keys-only").stdout
    assert "/registry/namespaces/default" in keys
    assert "/registry/minions/node-1" in keys
    for endpoint in cluster.env["ETCDCTL_ENDPOINTS"].split(","):
        env = {
            **cluster.env,
            "ETCDCTL_ENDPOINTS": endpoint,
        }  # etcdctl refuses flag and variable together
        done = subprocess.run(
            [etcdctl, "get", "/registry/namespaces/default"],
            env=env,
            capture_output=True,
            text=True,
            timeout=30,
            check=True,
        )
        assert '"kind":"Namespace"' in done.stdout.replace(" ", "")


def test_the_leading_master_dies_and_work_goes_on(cluster: Cluster) -> None:
    apply(cluster, "stay", 2)
    until(lambda: len(cluster.ready_pods("stay")) == 2, 20, "two pods")
    before = {
        name: pod["status"]["containerStatuses"][0]["containerID"]
        for name, pod in cluster.ready_pods("stay").items()
    }
    victim = cluster.leader()
    cluster.quorate("kill", "leader")
    apply(cluster, "after", 2)
    until(
        lambda: len(cluster.ready_pods("after")) == 2,
        30,
        "a Deployment applied right then is Ready",
    )
    assert cluster.leader() != victim
    until(
        lambda: not any(str(h).startswith(victim) for h in cluster.status()["leaders"].values()),
        15,
        "scheduler and controllers are led by others",
    )
    same = {
        name: pod["status"]["containerStatuses"][0]["containerID"]
        for name, pod in cluster.ready_pods("stay").items()
    }
    assert same == before, "pods that ran before run on"
    cluster.quorate("start", victim)
    status = cluster.status()
    newest = max(member["revision"] for member in status["members"])
    until(
        lambda: all(m.get("revision", 0) >= newest for m in cluster.status()["members"]),
        15,
        "the master catches up",
    )


def test_without_a_majority_writes_fail_and_one_master_more_resumes(cluster: Cluster) -> None:
    leader = cluster.leader()
    others = [m["name"] for m in cluster.status()["members"] if m["name"] != leader]
    cluster.quorate("kill", leader, others[0])
    key = f"probe-{leader}"
    done = cluster.run(
        sys.executable,
        "-m",
        "cli",
        "ctl",
        "scale",
        "deploy/stay",
        "--replicas",
        "3",
        timeout=90,
        check=False,
    )
    assert done.returncode != 0, "never a false success"
    assert done.stderr.strip()
    cluster.quorate("start", others[0])
    until(
        lambda: "scaled" in cluster.ctl("scale", "deploy/stay", "--replicas", "3"),
        30,
        f"writes go on {key}",
    )
    until(lambda: len(cluster.ready_pods("stay")) == 3, 30, "the third pod")
    cluster.quorate("start", leader)


def test_a_dead_node_loses_its_pods_to_the_other(cluster: Cluster) -> None:
    apply(cluster, "move", 4)
    until(lambda: len(cluster.ready_pods("move")) == 4, 30, "four pods")
    cluster.quorate("kill", "node-1")
    until(
        lambda: [n["ready"] for n in cluster.status()["nodes"] if n["name"] == "node-1"] == [False],
        30,
        "the node is NotReady",
    )

    def moved() -> bool:
        ready = cluster.ready_pods("move")
        return len(ready) == 4 and {p["spec"]["nodeName"] for p in ready.values()} == {"node-2"}

    until(moved, 40, "its pods are replaced on node-2")
    cluster.quorate("start", "node-1")
    until(lambda: all(n["ready"] for n in cluster.status()["nodes"]), 20, "the node is back")


def test_ctl_serves_people_without_kubectl(cluster: Cluster) -> None:
    apply(cluster, "small", 1)
    until(lambda: len(cluster.ready_pods("small")) == 1, 20, "a pod")
    name = next(iter(cluster.ready_pods("small")))
    assert "1/1" in cluster.ctl("get", f"pod/{name}")
    assert "serving on" in cluster.ctl("logs", name)
    assert "SuccessfulCreate" in cluster.ctl("events")
    assert "unchanged" in cluster.ctl("apply", "-f", str(cluster.folder / "small.yaml"))
    assert "not found" in cluster.quorate("ctl", "get", "pod", "nosuch", check=False)
    cluster.ctl("delete", "-f", str(cluster.folder / "small.yaml"))
    until(lambda: not cluster.ready_pods("small"), 10, "its pods end")


def test_everything_killed_at_once_and_up_again_keeps_all_objects(cluster: Cluster) -> None:
    names = {obj["metadata"]["name"] for obj in cluster.objects("deploy")}
    uids = {obj["metadata"]["uid"] for obj in cluster.objects("deploy")}
    assert "stay" in names
    pids = cluster.pids()
    os.kill(cluster.status()["pid"], signal.SIGKILL)
    until(lambda: all(is_gone(pid) for pid in pids), 10, "the children die with the supervisor")
    cluster.up()
    assert {obj["metadata"]["uid"] for obj in cluster.objects("deploy")} == uids
    until(lambda: len(cluster.ready_pods("stay")) == 3, 40, "the pods run again")


def test_a_second_up_on_the_same_folder_is_refused(cluster: Cluster) -> None:
    done = cluster.run(sys.executable, "-m", "cli", "up", "--config", "cluster.toml", check=False)
    assert done.returncode == 1
    assert "a cluster already runs in" in done.stderr
    assert all(node["ready"] for node in cluster.status()["nodes"]), "nothing was damaged"


def test_an_unknown_name_says_what_there_is(cluster: Cluster) -> None:
    done = cluster.run(sys.executable, "-m", "cli", "kill", "master-9", check=False)
    assert done.returncode == 1
    assert "there is no 'master-9'; there are balancer, master-1" in done.stderr


def test_the_demo_loses_nothing(cluster: Cluster) -> None:
    output = cluster.quorate("demo", timeout=120)
    assert "NOTHING WAS LOST" in output
    assert "KILLED master-" in output
