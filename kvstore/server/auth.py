"""Auth servicer: each method is convert, call, convert. Every answer carries the whole header, as etcd's do."""

from kvstore.auth.errors import PermissionNotGiven
from kvstore.auth.store import Permission
from kvstore.pb import auth_pb2
from kvstore.pb import rpc_pb2 as pb
from kvstore.server.header import Header
from kvstore.service.auth import AuthService
from kvstore.wire.engine import CallContext, UnaryHandler


class AuthServicer:
    """etcdserverpb.Auth."""

    def __init__(self, service: AuthService, header: Header) -> None:
        self._service = service
        self._header = header

    def unary(self) -> dict[str, UnaryHandler]:
        """Handlers by method path."""
        methods: dict[str, UnaryHandler] = {
            "AuthEnable": self.auth_enable,
            "AuthDisable": self.auth_disable,
            "AuthStatus": self.auth_status,
            "Authenticate": self.authenticate,
            "UserAdd": self.user_add,
            "UserGet": self.user_get,
            "UserList": self.user_list,
            "UserDelete": self.user_delete,
            "UserChangePassword": self.user_change_password,
            "UserGrantRole": self.user_grant_role,
            "UserRevokeRole": self.user_revoke_role,
            "RoleAdd": self.role_add,
            "RoleGet": self.role_get,
            "RoleList": self.role_list,
            "RoleDelete": self.role_delete,
            "RoleGrantPermission": self.role_grant_permission,
            "RoleRevokePermission": self.role_revoke_permission,
        }
        return {f"/etcdserverpb.Auth/{name}": handler for name, handler in methods.items()}

    async def auth_enable(self, _data: bytes, context: CallContext) -> bytes:
        """AuthEnableRequest -> AuthEnableResponse."""
        return self._header.encoded(await self._service.enable(context))

    async def auth_disable(self, _data: bytes, context: CallContext) -> bytes:
        """AuthDisableRequest -> AuthDisableResponse."""
        return self._header.encoded(await self._service.disable(context))

    async def auth_status(self, _data: bytes, context: CallContext) -> bytes:
        """AuthStatusRequest -> AuthStatusResponse."""
        is_enabled, revision = await self._service.status(context)
        return self._answer(pb.AuthStatusResponse(enabled=is_enabled, authRevision=revision))

    async def authenticate(self, data: bytes, _: CallContext) -> bytes:
        """AuthenticateRequest -> AuthenticateResponse."""
        request = pb.AuthenticateRequest.FromString(data)
        token, revision = await self._service.authenticate(request.name, request.password)
        response = pb.AuthenticateResponse(token=token)
        return self._header.encoded(revision) + response.SerializeToString()

    async def user_add(self, data: bytes, context: CallContext) -> bytes:
        """AuthUserAddRequest -> AuthUserAddResponse."""
        request = pb.AuthUserAddRequest.FromString(data)
        revision = await self._service.user_add(
            request.name,
            request.password,
            has_no_password=request.options.no_password,
            caller=context,
        )
        return self._header.encoded(revision)

    async def user_get(self, data: bytes, context: CallContext) -> bytes:
        """AuthUserGetRequest -> AuthUserGetResponse."""
        request = pb.AuthUserGetRequest.FromString(data)
        roles = await self._service.user_get(request.name, context)
        return self._answer(pb.AuthUserGetResponse(roles=roles))

    async def user_list(self, _data: bytes, context: CallContext) -> bytes:
        """AuthUserListRequest -> AuthUserListResponse."""
        users = await self._service.user_list(context)
        return self._answer(pb.AuthUserListResponse(users=users))

    async def user_delete(self, data: bytes, context: CallContext) -> bytes:
        """AuthUserDeleteRequest -> AuthUserDeleteResponse."""
        request = pb.AuthUserDeleteRequest.FromString(data)
        return self._header.encoded(await self._service.user_delete(request.name, context))

    async def user_change_password(self, data: bytes, context: CallContext) -> bytes:
        """AuthUserChangePasswordRequest -> AuthUserChangePasswordResponse."""
        request = pb.AuthUserChangePasswordRequest.FromString(data)
        revision = await self._service.user_change_password(
            request.name, request.password, request.hashedPassword, context
        )
        return self._header.encoded(revision)

    async def user_grant_role(self, data: bytes, context: CallContext) -> bytes:
        """AuthUserGrantRoleRequest -> AuthUserGrantRoleResponse."""
        request = pb.AuthUserGrantRoleRequest.FromString(data)
        revision = await self._service.user_grant_role(request.user, request.role, context)
        return self._header.encoded(revision)

    async def user_revoke_role(self, data: bytes, context: CallContext) -> bytes:
        """AuthUserRevokeRoleRequest -> AuthUserRevokeRoleResponse."""
        request = pb.AuthUserRevokeRoleRequest.FromString(data)
        revision = await self._service.user_revoke_role(request.name, request.role, context)
        return self._header.encoded(revision)

    async def role_add(self, data: bytes, context: CallContext) -> bytes:
        """AuthRoleAddRequest -> AuthRoleAddResponse."""
        request = pb.AuthRoleAddRequest.FromString(data)
        return self._header.encoded(await self._service.role_add(request.name, context))

    async def role_get(self, data: bytes, context: CallContext) -> bytes:
        """AuthRoleGetRequest -> AuthRoleGetResponse."""
        request = pb.AuthRoleGetRequest.FromString(data)
        permissions = await self._service.role_get(request.role, context)
        response = pb.AuthRoleGetResponse()
        for one in permissions:
            added = response.perm.add(key=one.key, range_end=one.range_end)
            # Assigned, since the constructor refuses numbers without a name.
            added.permType = one.kind  # type: ignore[assignment]
        return self._answer(response)

    async def role_list(self, _data: bytes, context: CallContext) -> bytes:
        """AuthRoleListRequest -> AuthRoleListResponse."""
        roles = await self._service.role_list(context)
        return self._answer(pb.AuthRoleListResponse(roles=roles))

    async def role_delete(self, data: bytes, context: CallContext) -> bytes:
        """AuthRoleDeleteRequest -> AuthRoleDeleteResponse."""
        request = pb.AuthRoleDeleteRequest.FromString(data)
        return self._header.encoded(await self._service.role_delete(request.role, context))

    async def role_grant_permission(self, data: bytes, context: CallContext) -> bytes:
        """AuthRoleGrantPermissionRequest -> AuthRoleGrantPermissionResponse."""
        request = pb.AuthRoleGrantPermissionRequest.FromString(data)
        if not request.HasField("perm"):
            raise PermissionNotGiven
        permission = _permission_from_pb(request.perm)
        revision = await self._service.role_grant(request.name, permission, context)
        return self._header.encoded(revision)

    async def role_revoke_permission(self, data: bytes, context: CallContext) -> bytes:
        """AuthRoleRevokePermissionRequest -> AuthRoleRevokePermissionResponse."""
        request = pb.AuthRoleRevokePermissionRequest.FromString(data)
        revision = await self._service.role_revoke(
            request.role, request.key, request.range_end, context
        )
        return self._header.encoded(revision)

    def _answer(
        self,
        response: pb.AuthStatusResponse
        | pb.AuthUserGetResponse
        | pb.AuthUserListResponse
        | pb.AuthRoleGetResponse
        | pb.AuthRoleListResponse,
    ) -> bytes:
        header = self._header.encoded(self._header.current_revision())
        return header + response.SerializeToString()


def _permission_from_pb(permission: auth_pb2.Permission) -> Permission:
    return Permission(int(permission.permType), permission.key, permission.range_end)
