"""Making and deleting Pods for an owner: in growing batches, with events, remembered until the cache shows them.

Batches of 1, 2, 4, ... so that a template which is refused costs one request, not hundreds (upstream's slowStartBatch).
What was asked for is expected: until the cache shows it the owner must not be scaled again (`is_settled`).
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from controlplane.api import meta
from controlplane.api.errors import APIError, NotFound
from controlplane.api.meta import Key, Obj
from controlplane.api.resource import Resource
from controlplane.controllers.framework.context import Context
from controlplane.controllers.framework.expectations import Expectations
from controlplane.controllers.framework.sources import Change
from controlplane.controllers.workloads.selected_by import is_of_kind
from controlplane.kinds.core.pod.resource import PODS


class PodControlError(Exception):
    """Some Pods were not made or not deleted.

    `reason` is FailedCreate or FailedDelete, `error` the first refusal, `done` how many went well, `failed` the names
    of Pods that could not be deleted.
    """

    def __init__(
        self, reason: str, error: APIError, done: int = 0, failed: frozenset[str] = frozenset()
    ) -> None:
        super().__init__(f"{reason}: {error}")
        self.reason = reason
        self.error = error
        self.done = done
        self.failed = failed


class PodControl:
    """For the owners of one kind."""

    def __init__(self, context: Context, owner: Resource) -> None:
        self._client = context.client
        self._recorder = context.recorder
        self._owner = owner
        self._expectations = Expectations(context.clock)

    def saw(self, change: Change) -> None:
        """Settles what was expected; to be called with every change of a Pod."""
        for pod in (change.old, change.new):
            reference = None if pod is None else meta.controller_of(pod)
            if pod is None or reference is None or not is_of_kind(reference, self._owner):
                continue
            key = Key(meta.namespace(pod), reference["name"])
            if change.new is None or meta.is_deleting(pod):
                self._expectations.deletion_seen(key, meta.uid(pod))
            elif change.old is None:
                self._expectations.creation_seen(key)

    def is_settled(self, key: Key) -> bool:
        """Whether the cache shows all that was asked for in the owner's name."""
        return self._expectations.satisfied(key)

    def forget(self, key: Key) -> None:
        """The owner is gone."""
        self._expectations.forget(key)

    async def create(self, owner: Obj, pods: Sequence[Obj]) -> int:
        """Make the Pods; how many were made. Raises PodControlError on a refusal, without trying later batches."""
        key = meta.key_of(owner)
        self._expectations.expect_creations(key, len(pods))
        tried, done, batch = 0, 0, 1
        while tried < len(pods):
            part = pods[tried : tried + batch]
            errors = await _results([self._creation(key, owner, pod) for pod in part])
            done += len(part) - len(errors)
            if errors:
                for _ in pods[tried + batch :]:
                    self._expectations.creation_seen(key)
                raise PodControlError("FailedCreate", errors[0], done)
            tried += len(part)
            batch *= 2
        return done

    async def delete(self, owner: Obj, pods: Sequence[Obj]) -> None:
        """Delete the Pods, all at once. Raises PodControlError after trying every one."""
        key = meta.key_of(owner)
        self._expectations.expect_deletions(key, [meta.uid(pod) for pod in pods])
        failed: dict[str, APIError] = {}

        def attempt(pod: Obj) -> Callable[[], Awaitable[None]]:
            async def call() -> None:
                try:
                    await self._deletion(key, owner, pod)()
                except APIError as error:
                    failed[meta.name(pod)] = error
                    raise

            return call

        errors = await _results([attempt(pod) for pod in pods])
        if errors:
            done = len(pods) - len(failed)
            raise PodControlError("FailedDelete", errors[0], done, frozenset(failed))

    def _creation(self, key: Key, owner: Obj, pod: Obj) -> Callable[[], Awaitable[None]]:
        async def create() -> None:
            try:
                created = await self._client.create(PODS, pod, key.namespace)
            except APIError as error:
                self._expectations.creation_seen(key)
                if is_namespace_ending(error):
                    return
                message = f"Error creating: {error}"
                self._recorder.event(owner, "Warning", "FailedCreate", message)
                raise
            except BaseException:
                self._expectations.creation_seen(key)
                raise
            message = f"Created pod: {meta.name(created)}"
            self._recorder.event(owner, "Normal", "SuccessfulCreate", message)

        return create

    def _deletion(self, key: Key, owner: Obj, pod: Obj) -> Callable[[], Awaitable[None]]:
        async def delete() -> None:
            name = meta.name(pod)
            try:
                await self._client.delete(PODS, name, key.namespace, uid=meta.uid(pod))
            except NotFound:
                self._expectations.deletion_seen(key, meta.uid(pod))
                return
            except APIError as error:
                self._expectations.deletion_seen(key, meta.uid(pod))
                message = f"Error deleting: {error}"
                self._recorder.event(owner, "Warning", "FailedDelete", message)
                raise
            self._recorder.event(owner, "Normal", "SuccessfulDelete", f"Deleted pod: {name}")

        return delete


def is_namespace_ending(error: APIError) -> bool:
    """Whether a creation was refused because the namespace is being deleted: no fault of anybody's."""
    return any(cause.reason == "NamespaceTerminating" for cause in error.causes)


async def _results(calls: Sequence[Callable[[], Awaitable[None]]]) -> list[APIError]:
    """Run all, let each end; the refusals. Anything else is raised."""
    results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
    errors = [result for result in results if isinstance(result, APIError)]
    for result in results:
        if isinstance(result, BaseException) and not isinstance(result, APIError):
            raise result
    return errors


async def gather(calls: Sequence[Callable[[], Awaitable[None]]]) -> None:
    """Run all, let each end, then raise the first failure."""
    results = await asyncio.gather(*(call() for call in calls), return_exceptions=True)
    for result in results:
        if isinstance(result, BaseException):
            raise result
