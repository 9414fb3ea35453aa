"""Reads what pods use: from the resource, custom and external metrics APIs, whoever serves them.

Source: pkg/controller/podautoscaler/metrics/client.go; texts of the clients in staging/src/k8s.io/metrics.
"""

from collections.abc import Mapping

from controlplane.api import meta, times
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Obj, View
from controlplane.api.selectors import LabelSelector
from controlplane.client.rest import RestClient
from controlplane.client.rest_mapper import RestMapper
from controlplane.controllers.hpa.replicas import MetricError, Sample, Samples, milli
from kvstore.base.durations import parse_duration

_RESOURCE = "/apis/metrics.k8s.io/v1beta1"
_CUSTOM = "custom.metrics.k8s.io"
_CUSTOM_VERSIONS = ("v1beta2", "v1beta1")
_EXTERNAL = "/apis/external.metrics.k8s.io/v1beta1"
_WINDOW_SECONDS = 60.0


class Metrics:
    """The three APIs. All methods raise MetricError."""

    def __init__(self, client: RestClient, kinds: RestMapper) -> None:
        self._client = client
        self._kinds = kinds

    async def of_resource(
        self, namespace: str, selector: str, resource: str, container: str
    ) -> Samples:
        """What each pod, or one container of each, uses of `cpu` or `memory`."""
        try:
            page = await self._get(
                f"{_RESOURCE}/namespaces/{namespace}/pods",
                {"labelSelector": selector},
                "get pods.metrics.k8s.io",
                "resource metrics API",
            )
        except MetricError as problem:
            text = f"unable to get metrics for resource {resource}: {problem}"
            raise MetricError(text) from problem
        return {
            meta.name(item): Sample(
                used,
                times.parse_or_none(item.get("timestamp")) or 0.0,
                parse_duration(str(item.get("window") or "1m0s")),
            )
            for item in page
            if (used := _used(item, resource, container)) is not None
        }

    async def of_pods(
        self, namespace: str, selector: str, name: str, metric_selector: str
    ) -> Samples:
        """A metric of each pod."""
        path = f"namespaces/{namespace}/pods/*/{name}"
        try:
            query = {"labelSelector": selector, "metricLabelSelector": metric_selector}
            page = await self._custom(path, query)
        except MetricError as problem:
            raise MetricError(f"unable to get metric {name}: {problem}") from problem
        found: Samples = {}
        for item in page:
            window = item.get("windowSeconds", item.get("window"))
            found[str((item.get("describedObject") or {}).get("name"))] = Sample(
                milli(item["value"]),
                times.parse_or_none(item.get("timestamp")) or 0.0,
                _WINDOW_SECONDS if window is None else float(window),
            )
        return found

    async def of_object(self, namespace: str, target: View, name: str, metric_selector: str) -> int:
        """A metric of one object, in thousandths."""
        kind, object_name = str(target.get("kind")), str(target.get("name"))
        try:
            plural = await self._plural_of(str(target.get("apiVersion") or "v1"), kind)
            path = f"namespaces/{namespace}/{plural}/{object_name}/{name}"
            if plural == "namespaces":
                path = f"namespaces/{namespace}/metrics/{name}"
            page = await self._custom(path, {"metricLabelSelector": metric_selector})
        except MetricError as problem:
            # Compat: upstream's words stand in this order.
            text = f"unable to get metric {name}: {kind} on {namespace} {object_name}/{problem}"
            raise MetricError(text) from problem
        return milli(page[0]["value"])

    async def external(self, namespace: str, name: str, selector: View | None) -> int:
        """The sum of an external metric's values, in thousandths."""
        query = LabelSelector() if selector is None else LabelSelector.from_object(selector)
        try:
            page = await self._get(
                f"{_EXTERNAL}/namespaces/{namespace}/{name}",
                {"labelSelector": str(query)},
                f"get {name}.external.metrics.k8s.io",
                "external metrics API",
            )
        except MetricError as problem:
            shown = "nil" if selector is None else f"&LabelSelector{{{query}}}"
            text = f"unable to get external metric {namespace}/{name}/{shown}: {problem}"
            raise MetricError(text) from problem
        return sum(milli(item["value"]) for item in page)

    async def _plural_of(self, api_version: str, kind: str) -> str:
        row = await self._kinds.find(api_version, kind)
        if row is None:
            raise MetricError(
                "unable to fetch metrics from custom metrics API: "
                f'no matches for kind "{kind}" in version "{api_version}"'
            )
        return row.group_resource

    async def _custom(self, path: str, query: Mapping[str, str]) -> list[Obj]:
        version = await self._custom_version()
        what = path.rpartition("/")[2]
        page = await self._get(
            f"/apis/{_CUSTOM}/{version}/{path}",
            query,
            f"get {what}.{_CUSTOM}",
            "custom metrics API",
        )
        return page

    async def _custom_version(self) -> str:
        try:
            group = await self._client.get_path(f"/apis/{_CUSTOM}")
        except APIError as problem:
            raise MetricError(
                "unable to fetch metrics from custom metrics API: "
                f"no custom metrics API ({_CUSTOM}) registered"
            ) from problem
        served = [str(row.get("version")) for row in group.get("versions") or ()]
        for version in _CUSTOM_VERSIONS:
            if version in served:
                return version
        raise MetricError(
            f"unable to fetch metrics from custom metrics API: no known version of {_CUSTOM}"
        )

    async def _get(self, path: str, query: Mapping[str, str], what: str, api: str) -> list[Obj]:
        try:
            answer = await self._client.get_path(path, query=query)
        except NotFound as problem:
            # client-go says this of a path that nobody serves.
            raise MetricError(
                f"unable to fetch metrics from {api}: "
                f"the server could not find the requested resource ({what})"
            ) from problem
        except APIError as problem:
            raise MetricError(f"unable to fetch metrics from {api}: {problem}") from problem
        items: list[Obj] = answer.get("items") or []
        if not items:
            raise MetricError(f"no metrics returned from {api}")
        return items


def _used(item: Obj, resource: str, container: str) -> int | None:
    """The use in thousandths; None when a container says nothing of it."""
    total = 0
    rows = item.get("containers") or ()
    if container:
        rows = [row for row in rows if row.get("name") == container]
    for row in rows:
        amount = (row.get("usage") or {}).get(resource)
        if amount is None:
            return None
        total += milli(amount)
    return total if rows else None
