"""Commands of users: who may do what is decided at the entry's place in the log, and survives snapshots."""

import msgspec
import pytest

from kvstore.auth import errors
from kvstore.auth.permissions import READ, READWRITE, WRITE
from kvstore.auth.store import Permission
from kvstore.machine import access, snapshot
from kvstore.machine.auth_commands import (
    AuthDisable,
    AuthEnable,
    Authenticate,
    RoleAdd,
    RoleDelete,
    RoleGrantPermission,
    RoleRevokePermission,
    UserAdd,
    UserChangePassword,
    UserDelete,
    UserGrantRole,
    UserRevokeRole,
)
from kvstore.machine.commands import (
    Alarm,
    Compact,
    Compare,
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberAttributes,
    Plain,
    Put,
    Range,
    Signed,
    Txn,
    decode,
    encode,
)
from kvstore.machine.machine import StateMachine
from kvstore.machine.outcome import (
    AuthenticateReply,
    AuthReply,
    Outcome,
    TokenAssigned,
    TokensVoid,
)
from kvstore.mvcc.errors import LeaseNotFound, NoSpace

SETUP = (
    UserAdd("root", b"hash"),
    UserGrantRole("root", "root"),
    RoleAdd("r"),
    RoleGrantPermission("r", Permission(READ, b"read", b"reae")),
    RoleGrantPermission("r", Permission(WRITE, b"write", b"writf")),
    RoleGrantPermission("r", Permission(READWRITE, b"both")),
    UserAdd("al", b"hash"),
    UserGrantRole("al", "r"),
    LeaseGrant(7, 100),
    LeaseGrant(8, 100),
    Put(b"secret", b"s", lease=7),
    Put(b"both", b"b", lease=8),
)


def do(machine: StateMachine, command: Plain | Signed) -> Outcome:
    (outcome,) = machine.apply(machine.applied_index + 1, [encode(command)])
    return outcome


@pytest.fixture
def guarded(machine: StateMachine) -> StateMachine:
    for command in (*SETUP, AuthEnable(b"secret")):
        assert not isinstance(do(machine, command).reply, Exception)
    return machine


def by(machine: StateMachine, user: str, command: Plain, age: int = 0) -> object:
    return do(machine, Signed(command, user, machine.auth.revision - age)).reply


DENIED = errors.PermissionDenied
OK = type(None)


