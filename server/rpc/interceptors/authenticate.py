"""Verifies the credential, then the role."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import AnalyticsError, Kind, Reason

if TYPE_CHECKING:
    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method


def authenticate(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    verify = rails.verifier.verify
    allowed = method.roles
    named = ", ".join(sorted(allowed))

    async def authenticated(exchange: Exchange) -> None:
        caller = await verify(exchange.authorization)
        exchange.caller = caller
        if allowed.isdisjoint(caller.roles):
            raise AnalyticsError(
                Kind.PERMISSION_DENIED, Reason.ROLE_REQUIRED, f"one of these roles is needed: {named}", metadata={"roles": named}
            )
        await following(exchange)

    return authenticated
