"""The client's requests about users, roles and permissions: etcd's Auth service.

A change of users or roles makes older tokens invalid; the client renews its own by itself.
"""

from typing import Any

from kvstore.client import convert
from kvstore.client.calls import Caller
from kvstore.client.types import (
    Answer,
    AuthStatus,
    Key,
    Permission,
    PermissionType,
    RoleList,
    RolePermissions,
    UserList,
    UserRoles,
    encoded,
)
from kvstore.pb import auth_pb2, rpc_pb2


class AuthRequests(Caller):
    """Auth."""

    async def _auth(self, method: str, request: Any, response: Any) -> Answer:
        answer = await self._call(f"Auth/{method}", request, response)
        return Answer(convert.header(answer.header))

    async def auth_enable(self) -> Answer:
        """Switch authentication on; needs a user root with the role root. FailedPrecondition."""
        return await self._auth(
            "AuthEnable", rpc_pb2.AuthEnableRequest(), rpc_pb2.AuthEnableResponse
        )

    async def auth_disable(self) -> Answer:
        """Switch authentication off."""
        return await self._auth(
            "AuthDisable", rpc_pb2.AuthDisableRequest(), rpc_pb2.AuthDisableResponse
        )

    async def auth_status(self) -> AuthStatus:
        """Whether authentication is on."""
        response = await self._call(
            "Auth/AuthStatus",
            rpc_pb2.AuthStatusRequest(),
            rpc_pb2.AuthStatusResponse,
            is_idempotent=True,
        )
        return AuthStatus(convert.header(response.header), response.enabled, response.authRevision)

    async def authenticate(self, user: str, password: str) -> str:
        """A token for `user`; the client's own requests do not use it. AuthenticationFailed, AuthNotEnabled."""
        response = await self._call(
            "Auth/Authenticate",
            rpc_pb2.AuthenticateRequest(name=user, password=password),
            rpc_pb2.AuthenticateResponse,
            is_idempotent=True,
        )
        return str(response.token)

    async def user_add(
        self,
        name: str,
        password: str = "",
        *,
        no_password: bool = False,
        hashed_password: str = "",
    ) -> Answer:
        """A new user; with `no_password` one known by its certificate only; or with a base64 bcrypt hash."""
        request = rpc_pb2.AuthUserAddRequest(
            name=name,
            password=password,
            hashedPassword=hashed_password,
            options=auth_pb2.UserAddOptions(no_password=no_password),
        )
        return await self._auth("UserAdd", request, rpc_pb2.AuthUserAddResponse)

    async def user_get(self, name: str) -> UserRoles:
        """The roles of a user."""
        response = await self._call(
            "Auth/UserGet",
            rpc_pb2.AuthUserGetRequest(name=name),
            rpc_pb2.AuthUserGetResponse,
            is_idempotent=True,
        )
        return UserRoles(convert.header(response.header), tuple(response.roles))

    async def user_list(self) -> UserList:
        """All users."""
        response = await self._call(
            "Auth/UserList",
            rpc_pb2.AuthUserListRequest(),
            rpc_pb2.AuthUserListResponse,
            is_idempotent=True,
        )
        return UserList(convert.header(response.header), tuple(response.users))

    async def user_delete(self, name: str) -> Answer:
        """Remove a user."""
        request = rpc_pb2.AuthUserDeleteRequest(name=name)
        return await self._auth("UserDelete", request, rpc_pb2.AuthUserDeleteResponse)

    async def user_change_password(
        self, name: str, password: str = "", *, hashed_password: str = ""
    ) -> Answer:
        """Give a user another password."""
        request = rpc_pb2.AuthUserChangePasswordRequest(
            name=name, password=password, hashedPassword=hashed_password
        )
        return await self._auth(
            "UserChangePassword", request, rpc_pb2.AuthUserChangePasswordResponse
        )

    async def user_grant_role(self, user: str, role: str) -> Answer:
        """Give a user a role."""
        request = rpc_pb2.AuthUserGrantRoleRequest(user=user, role=role)
        return await self._auth("UserGrantRole", request, rpc_pb2.AuthUserGrantRoleResponse)

    async def user_revoke_role(self, user: str, role: str) -> Answer:
        """Take a role from a user."""
        request = rpc_pb2.AuthUserRevokeRoleRequest(name=user, role=role)
        return await self._auth("UserRevokeRole", request, rpc_pb2.AuthUserRevokeRoleResponse)

    async def role_add(self, name: str) -> Answer:
        """A new role, without rights."""
        request = rpc_pb2.AuthRoleAddRequest(name=name)
        return await self._auth("RoleAdd", request, rpc_pb2.AuthRoleAddResponse)

    async def role_get(self, name: str) -> RolePermissions:
        """The rights of a role."""
        response = await self._call(
            "Auth/RoleGet",
            rpc_pb2.AuthRoleGetRequest(role=name),
            rpc_pb2.AuthRoleGetResponse,
            is_idempotent=True,
        )
        rights = tuple(
            Permission(PermissionType(one.permType), one.key, one.range_end)
            for one in response.perm
        )
        return RolePermissions(convert.header(response.header), rights)

    async def role_list(self) -> RoleList:
        """All roles."""
        response = await self._call(
            "Auth/RoleList",
            rpc_pb2.AuthRoleListRequest(),
            rpc_pb2.AuthRoleListResponse,
            is_idempotent=True,
        )
        return RoleList(convert.header(response.header), tuple(response.roles))

    async def role_delete(self, name: str) -> Answer:
        """Remove a role, also from its users."""
        request = rpc_pb2.AuthRoleDeleteRequest(role=name)
        return await self._auth("RoleDelete", request, rpc_pb2.AuthRoleDeleteResponse)

    async def role_grant_permission(
        self, role: str, kind: PermissionType, key: Key, range_end: Key = b""
    ) -> Answer:
        """Give a role a right on a key or a range of keys."""
        permission = auth_pb2.Permission(
            permType=auth_pb2.Permission.Type.Name(kind),
            key=encoded(key),
            range_end=encoded(range_end),
        )
        request = rpc_pb2.AuthRoleGrantPermissionRequest(name=role, perm=permission)
        return await self._auth(
            "RoleGrantPermission", request, rpc_pb2.AuthRoleGrantPermissionResponse
        )

    async def role_revoke_permission(self, role: str, key: Key, range_end: Key = b"") -> Answer:
        """Take a role's right on exactly this key or range."""
        request = rpc_pb2.AuthRoleRevokePermissionRequest(
            role=role, key=encoded(key), range_end=encoded(range_end)
        )
        return await self._auth(
            "RoleRevokePermission", request, rpc_pb2.AuthRoleRevokePermissionResponse
        )
