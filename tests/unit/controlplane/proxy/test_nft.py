"""How commands are handed to nft: in as few transactions as are taken, in order, each command once."""

import pytest

from controlplane.proxy.nft import Nft, NftError
from controlplane.proxy.rules import Table


class Taker(Nft):
    """In place of the program: takes so many lines a transaction."""

    def __init__(self, most: int, complaint: str = "netlink: Error: Message too long") -> None:
        super().__init__()
        self.most, self.complaint = most, complaint
        self.taken: list[list[str]] = []
        self.tried = 0

    async def _run(self, text: str) -> None:
        self.tried += 1
        lines = text.splitlines()
        if len(lines) > self.most:
            raise NftError(self.complaint)
        self.taken.append(lines)


TABLE = Table("t", chains={f"c{number}": ("accept",) for number in range(3000)})


@pytest.mark.parametrize(
    ("most", "sizes"),
    [
        pytest.param(10_000, [1, 2000, 2000, 2000], id="by number"),
        pytest.param(600, [1] + [500] * 12, id="by what fits"),
    ],
)
async def test_transactions(most: int, sizes: list[int]) -> None:
    nft = Taker(most)
    assert await nft.apply(TABLE, ["preamble"]) == 6000
    assert [len(lines) for lines in nft.taken] == sizes
    lines = [line for part in nft.taken[1:] for line in part]
    assert len(set(lines)) == 6000
    assert all(line.startswith("add chain") for line in lines[:3000])


async def test_what_has_been_found_out_is_kept() -> None:
    nft = Taker(600)
    await nft.apply(TABLE, ["preamble"])
    before = nft.tried
    await nft.apply(Table("t"), [])
    assert nft.tried - before == len(nft.taken[13:]), "no try in vain"


@pytest.mark.parametrize(
    ("most", "complaint"),
    [
        pytest.param(0, "Message too long", id="one command that is too long by itself"),
        pytest.param(600, "syntax error", id="another complaint"),
    ],
)
async def test_failures_are_told_and_end_what_was_known(most: int, complaint: str) -> None:
    nft = Taker(10_000)
    await nft.apply(TABLE, ["preamble"])
    nft.most, nft.complaint = most, complaint
    with pytest.raises(NftError, match=complaint):
        await nft.apply(Table("t"), ["preamble"])
    nft.most, nft.taken = 10_000, []
    await nft.apply(TABLE, ["preamble"])
    assert nft.taken[0] == ["preamble"], "the table is made anew"
