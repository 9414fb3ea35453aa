"""bbolt files written and read back; what is not one is refused, and never with another error."""

import contextlib
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kvstore.bbolt.format import META_BODY, PAGE, PAGE_BYTES, BadFile, fnv64a
from kvstore.bbolt.reader import Reader
from kvstore.bbolt.writer import Writer

Buckets = dict[bytes, dict[bytes, bytes]]


def write(buckets: Buckets) -> bytes:
    output = io.BytesIO()
    writer = Writer(output)
    for name, pairs in buckets.items():
        writer.begin(name)
        for key, value in sorted(pairs.items()):
            writer.put(key, value)
        writer.end()
    size = writer.close()
    data = output.getvalue()
    assert len(data) == size
    return data


def read(data: bytes) -> Buckets:
    reader = Reader(data)
    return {name: dict(reader.items(name)) for name in reader.names}


@pytest.mark.parametrize(
    "buckets",
    [
        pytest.param({}, id="no bucket"),
        pytest.param({b"b": {}}, id="an empty bucket"),
        pytest.param({b"b": {b"k": b""}}, id="an empty value"),
        pytest.param({b"b": {b"k": b"v" * 100_000}}, id="a value of many pages"),
        pytest.param({b"b": {b"k" * 10_000 + b"%d" % n: b"v" for n in range(9)}}, id="long keys"),
        pytest.param(
            {b"b": {b"%06d" % n: b"v" * (n % 300) for n in range(20_000)}}, id="three levels"
        ),
        pytest.param({b"bucket %04d" % n: {b"k": b"v"} for n in range(500)}, id="many buckets"),
    ],
)
def test_what_is_written_is_read(buckets: Buckets) -> None:
    assert read(write(buckets)) == buckets


@settings(max_examples=30, deadline=None)
@given(
    st.dictionaries(
        st.binary(min_size=1, max_size=20),
        st.dictionaries(st.binary(min_size=1, max_size=600), st.binary(max_size=5000), max_size=40),
        max_size=4,
    )
)
def test_any_buckets_survive(buckets: Buckets) -> None:
    assert read(write(buckets)) == buckets


def test_keys_must_ascend() -> None:
    writer = Writer(io.BytesIO())
    writer.begin(b"b")
    writer.put(b"k2", b"")
    for key in (b"k1", b"k2", b""):
        with pytest.raises(ValueError, match="out of order"):
            writer.put(key, b"")
    with pytest.raises(ValueError, match="cannot begin"):
        writer.begin(b"c")
    with pytest.raises(ValueError, match="still open"):
        writer.close()


def test_fnv_is_the_published_function() -> None:
    assert fnv64a(b"") == 0xCBF29CE484222325
    assert fnv64a(b"a") == 0xAF63DC4C8601EC8C
    assert fnv64a(b"foobar") == 0x85944171F73967E8


WHOLE = write({b"key": {b"%04d" % n: b"v" * 50 for n in range(300)}, b"meta": {b"a": b"b"}})


@pytest.mark.parametrize(
    ("data", "text"),
    [
        pytest.param(b"", "shorter than a page", id="nothing"),
        pytest.param(b"x" * 9000, "no magic number at offset 0", id="something else"),
        pytest.param(WHOLE[:-PAGE_BYTES], "cut off: ", id="cut off"),
        pytest.param(WHOLE[:100], "cut off: ", id="hardly begun"),
    ],
)
def test_no_whole_file_is_refused_in_words(data: bytes, text: str) -> None:
    with pytest.raises(BadFile, match=text):
        read(data)


def test_the_second_meta_serves_when_the_first_is_damaged() -> None:
    data = bytearray(WHOLE)
    data[PAGE.size + 20] ^= 1
    assert read(bytes(data)) == read(WHOLE)
    data[PAGE_BYTES + PAGE.size + 20] ^= 1
    with pytest.raises(BadFile, match="does not match its checksum"):
        read(bytes(data))


def test_a_page_that_names_itself_is_refused() -> None:
    data = bytearray(WHOLE)
    _, _, _, _, root, _, _, _, _ = META_BODY.unpack_from(data, PAGE.size)
    # The root holds buckets; a bucket whose root is the root page goes round in circles.
    at = data.index(b"key", root * PAGE_BYTES) + len(b"keymeta")
    data[at - 4 : at + 4] = root.to_bytes(8, "little")
    with pytest.raises(BadFile):
        read(bytes(data))


@settings(max_examples=100, deadline=None)
@given(st.integers(0, len(WHOLE) - 1), st.integers(1, 255))
def test_a_damaged_byte_is_read_or_refused(at: int, bits: int) -> None:
    data = bytearray(WHOLE)
    data[at] ^= bits
    with contextlib.suppress(BadFile):
        read(bytes(data))
