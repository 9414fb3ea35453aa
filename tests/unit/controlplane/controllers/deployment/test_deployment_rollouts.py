"""Deployments and ReplicaSets over the in-memory API, on a manual clock."""

from controlplane.kinds.apps.deployment import DEPLOYMENTS
from controlplane.kinds.apps.replica_set import REPLICA_SETS
from controlplane.kinds.coordination.lease import LEASES
from controlplane.kinds.core.pod.resource import PODS


def condition(obj, type_):
    return next((c for c in obj["status"]["conditions"] if c["type"] == type_), None)


def set_image(image):
    def edit(obj):
        obj["spec"]["template"]["spec"]["containers"][0]["image"] = image
        obj["metadata"]["generation"] += 1

    return edit


def set_spec(**values):
    def edit(obj):
        obj["spec"].update(values)
        obj["metadata"]["generation"] += 1

    return edit


async def test_a_new_deployment_gets_its_pods_and_conditions(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        found = world.api.object(DEPLOYMENTS, "web", "d")
        assert found["status"]["readyReplicas"] == 3
        assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
        assert condition(found, "Available")["reason"] == "MinimumReplicasAvailable"
        progressing = condition(found, "Progressing")
        replicaset = world.api.objects(REPLICA_SETS)[0]["metadata"]["name"]
        assert progressing["reason"] == "NewReplicaSetAvailable"
        assert progressing["message"] == f'ReplicaSet "{replicaset}" has successfully progressed.'
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
        assert world.events("ScalingReplicaSet") == [
            f"Scaled up replica set {replicaset} from 0 to 3"
        ]
        assert len(world.events("SuccessfulCreate")) == 3


async def test_rolling_update_keeps_its_bounds(make_world, make_deployment):
    rolling = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(replicas=4, strategy=rolling), "d")
        await world.step()
        world.watch_bounds = (4, 5)
        world.change(DEPLOYMENTS, "web", "d", set_image("a:2"))
        await world.step(60)
        assert world.violations == []
        assert world.sizes() == {"a:1": 0, "a:2": 4}
        found = world.api.object(DEPLOYMENTS, "web", "d")
        assert found["status"]["updatedReplicas"] == 4
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2"


async def test_recreate_waits_for_all_old_pods(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(strategy={"type": "Recreate"}), "d")
        await world.step()
        world.watch_bounds = (0, 3)
        world.change(DEPLOYMENTS, "web", "d", set_image("a:2"))
        await world.step(40)
        assert world.violations == []
        assert world.sizes() == {"a:1": 0, "a:2": 3}
        assert world.api.object(DEPLOYMENTS, "web", "d")["status"]["availableReplicas"] == 3


async def test_rollback_reuses_the_old_replicaset_under_a_new_revision(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        world.change(DEPLOYMENTS, "web", "d", set_image("a:2"))
        await world.step(60)
        world.change(DEPLOYMENTS, "web", "d", set_image("a:1"))
        await world.step(60)
        assert world.sizes() == {"a:1": 3, "a:2": 0}
        found = world.api.object(DEPLOYMENTS, "web", "d")
        assert found["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "3"


async def test_a_rollout_that_never_gets_ready_times_out_and_keeps_the_old(
    make_world, make_deployment
):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(progressDeadlineSeconds=30), "d")
        await world.step()
        world.ready_pods = False
        world.change(DEPLOYMENTS, "web", "d", set_image("broken"))
        await world.step(50, 1)
        progressing = condition(world.api.object(DEPLOYMENTS, "web", "d"), "Progressing")
        assert progressing["reason"] == "ProgressDeadlineExceeded"
        assert world.sizes() == {"a:1": 3, "broken": 1}


async def test_pause_and_scale_in_the_middle_spreads_in_proportion(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(replicas=10), "d")
        await world.step()
        world.ready_pods = False
        world.change(DEPLOYMENTS, "web", "d", set_image("a:2"))
        await world.step(10)
        assert world.sizes() == {"a:1": 8, "a:2": 5}
        world.change(DEPLOYMENTS, "web", "d", set_spec(replicas=20, paused=True))
        await world.step(10)
        sizes = world.sizes()
        assert sum(sizes.values()) == 25
        assert sizes == {"a:1": 15, "a:2": 10}
        found = world.api.object(DEPLOYMENTS, "web", "d")
        assert condition(found, "Progressing")["reason"] == "DeploymentPaused"


async def test_scale_down_to_zero_and_up(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        world.change(DEPLOYMENTS, "web", "d", set_spec(replicas=0))
        await world.step()
        assert world.api.objects(PODS) == []
        world.change(DEPLOYMENTS, "web", "d", set_spec(replicas=2))
        await world.step()
        assert len(world.api.objects(PODS)) == 2


async def test_history_is_cut_to_its_limit(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(revisionHistoryLimit=1), "d")
        for number in range(2, 5):
            await world.step(40)
            world.change(DEPLOYMENTS, "web", "d", set_image(f"a:{number}"))
        await world.step(60)
        assert world.sizes() == {"a:3": 0, "a:4": 3}


async def test_a_deleted_pod_is_replaced_at_once(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        before = {p["metadata"]["name"] for p in world.api.objects(PODS)}
        victim = sorted(before)[0]
        await world.client.delete(PODS, victim, "d")
        await world.step(3)
        after = {p["metadata"]["name"] for p in world.api.objects(PODS)}
        assert len(after) == 3
        assert victim not in after


async def test_quiet_when_nothing_changes(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step(40)
        world.api.requests.clear()
        await world.step(50, 1)
        other = [
            r
            for r in world.api.requests
            if "/leases/" not in r[1] and r[1] not in ("/api", "/apis")
        ]
        assert other == []


async def test_adopts_and_releases_pods(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        pod = world.api.objects(PODS)[0]
        name = pod["metadata"]["name"]
        world.change(PODS, name, "d", lambda obj: obj["metadata"]["labels"].update(app="mine"))
        await world.step()
        assert len(world.api.objects(PODS)) == 4
        assert not world.api.object(PODS, name, "d")["metadata"].get("ownerReferences")
        world.change(PODS, name, "d", lambda obj: obj["metadata"]["labels"].update(app="web"))
        await world.step()
        assert len(world.api.objects(PODS)) == 3


async def test_a_lost_leadership_stops_writes(make_world, make_deployment):
    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(), "d")
        await world.step()
        held = {"holderIdentity": "other", "leaseDurationSeconds": 1000, "renewTime": "x"}
        world.change(LEASES, "kcm", "kube-system", lambda lease: lease["spec"].update(held))
        await world.step(30)
        world.change(DEPLOYMENTS, "web", "d", set_spec(replicas=9))
        await world.step(30)
        assert len(world.api.objects(PODS)) == 3


async def test_an_annotation_added_and_taken_away_leads_back_to_the_first_replicaset(
    make_world, make_deployment
):
    def annotate(value):
        return {"spec": {"template": {"metadata": {"annotations": value}}}}

    async with make_world() as world:
        await world.client.create(DEPLOYMENTS, make_deployment(replicas=1), "d")
        await world.step()
        for value in ({"x": "1"}, {"x": None}):
            await world.client.patch(DEPLOYMENTS, "web", annotate(value), "d")
            await world.step()
        revisions = {
            rs["metadata"]["annotations"]["deployment.kubernetes.io/revision"]: rs["spec"][
                "replicas"
            ]
            for rs in world.api.objects(REPLICA_SETS)
        }
        assert revisions == {"2": 0, "3": 1}
