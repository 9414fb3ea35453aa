"""Texts of list items: written once a state, and never more of them than there is room for."""

import msgspec

from controlplane.apiserver.requests.item_texts import ItemTexts


def _object(number: int) -> dict[str, object]:
    return {"kind": "ConfigMap", "apiVersion": "v1", "metadata": {"name": f"c{number}"}}


def test_a_state_is_written_once():
    texts, obj = ItemTexts(), _object(1)
    raw = texts.of(obj, False)
    assert bytes(raw) == b'{"metadata":{"name":"c1"}}'
    assert texts.of(obj, False) is raw
    assert texts.of(_object(1), False) is not raw


def test_custom_objects_keep_their_type():
    assert msgspec.json.decode(bytes(ItemTexts().of(_object(1), True))) == _object(1)


def test_the_oldest_make_room():
    size = len(b'{"metadata":{"name":"c1"}}')
    texts, objects = ItemTexts(max_bytes=3 * size), [_object(number) for number in range(5)]
    raws = [texts.of(obj, False) for obj in objects]
    assert texts.of(objects[4], False) is raws[4]
    assert texts.of(objects[2], False) is raws[2]
    assert texts.of(objects[0], False) is not raws[0]
