"""Looks at one HorizontalPodAutoscaler every 15 seconds: asks its metrics, sets the scale, tells how it went.

Of several metrics the one that asks for most decides. A metric that fails stops a workload from shrinking, but not from
growing by the others.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from controlplane.api import conditions, meta, quantity, times
from controlplane.api.errors import APIError
from controlplane.api.meta import Obj
from controlplane.api.resource import Resource
from controlplane.api.selectors import parse_label_selector
from controlplane.client.rest import object_path
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.controller import Controller, Watch
from controlplane.controllers.framework.descriptor import Descriptor
from controlplane.controllers.framework.reconciler import Key, Result
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.hpa.evaluate import Answer, Evaluator, FailedMetric, Target
from controlplane.controllers.hpa.metrics import Metrics
from controlplane.controllers.hpa.plan import History, bounded, longest_period
from controlplane.controllers.hpa.replicas import Timing, Tolerances
from controlplane.kinds.autoscaling.horizontal_pod_autoscaler.kind import (
    HORIZONTAL_POD_AUTOSCALERS,
)
from controlplane.kinds.core.pod.resource import PODS
from controlplane.program.options import option

_NAME = "horizontal-pod-autoscaler-controller"


@dataclass(frozen=True, slots=True)
class AutoscalerOptions:
    """What the controller can be told."""

    horizontal_pod_autoscaler_sync_period_seconds: float = option(
        15.0, "how often each autoscaler is looked at"
    )
    horizontal_pod_autoscaler_downscale_stabilization_seconds: float = option(
        300.0, "how long a higher count that was asked for holds"
    )
    horizontal_pod_autoscaler_tolerance: float = option(
        0.1, "how far from the target a metric may be before anything is done"
    )
    horizontal_pod_autoscaler_cpu_initialization_period_seconds: float = option(
        300.0, "how long a pod's processor time counts only when it is ready"
    )
    horizontal_pod_autoscaler_initial_readiness_delay_seconds: float = option(
        30.0, "how long after its start a pod that is not ready has never been"
    )
    concurrent_horizontal_pod_autoscaler_syncs: int = option(5, "autoscalers looked at at a time")


class Unscalable(Exception):
    """The target's scale cannot be had; the message is told."""


