"""Members that a local cluster gets after its first start: added to the store that is there, one after the other.

What a member's folder says of its cluster wins over the list that is wanted now. Who is wanted and in no folder is new,
and is added through the others before it starts; who is in a folder and not wanted has to be removed first, for the
rest may be no majority without it.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from kvstore import identity as identities
from kvstore.base.clock import Clock
from kvstore.client.client import Client
from kvstore.client.errors import ClientError
from kvstore.client.types import ClientTls
from kvstore.identity import Identity

_ADD_SECONDS = 90.0
"""etcd refuses to add members before all have been connected for 5 s."""
_AGAIN_SECONDS = 0.5


def recorded(folders: Iterable[Path]) -> list[Identity]:
    """What the folders of members say, as far as they are members' folders. Raises DamagedData."""
    return [found for one in folders if (found := identities.load(one)) is not None]


def added(wanted: Mapping[str, str], known: Sequence[Identity]) -> tuple[str, ...]:
    """Names, out of `wanted` with their peer URLs, of those that the cluster does not have yet.

    Raises ValueError if it has others than those: none may be left out.
    """
    if not known:
        return ()
    # One that has a folder may have another address by now.
    with_folder = {one.member_id for one in known}
    there = {member_id: urls for one in known for member_id, urls in one.peer_urls.items()}
    left_out = [
        urls
        for member_id, urls in there.items()
        if member_id not in with_folder and not set(urls) & set(wanted.values())
    ]
    if left_out:
        at = ", ".join(sorted(url for urls in left_out for url in urls))
        raise ValueError(
            f"the store in this folder has {len(there)} members, and what is wanted now leaves out {at}: start all of "
            "them, remove members with `quorate kv member remove ID`, and leave them out then"
        )
    names = {one.name for one in known}
    reached = {url for urls in there.values() for url in urls}
    return tuple(name for name, url in wanted.items() if name not in names and url not in reached)


class AddMember:
    """Have the members at `endpoints` take in the one at `peer_url`; nothing happens if it is one already."""

    def __init__(
        self, peer_url: str, endpoints: Sequence[str], tls: ClientTls | None, clock: Clock
    ) -> None:
        self._peer_url, self._endpoints, self._tls = peer_url, tuple(endpoints), tls
        self._clock = clock

    async def __call__(self) -> None:
        """Raises TimeoutError with the last refusal."""
        deadline = self._clock.monotonic() + _ADD_SECONDS
        async with Client(self._endpoints, tls=self._tls) as client:
            while True:
                try:
                    members = (await client.member_list()).members
                    if not any(self._peer_url in one.peer_urls for one in members):
                        await client.member_add([self._peer_url])
                    return
                except ClientError as error:
                    if self._clock.monotonic() > deadline:
                        raise TimeoutError(
                            f"the member at {self._peer_url} could not be added: {error}"
                        ) from error
                await self._clock.sleep(_AGAIN_SECONDS)