@pytest.mark.parametrize(
    ("command", "refusal"),
    [
        pytest.param(Put(b"write1"), OK, id="put"),
        pytest.param(Put(b"read1"), DENIED, id="put_where_reading_is_allowed"),
        pytest.param(Put(b"other"), DENIED, id="put_elsewhere"),
        pytest.param(Put(b"write1", prev_kv=True), DENIED, id="put_with_prev_kv_reads"),
        pytest.param(Put(b"both", prev_kv=True), OK, id="put_with_prev_kv_allowed"),
        pytest.param(Put(b"both", lease=7), DENIED, id="put_on_a_lease_of_others"),
        pytest.param(Put(b"both", lease=8), OK, id="put_on_the_own_lease"),
        pytest.param(Put(b"both", lease=9), LeaseNotFound, id="put_on_no_lease"),
        pytest.param(DeleteRange(b"write", b"writf"), OK, id="delete"),
        pytest.param(DeleteRange(b"write", b"writg"), DENIED, id="delete_too_much"),
        pytest.param(DeleteRange(b"write", b"\0"), DENIED, id="delete_from_key_on"),
        pytest.param(DeleteRange(b"write1", prev_kv=True), DENIED, id="delete_with_prev_kv_reads"),
        pytest.param(DeleteRange(b"both", prev_kv=True), OK, id="delete_with_prev_kv_allowed"),
        pytest.param(Txn(success=(Put(b"write1"), Range(b"read1"))), OK, id="txn"),
        pytest.param(Txn((Compare(0, 0, b"secret"),)), DENIED, id="txn_compares_are_reads"),
        pytest.param(Txn((Compare(0, 0, b"read1", b"\0"),)), DENIED, id="txn_compares_a_range"),
        pytest.param(
            Txn((Compare(0, 0, b"read1"),), failure=(Range(b"secret"),)),
            DENIED,
            id="txn_branch_that_does_not_run",
        ),
        pytest.param(
            Txn(success=(Txn(failure=(Txn(success=(Put(b"other"),)),)),)), DENIED, id="nested_put"
        ),
        pytest.param(Txn(success=(Txn(success=(Range(b"secret"),)),)), DENIED, id="nested_range"),
        pytest.param(Txn(success=(Txn((Compare(0, 0, b"secret"),)),)), DENIED, id="nested_compare"),
        pytest.param(
            Txn(success=(Txn(success=(DeleteRange(b"other"),)),)), DENIED, id="nested_delete"
        ),
        pytest.param(
            Txn(success=(Put(b"write1", prev_kv=True),)), DENIED, id="put_with_prev_kv_in_txn"
        ),
        pytest.param(Txn(success=(Put(b"both", lease=7),)), DENIED, id="put_on_a_lease_in_txn"),
        pytest.param(
            Txn(success=(DeleteRange(b"write1", prev_kv=True),)), DENIED, id="delete_prev_kv_in_txn"
        ),
        pytest.param(LeaseGrant(20, 5), OK, id="lease_grant"),
        pytest.param(LeaseRevoke(7), DENIED, id="lease_revoke_of_others"),
        pytest.param(LeaseRevoke(8), OK, id="lease_revoke"),
        pytest.param(LeaseRevoke(9), LeaseNotFound, id="lease_revoke_of_none"),
        pytest.param(Compact(2), DENIED, id="compact"),
        pytest.param(Alarm(1, 1, 1), DENIED, id="alarm"),
        pytest.param(MemberAttributes(1, "x"), DENIED, id="member_attributes"),
        pytest.param(LeaseCheckpoint(((8, 1),)), DENIED, id="lease_checkpoint"),
        pytest.param(AuthEnable(b"x"), DENIED, id="auth_enable"),
        pytest.param(AuthDisable(), DENIED, id="auth_disable"),
        pytest.param(UserAdd("x"), DENIED, id="user_add"),
        pytest.param(UserDelete("al"), DENIED, id="user_delete"),
        pytest.param(UserChangePassword("al", b"x"), DENIED, id="user_change_password"),
        pytest.param(UserGrantRole("al", "root"), DENIED, id="user_grant_role"),
        pytest.param(UserRevokeRole("al", "r"), DENIED, id="user_revoke_role"),
        pytest.param(RoleAdd("x"), DENIED, id="role_add"),
        pytest.param(RoleDelete("r"), DENIED, id="role_delete"),
        pytest.param(
            RoleGrantPermission("r", Permission(READ, b"secret")), DENIED, id="role_grant"
        ),
        pytest.param(RoleRevokePermission("r", b"both"), DENIED, id="role_revoke"),
    ],
)
def test_what_a_user_may_do(guarded, command, refusal):
    digests = guarded.digest(), guarded.auth.digest()
    reply = by(guarded, "al", command)
    if refusal is OK:
        assert not isinstance(reply, Exception)
    else:
        assert type(reply) is refusal
        assert (guarded.digest(), guarded.auth.digest()) == digests
    # Without a name, with or without the envelope, none of it is done; root may do all of it.
    for unsigned in (command, Signed(command)):
        reply = do(guarded, unsigned).reply
        if unsigned is command and isinstance(command, MemberAttributes | LeaseCheckpoint):
            continue  # only members put these into the log
        assert reply == errors.UserEmpty()
    assert not isinstance(by(guarded, "root", command), errors.AuthError)


def test_members_themselves_may_do_everything(guarded):
    for command in (Compact(2), Alarm(1, 1, 1), LeaseRevoke(7), MemberAttributes(1, "m")):
        reply = do(guarded, Signed(command, is_system=True)).reply
        assert not isinstance(reply, Exception)


def test_a_write_decided_before_users_changed_is_refused(guarded):
    assert by(guarded, "al", Put(b"both"), age=1) == errors.AuthOldRevision()
    assert by(guarded, "root", Put(b"both"), age=1) == errors.AuthOldRevision()
    assert by(guarded, "root", RoleAdd("x"), age=1) == AuthReply()


def test_a_write_proposed_while_authentication_was_off_is_nobodys(machine):
    late = [
        encode(Put(b"k")),
        encode(LeaseRevoke(7)),
        encode(Signed(LeaseRevoke(7), is_system=True)),
    ]
    for command in (*SETUP, AuthEnable(b"secret")):
        do(machine, command)
    replies = [outcome.reply for outcome in machine.apply(machine.applied_index + 1, late)]
    assert replies[:2] == [errors.UserEmpty()] * 2
    assert not isinstance(replies[2], Exception)


@pytest.mark.parametrize("alarm", [1, 2])
def test_alarms_do_not_lift_the_check(guarded, alarm):
    do(guarded, Signed(Alarm(1, 1, alarm), is_system=True))
    for command in (AuthDisable(), DeleteRange(b"secret"), LeaseRevoke(7), Put(b"secret")):
        assert by(guarded, "al", command) == DENIED()
        assert do(guarded, command).reply == errors.UserEmpty()
    assert isinstance(by(guarded, "root", Put(b"secret")), Exception)
    # Users can be changed in spite of alarms, as in etcd.
    assert by(guarded, "root", UserAdd("x")) == AuthReply()