class Autoscaler:
    """Looks at one of them."""

    def __init__(self, context: Context, options: AutoscalerOptions) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._clock = context.clock
        self._kinds = context.kinds
        self._options = options
        self._autoscalers = context.informers.of(HORIZONTAL_POD_AUTOSCALERS).indexer
        self._pods = context.informers.of(PODS).indexer
        self._evaluator = Evaluator(Metrics(context.client, context.kinds))
        self._again = Result.after(options.horizontal_pod_autoscaler_sync_period_seconds)
        self._histories: dict[Key, History] = {}
        self._selectors: dict[Key, str] = {}

    def changed(self, change: Change) -> Iterable[Key]:
        """One that came, went, or wants something else; its own status wakes nobody."""
        if (
            change.old is not None
            and change.new is not None
            and meta.spec(change.old) == meta.spec(change.new)
        ):
            return ()
        return (meta.key_of(change.object),)

    async def reconcile(self, key: Key) -> Result:
        """Scale, and write the status if it is another."""
        found = self._autoscalers.get(key.name, key.namespace)
        if found is None:
            self._histories.pop(key, None)
            self._selectors.pop(key, None)
            return Result.done()
        hpa = meta.copy_of(found)
        status = hpa.setdefault("status", {})
        status.setdefault("conditions", [])
        await self._look_at(key, hpa)
        if not status["conditions"]:
            del status["conditions"]
        if status != meta.status(found):
            try:
                await self._client.update_status(HORIZONTAL_POD_AUTOSCALERS, hpa)
            except APIError as problem:
                self._recorder.event(found, "Warning", "FailedUpdateStatus", str(problem))
        return self._again

    async def _look_at(self, key: Key, hpa: Obj) -> None:
        try:
            resource, scale = await self._scale_of(hpa)
        except Unscalable as problem:
            self._recorder.event(hpa, "Warning", "FailedGetScale", str(problem))
            text = f"the HPA controller was unable to get the target's current scale: {problem}"
            self._set(hpa, "AbleToScale", "False", "FailedGetScale", text)
            return
        able = "the HPA controller was able to get the target's current scale"
        self._set(hpa, "AbleToScale", "True", "SucceededGetScale", able)
        current = int(meta.spec(scale).get("replicas") or 0)
        now = self._clock.time()
        history = self._histories.setdefault(key, History([(now, current)]))
        spec = meta.spec(hpa)
        least, most = int(spec.get("minReplicas") or 1), int(spec["maxReplicas"])
        rows: list[Obj] = []
        reason = ""
        if current == 0:
            text = "scaling is disabled since the replica count of the target is zero"
            self._set(hpa, "ScalingActive", "False", "ScalingDisabled", text)
            self._tell(hpa, current, 0, rows, is_scaled=False)
            return
        if current > most:
            wanted, reason = most, "Current number of replicas above Spec.MaxReplicas"
        elif current < least:
            wanted, reason = least, "Current number of replicas below Spec.MinReplicas"
        else:
            answer = await self._asked(key, hpa, scale, rows)
            if answer is None:
                before = int(meta.status(hpa).get("desiredReplicas") or 0)
                self._tell(hpa, current, before, rows, is_scaled=False)
                return
            if answer.replicas > current:
                reason = f"{answer.name} above target"
            elif answer.replicas < current:
                reason = "All metrics below target"
            wanted = self._bounded(hpa, current, answer.replicas, history, now)
        if wanted != current:
            if not await self._rescale(hpa, resource, scale, wanted, reason):
                before = int(meta.status(hpa).get("desiredReplicas") or 0)
                self._tell(hpa, current, before, rows, is_scaled=False)
                return
            behavior = spec.get("behavior")
            if behavior is not None:
                rules = behavior["scaleUp" if wanted > current else "scaleDown"]
                history.changed(current, wanted, now, longest_period(rules))
        self._tell(hpa, current, wanted, rows, is_scaled=wanted != current)

    def _bounded(self, hpa: Obj, current: int, asked: int, history: History, now: float) -> int:
        window = self._options.horizontal_pod_autoscaler_downscale_stabilization_seconds
        found = bounded(meta.spec(hpa), current, asked, history, now, window)
        self._set(hpa, "AbleToScale", "True", *found.able)
        self._set(hpa, "ScalingLimited", "True" if found.is_limited else "False", *found.limit)
        return found.replicas

    async def _scale_of(self, hpa: Obj) -> tuple[Resource, Obj]:
        target = meta.spec(hpa)["scaleTargetRef"]
        api_version, kind = str(target.get("apiVersion") or "v1"), str(target["kind"])
        try:
            resource = await self._kinds.find(api_version, kind)
            if resource is None:
                group = api_version.rpartition("/")[0]
                raise Unscalable(f'no matches for kind "{kind}" in group "{group}"')
            path = object_path(resource, meta.namespace(hpa), str(target["name"]), "scale")
            return resource, await self._client.get_path(path)
        except APIError as problem:
            raise Unscalable(str(problem)) from problem

    async def _asked(self, key: Key, hpa: Obj, scale: Obj, rows: list[Obj]) -> Answer | None:
        """The largest count that a metric asks for; None, with all said, when nothing may be done."""
        selector = str(meta.status(scale).get("selector") or "")
        pods = self._selected(key, hpa, selector)
        if pods is None:
            return None
        target = Target(
            key.namespace,
            int(meta.spec(scale).get("replicas") or 0),
            int(meta.status(scale).get("replicas") or 0),
            selector,
            pods,
        )
        best: Answer | None = None
        failures: list[FailedMetric] = []
        metrics = meta.spec(hpa).get("metrics") or []
        for metric in metrics:
            try:
                answer = await self._evaluator.ask(
                    metric, target, self._tolerances(hpa), self._timing()
                )
            except FailedMetric as problem:
                self._recorder.event(hpa, "Warning", problem.reason, problem.message)
                failures.append(problem)
                rows.append({"type": ""})
                continue
            rows.append(answer.status)
            if best is None or answer.replicas > best.replicas:
                best = answer
        if failures and (best is None or best.replicas < target.wanted):
            first = failures[0]
            text = f"the HPA was unable to compute the replica count: {first.message}"
            self._set(hpa, "ScalingActive", "False", first.reason, text)
            whole = (
                f"invalid metrics ({len(failures)} invalid out of {len(metrics)}), "
                f"first error is: {first}"
            )
            self._recorder.event(hpa, "Warning", "FailedComputeMetricsReplicas", whole)
            return None
        assert best is not None
        text = f"the HPA was able to successfully calculate a replica count from {best.name}"
        self._set(hpa, "ScalingActive", "True", "ValidMetricFound", text)
        return best

    def _selected(self, key: Key, hpa: Obj, text: str) -> list[Obj] | None:
        """The pods of the target, if they are this autoscaler's alone."""
        if not text:
            self._refuse(hpa, "SelectorRequired", "selector is required", "InvalidSelector",
                         "the HPA target's scale is missing a selector")  # fmt: skip
            return None
        try:
            selector = parse_label_selector(text)
        except APIError as problem:
            words = (
                "couldn't convert selector into a corresponding internal selector object: "
                f"{problem}"
            )
            self._refuse(hpa, "InvalidSelector", words, "InvalidSelector", words)
            return None
        self._selectors[key] = text
        pods = [pod for pod in self._pods.list(key.namespace) if selector.matches(meta.labels(pod))]
        rivals = sorted(
            f"{other.namespace}/{other.name}"
            for other, theirs in self._selectors.items()
            if other.namespace == key.namespace
            and any(parse_label_selector(theirs).matches(meta.labels(pod)) for pod in pods)
        )
        if len(rivals) > 1:
            words = f"pods by selector {text} are controlled by multiple HPAs: [{' '.join(rivals)}]"
            self._refuse(hpa, "AmbiguousSelector", words, "AmbiguousSelector", words)
            return None
        return pods

    def _refuse(self, hpa: Obj, reason: str, message: str, why: str, text: str) -> None:
        self._recorder.event(hpa, "Warning", reason, message)
        self._set(hpa, "ScalingActive", "False", why, text)
        self._recorder.event(hpa, "Warning", "FailedComputeMetricsReplicas", message)

    async def _rescale(
        self, hpa: Obj, resource: Resource, scale: Obj, wanted: int, reason: str
    ) -> bool:
        scale["spec"] = {**meta.spec(scale), "replicas": wanted}
        name, namespace = meta.name(scale), meta.namespace(hpa)
        try:
            await self._client.update_subresource(resource, name, "scale", scale, namespace)
        except APIError as problem:
            words = f"New size: {wanted}; reason: {reason}; error: {problem}"
            self._recorder.event(hpa, "Warning", "FailedRescale", words)
            text = f"the HPA controller was unable to update the target scale: {problem}"
            self._set(hpa, "AbleToScale", "False", "FailedUpdateScale", text)
            return False
        text = f"the HPA controller was able to update the target scale to {wanted}"
        self._set(hpa, "AbleToScale", "True", "SucceededRescale", text)
        words = f"New size: {wanted}; reason: {reason}"
        self._recorder.event(hpa, "Normal", "SuccessfulRescale", words)
        return True

    def _tolerances(self, hpa: Obj) -> Tolerances:
        usual = self._options.horizontal_pod_autoscaler_tolerance
        behavior = meta.spec(hpa).get("behavior") or {}

        def of(direction: str) -> float:
            value = (behavior.get(direction) or {}).get("tolerance")
            return usual if value is None else float(quantity.parse(value))

        return Tolerances(of("scaleDown"), of("scaleUp"))

    def _timing(self) -> Timing:
        return Timing(
            self._clock.time(),
            self._options.horizontal_pod_autoscaler_cpu_initialization_period_seconds,
            self._options.horizontal_pod_autoscaler_initial_readiness_delay_seconds,
        )

    def _set(self, hpa: Obj, kind: str, status: str, reason: str, message: str) -> None:
        now = times.to_rfc3339(self._clock.time())
        row = {"type": kind, "status": status, "reason": reason, "message": message}
        conditions.set(hpa["status"]["conditions"], row, now)

    def _tell(
        self, hpa: Obj, current: int, wanted: int, rows: list[Obj], *, is_scaled: bool
    ) -> None:
        status = hpa["status"]
        status["currentReplicas"] = current
        status["desiredReplicas"] = wanted
        status["currentMetrics"] = rows or None
        if is_scaled:
            status["lastScaleTime"] = times.to_rfc3339(self._clock.time())


def _build(context: Context, options: AutoscalerOptions) -> Controller[Key]:
    autoscaler = Autoscaler(context, options)
    return Controller(
        _NAME,
        (Watch(HORIZONTAL_POD_AUTOSCALERS, autoscaler.changed),),
        autoscaler,
        workers=options.concurrent_horizontal_pod_autoscaler_syncs,
    )


DESCRIPTOR = Descriptor(
    _NAME,
    _build,
    (HORIZONTAL_POD_AUTOSCALERS, PODS),
    AutoscalerOptions,
    aliases=("horizontalpodautoscaling", "horizontal-pod-autoscaler"),
    component="horizontal-pod-autoscaler",
)
