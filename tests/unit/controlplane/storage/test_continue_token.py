"""Paging tokens."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controlplane.storage import continue_token
from controlplane.storage.errors import BadContinueError


@given(st.text(min_size=1).filter(lambda key: ".." not in key), st.integers(1, 2**62))
def test_token_says_what_was_put_in(key: str, revision: int) -> None:
    token = continue_token.encode("/registry/pods/", "/registry/pods/" + key, revision)
    assert continue_token.decode(token, "/registry/pods/") == ("/registry/pods/" + key, revision)


@pytest.mark.parametrize("token", ["", "x", "%%%", base64.b64encode(b"{}").decode()])
def test_foreign_token_is_refused(token: str) -> None:
    with pytest.raises(BadContinueError):
        continue_token.decode(token, "/registry/pods/")


def test_token_cannot_lead_out_of_its_list() -> None:
    with pytest.raises(BadContinueError):
        continue_token.encode("/registry/pods/", "/registry/secrets/a", 1)
    token = continue_token.encode("/registry/pods/", "/registry/pods/../secrets/a", 1)
    with pytest.raises(BadContinueError):
        continue_token.decode(token, "/registry/pods/")
