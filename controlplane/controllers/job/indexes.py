"""Sets of completion indexes, and how a Job's status writes them (`0,2-5`): pure."""

from collections.abc import Iterable

from controlplane.api import meta
from controlplane.api.meta import Obj

ANNOTATION = "batch.kubernetes.io/job-completion-index"


def parse(text: str | None, completions: int) -> frozenset[int]:
    """The indexes below `completions` that a text names; what cannot be read is passed over."""
    found: set[int] = set()
    for part in (text or "").split(","):
        low, _, high = part.partition("-")
        try:
            first, last = int(low), int(high or low)
        except ValueError:
            continue
        found.update(range(first, min(last, completions - 1) + 1))
    return frozenset(found)


def written(indexes: Iterable[int]) -> str:
    """The shortest list of intervals, in order; two neighbours are `4,5`, more are `4-6`."""
    parts: list[list[int]] = []
    for index in sorted(indexes):
        if parts and parts[-1][1] == index - 1:
            parts[-1][1] = index
        else:
            parts.append([index, index])
    texts = []
    for first, last in parts:
        if first == last:
            texts.append(str(first))
        else:
            texts.append(f"{first}{',' if last == first + 1 else '-'}{last}")
    return ",".join(texts)


def index_of(pod: Obj) -> int | None:
    """The completion index of a Pod, None when it has none."""
    try:
        value = int(meta.annotations(pod).get(ANNOTATION, ""))
    except ValueError:
        return None
    return value if value >= 0 else None


def first_free(taken: Iterable[int], completions: int, count: int) -> list[int]:
    """The `count` lowest indexes that are not taken."""
    held = set(taken)
    found: list[int] = []
    for index in range(completions):
        if len(found) == count:
            break
        if index not in held:
            found.append(index)
    return found
