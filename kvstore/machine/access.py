"""What each command needs the caller to be allowed, asked right before it is applied.

Only here is the answer certain: between a member's own look and the command's place in the log, users and roles may
change. The rules are those of etcd 3.5 (server/etcdserver/apply_auth.go) with what its published bypasses taught:

* operations in nested transactions are checked like any other (GHSA-rfx7-8w68-q57q)
* a put inside a transaction needs what a plain one needs: reading for prev_kv, and writing all keys of the lease it
  hangs on (GHSA-x35m-3gp4-4fh5); both branches count, whichever will run
* leases, compaction and raising or clearing alarms are not for everybody (GHSA-q8m4-xhhv-38mg)
* a raised alarm does not take the check away, since it comes first (etcd pull request 22386)
"""

from kvstore.auth.errors import AuthError
from kvstore.auth.store import NOBODY, AuthStore, Identity
from kvstore.lease.lessor import Lessor
from kvstore.machine.auth_commands import Authenticate
from kvstore.machine.commands import (
    DeleteRange,
    LeaseCheckpoint,
    LeaseGrant,
    LeaseRevoke,
    MemberAttributes,
    Op,
    Plain,
    Put,
    Range,
    Signed,
    Txn,
    is_too_deep,
)


def signer(command: Plain | Signed) -> tuple[Plain, Identity | None]:
    """The command itself and who wants it; None = a member itself, which may do everything."""
    if isinstance(command, Signed):
        if command.is_system:
            return command.command, None
        return command.command, Identity(command.user, command.auth_revision)
    if isinstance(command, MemberAttributes | LeaseCheckpoint | Authenticate):
        # No client can ask for the first two, and the last is how a client gets to be somebody.
        return command, None
    return command, NOBODY


def refusal(
    auth: AuthStore, lessor: Lessor, who: Identity | None, command: Plain
) -> AuthError | None:
    """Why `who` may not do `command`; None if it may."""
    if who is None or not auth.is_enabled or isinstance(command, Authenticate):
        return None
    if isinstance(command, Put | DeleteRange):
        return _op(auth, lessor, who, command)
    if isinstance(command, Txn):
        return txn_refusal(auth, lessor, who, command)
    if isinstance(command, LeaseGrant):
        return auth.check_user(who)
    if isinstance(command, LeaseRevoke):
        return auth.check_user(who) or lease_keys_refusal(
            auth, lessor, who, command.id, is_write=True
        )
    # Compaction, alarms, users, roles: whatever is not named above is root's.
    return auth.check_admin(who)


def txn_refusal(auth: AuthStore, lessor: Lessor, who: Identity, txn: Txn) -> AuthError | None:
    """As `refusal`, for a transaction and all transactions in it."""
    # A transaction nested deeper than that is refused as a whole before it runs.
    return None if is_too_deep(txn) else _txn(auth, lessor, who, txn)


def lease_keys_refusal(
    auth: AuthStore, lessor: Lessor, who: Identity, lease_id: int, *, is_write: bool
) -> AuthError | None:
    """Why `who` may not read (or write) every key on the lease; root need not be asked key by key."""
    if auth.check_admin(who) is None:
        return None
    lease = lessor.leases.get(lease_id)
    for key in lease.keys if lease is not None else ():
        found = auth.check_range(who, key, is_write=is_write)
        if found is not None:
            return found
    return None


def _txn(auth: AuthStore, lessor: Lessor, who: Identity, txn: Txn) -> AuthError | None:
    for compare in txn.compares:
        found = auth.check_range(who, compare.key, compare.range_end)
        if found is not None:
            return found
    for op in (*txn.success, *txn.failure):
        found = _op(auth, lessor, who, op)
        if found is not None:
            return found
    if not (txn.compares or txn.success or txn.failure):
        return auth.check_user(who)
    return None


def _op(auth: AuthStore, lessor: Lessor, who: Identity, op: Op) -> AuthError | None:
    if isinstance(op, Txn):
        return _txn(auth, lessor, who, op)
    if isinstance(op, Range):
        return auth.check_range(who, op.key, op.range_end)
    range_end = op.range_end if isinstance(op, DeleteRange) else b""
    found = auth.check_range(who, op.key, range_end, is_write=True)
    if found is None and isinstance(op, Put) and op.lease:
        # Who may put keys on a lease may end it, and so delete its other keys: all of them must be writable.
        found = lease_keys_refusal(auth, lessor, who, op.lease, is_write=True)
    if found is None and op.prev_kv:
        found = auth.check_range(who, op.key, range_end)
    return found
