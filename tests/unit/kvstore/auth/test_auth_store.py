"""Users, roles, permissions: etcd's rules in etcd's order."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kvstore.auth import errors
from kvstore.auth.permissions import READ, READWRITE, WRITE
from kvstore.auth.store import NOBODY, AuthState, AuthStore, Identity, Permission
from kvstore.mvcc.ranges import in_range

ERRORS = {name: cls for name, cls in vars(errors).items() if isinstance(cls, type)}


@pytest.fixture
def store():
    """Authentication on; `root`, and `al` with role `r`: reads [a, c), writes x."""
    made = AuthStore()
    refusals = [
        made.user_add("root", b"hash", False),
        made.user_grant_role("root", "root"),
        made.role_add("r"),
        made.role_grant("r", Permission(READ, b"a", b"c")),
        made.role_grant("r", Permission(WRITE, b"x")),
        made.user_add("al", b"hash", False),
        made.user_grant_role("al", "r"),
        made.enable(b"secret"),
    ]
    assert refusals == [None] * len(refusals)
    yield made
    made.check_invariants()


def now(store: AuthStore, user: str) -> Identity:
    return Identity(user, store.revision)


def test_it_begins_off_at_revision_one():
    store = AuthStore()
    assert (store.is_enabled, store.revision) == (False, 1)
    assert store.check_range(NOBODY, b"a") is None
    assert store.check_admin(NOBODY) is None
    assert store.check_user(NOBODY) is None


def test_it_cannot_begin_without_root_and_its_role():
    store = AuthStore()
    assert store.enable(b"s") == errors.RootUserNotExist()
    store.user_add("root", b"", False)
    assert store.enable(b"s") == errors.RootRoleNotExist()
    # The root role need not have been made.
    assert store.user_grant_role("root", "root") is None
    assert store.enable(b"s") is None
    assert store.enable(b"other") is None
    assert store.secret == b"s"
    store.check_invariants()


@pytest.mark.parametrize(
    ("method", "args", "refusal"),
    [
        ("user_add", ("", b"", False), "UserEmpty"),
        ("user_add", ("al", b"", False), "UserAlreadyExist"),
        ("user_delete", ("nope",), "UserNotFound"),
        ("user_delete", ("root",), "InvalidAuthMgmt"),
        ("user_change_password", ("nope", b""), "UserNotFound"),
        ("user_grant_role", ("nope", "r"), "UserNotFound"),
        ("user_grant_role", ("al", "nope"), "RoleNotFound"),
        ("user_revoke_role", ("nope", "r"), "UserNotFound"),
        ("user_revoke_role", ("al", "root"), "RoleNotGranted"),
        ("user_revoke_role", ("root", "root"), "InvalidAuthMgmt"),
        ("role_add", ("",), "RoleEmpty"),
        ("role_add", ("r",), "RoleAlreadyExist"),
        ("role_delete", ("nope",), "RoleNotFound"),
        ("role_delete", ("root",), "InvalidAuthMgmt"),
        ("role_grant", ("nope", Permission(READ, b"k")), "RoleNotFound"),
        ("role_revoke", ("nope", b"k", b""), "RoleNotFound"),
        ("role_revoke", ("r", b"a", b""), "PermissionNotGranted"),
        ("check_login", ("nope", 8), "AuthFailed"),
        ("check_login", ("al", 1), "AuthOldRevision"),
    ],
)
def test_refusals_change_nothing(store, method, args, refusal):
    before = store.state()
    assert getattr(store, method)(*args) == ERRORS[refusal]()
    assert store.state() == before


def test_every_change_counts_and_a_role_given_twice_does_not(store):
    revision = store.revision
    store.user_grant_role("al", "r")
    assert store.revision == revision
    for change in (
        lambda: store.role_add("q"),
        lambda: store.role_grant("q", Permission(READ, b"k")),
        lambda: store.role_revoke("q", b"k", b""),
        lambda: store.user_grant_role("al", "q"),
        lambda: store.user_revoke_role("al", "q"),
        lambda: store.user_add("bo", b"h", False),
        lambda: store.user_change_password("bo", b"i"),
        lambda: store.user_delete("bo"),
        lambda: store.role_delete("q"),
        store.disable,
    ):
        change()
        revision += 1
        assert store.revision == revision
    store.disable()
    assert store.revision == revision


@pytest.mark.parametrize(
    ("user", "key", "end", "is_write", "refusal"),
    [
        ("al", b"a", b"", False, None),
        ("al", b"a", b"c", False, None),
        ("al", b"a", b"d", False, "PermissionDenied"),
        ("al", b"a", b"", True, "PermissionDenied"),
        ("al", b"x", b"", True, None),
        ("al", b"x", b"", False, "PermissionDenied"),
        ("al", b"\0", b"\0", False, "PermissionDenied"),
        ("root", b"\0", b"\0", True, None),
        ("gone", b"a", b"", False, "PermissionDenied"),
    ],
)
def test_ranges(store, user, key, end, is_write, refusal):
    wanted = refusal and ERRORS[refusal]()
    assert store.check_range(now(store, user), key, end, is_write=is_write) == wanted


def test_whoever_is_nobody_has_no_name(store):
    assert store.check_range(NOBODY, b"a") == errors.UserEmpty()
    assert store.check_admin(NOBODY) == errors.UserEmpty()
    assert store.check_user(NOBODY) == errors.UserEmpty()


def test_an_old_revision_is_good_for_administration_only(store):
    root = now(store, "root")
    store.role_add("q")
    assert store.check_range(root, b"a") == errors.AuthOldRevision()
    assert store.check_admin(root) is None
    assert store.check_admin(now(store, "al")) == errors.PermissionDenied()
    assert store.check_admin(now(store, "gone")) == errors.UserNotFound()


def test_nobody_inherits_the_powers_of_a_namesake(store):
    store.user_add("bo", b"h", False)
    store.user_grant_role("bo", "root")
    before = now(store, "bo")
    assert store.check_admin(before) is None
    store.user_delete("bo")
    assert store.check_admin(before) == errors.UserNotFound()
    assert store.check_user(before) == errors.PermissionDenied()
    store.user_add("bo", b"h", False)
    store.user_grant_role("bo", "root")
    assert store.check_admin(before) == errors.AuthOldRevision()
    assert store.check_user(before) == errors.AuthOldRevision()
    assert store.check_admin(now(store, "bo")) is None


def test_another_password_and_turning_off_void_what_was_before(store):
    root = now(store, "root")
    store.user_change_password("root", b"new")
    assert store.check_admin(root) == errors.AuthOldRevision()
    root = now(store, "root")
    store.disable()
    store.enable(b"other")
    assert store.check_admin(root) == errors.AuthOldRevision()


def test_users_see_themselves_and_their_roles(store):
    al = now(store, "al")
    assert store.check_user_get(al, "al") is None
    assert store.check_user_get(al, "root") == errors.PermissionDenied()
    assert store.check_role_get(al, "r") is None
    assert store.check_role_get(al, "root") == errors.PermissionDenied()
    assert store.check_user_get(NOBODY, "") == errors.UserEmpty()
    assert store.check_role_get(NOBODY, "r") == errors.UserEmpty()
    store.user_change_password("al", b"new")
    assert store.check_user_get(al, "al") == errors.AuthOldRevision()
    assert store.check_role_get(al, "r") == errors.AuthOldRevision()


def test_a_deleted_role_leaves_its_users(store):
    store.role_delete("r")
    assert store.users["al"].roles == ()
    assert store.check_range(now(store, "al"), b"a") == errors.PermissionDenied()


def test_a_grant_on_the_same_range_changes_its_kind_and_place_stays(store):
    store.role_grant("r", Permission(READ, b"a", b"b"))
    store.role_grant("r", Permission(WRITE, b"a", b"c"))
    assert [(one.kind, one.key, one.range_end) for one in store.roles["r"].permissions] == [
        (WRITE, b"a", b"c"),
        (READ, b"a", b"b"),
        (WRITE, b"x", b""),
    ]


def test_a_kind_that_does_not_exist_grants_nothing(store):
    store.role_grant("r", Permission(7, b"q"))
    for is_write in (False, True):
        refusal = store.check_range(now(store, "al"), b"q", is_write=is_write)
        assert refusal == errors.PermissionDenied()


def test_a_user_without_password_keeps_none(store):
    store.user_add("np", b"hash", True)
    store.user_change_password("np", b"hash")
    assert store.users["np"].password == b""
    assert store.check_login("np", store.revision) == errors.AuthFailed()
    assert store.check_login("al", store.revision) is None


def test_a_state_read_back_is_the_same(store):
    other = AuthStore()
    other.adopt(store.state())
    assert other.state() == store.state()
    assert other.digest() == store.digest() != AuthStore().digest()
    assert other.check_range(now(other, "al"), b"b") is None
    other.adopt(AuthState())
    assert other.check_range(NOBODY, b"b") is None


keys = st.binary(min_size=1, max_size=2)
permissions = st.builds(
    Permission,
    st.sampled_from([READ, WRITE, READWRITE]),
    keys,
    st.one_of(st.just(b""), st.just(b"\0"), keys),
)


@given(st.lists(st.tuples(st.sampled_from("pq"), permissions), max_size=8), keys, st.booleans())
def test_one_key_is_allowed_if_a_role_of_the_user_says_so(grants, key, is_write):
    store = AuthStore()
    store.user_add("root", b"", False)
    store.user_grant_role("root", "root")
    store.user_add("al", b"", False)
    for role in "pqr":
        store.role_add(role)
    for role in "pr":
        store.user_grant_role("al", role)
    for role, permission in grants:
        store.role_grant(role, permission)
    store.enable(b"s")
    # The last grant on a range is the one that counts.
    last = {(role, one.key, one.range_end): one for role, one in grants}
    wanted = (WRITE if is_write else READ, READWRITE)
    is_allowed = any(
        role == "p" and one.kind in wanted and in_range(key, one.key, one.range_end)
        for (role, _, _), one in last.items()
    )
    refusal = store.check_range(now(store, "al"), key, is_write=is_write)
    assert refusal == (None if is_allowed else errors.PermissionDenied())
    store.check_invariants()