def test_a_full_store_is_told_only_to_those_who_may_write(guarded):
    do(guarded, Signed(Alarm(1, 1, 1), is_system=True))
    assert by(guarded, "al", Put(b"both")) == NoSpace()
    assert by(guarded, "al", Put(b"secret")) == DENIED()


def test_logins_give_tokens_and_changes_take_them(guarded):
    revision = guarded.auth.revision
    outcome = do(guarded, Authenticate("al", "abc", revision))
    token = f"abc.{guarded.applied_index}"
    assert outcome.reply == AuthenticateReply(token, revision)
    assert outcome.effects == (TokenAssigned(token, "al"),)
    signed = do(guarded, Authenticate("al", "", revision))
    assert (signed.reply, signed.effects) == (AuthenticateReply("", revision), ())
    assert do(guarded, Authenticate("al", "x", revision - 1)).reply == errors.AuthOldRevision()
    assert do(guarded, Authenticate("no", "x", revision)).reply == errors.AuthFailed()

    def voids(command: Plain) -> tuple[object, ...]:
        return do(guarded, Signed(command, "root", guarded.auth.revision)).effects

    assert voids(UserChangePassword("al", b"h")) == (TokensVoid("al"),)
    assert voids(UserDelete("al")) == (TokensVoid("al"),)
    assert voids(UserDelete("al")) == ()
    assert voids(RoleAdd("q")) == ()
    assert voids(AuthDisable()) == (TokensVoid(),)
    off = do(guarded, Authenticate("root", "x", guarded.auth.revision))
    assert off.reply == errors.AuthNotEnabled()


def test_a_restored_member_equals_one_that_applied_the_log(guarded):
    # etcd once lost the auth part of its state between the two (its issue 14571).
    copy = StateMachine()
    copy.restore(list(guarded.snapshot()))
    for machine in (guarded, copy):
        assert by(machine, "al", Put(b"secret")) == DENIED()
        by(machine, "root", RoleGrantPermission("r", Permission(WRITE, b"secret")))
        assert not isinstance(by(machine, "al", Put(b"secret")), Exception)
        machine.check_invariants()
    assert copy.auth.state() == guarded.auth.state()
    assert copy.auth.digest() == guarded.auth.digest()
    assert copy.digest() == guarded.digest()
    assert b"".join(copy.snapshot()) == b"".join(guarded.snapshot())


def test_a_restore_switches_authentication_off_and_on(guarded, machine):
    plain = StateMachine()
    do(plain, Put(b"k", b"v"))
    on, off = list(guarded.snapshot()), list(plain.snapshot())
    plain.restore(on)
    assert do(plain, Put(b"k")).reply == errors.UserEmpty()
    plain.restore(off)
    assert not isinstance(do(plain, Put(b"k")).reply, Exception)
    plain.check_invariants()


def test_a_snapshot_from_before_there_were_users_can_be_read(machine, monkeypatch):
    do(machine, Put(b"k", b"v"))

    class OldHead(msgspec.Struct, frozen=True, array_like=True):
        applied_index: int
        revision: int
        compact_revision: int
        leases: list[tuple[int, int, int]]
        alarms: list[tuple[int, int]]
        members: list[tuple[int, str, tuple[str, ...]]]

    with monkeypatch.context() as patch:
        patch.setattr(snapshot, "Head", lambda *fields: OldHead(*fields[:6]))
        old = list(machine.snapshot())
    copy = StateMachine()
    copy.restore(old)
    assert (copy.revision, copy.auth.is_enabled, copy.auth.revision) == (2, False, 1)
    assert copy.digest() == machine.digest()


def test_a_log_from_before_there_were_users_can_be_read():
    # Byte for byte what was written then.
    assert decode(bytes.fromhex("97a170c4016bc4017600c2c2c2")) == Put(b"k", b"v")
    assert decode(bytes.fromhex("92a26c7207")) == LeaseRevoke(7)


@pytest.mark.parametrize("command", [*SETUP, AuthEnable(b"s"), Signed(Put(b"k"), "al", 3)])
def test_commands_survive_the_log(command):
    assert decode(encode(command)) == command


def test_envelopes_do_not_nest():
    inner = Signed(Signed(Put(b"k"), is_system=True), "al", 3)  # type: ignore[arg-type]
    with pytest.raises(msgspec.ValidationError):
        decode(encode(inner))


def test_every_command_is_somebodys(guarded):
    """A command that is added and forgotten in the rules is root's, not everybody's."""

    class Unknown(msgspec.Struct, frozen=True):
        pass

    who = access.signer(Signed(Put(b"k"), "al", guarded.auth.revision))[1]
    unknown: Plain = Unknown()  # type: ignore[assignment]
    assert access.refusal(guarded.auth, guarded.lessor, who, unknown) == DENIED()
