"""What all pipelines of a server share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

    from server.rpc.auth import TokenVerifier
    from server.rpc.interceptors.limits import TenantCalls, TenantRates


@dataclass(frozen=True, slots=True)
class Rails:
    """Made once per server. Times in seconds."""

    verifier: TokenVerifier
    rates: TenantRates
    tenant_calls: TenantCalls
    draining: asyncio.Event
    default_deadline: float
    max_deadline: float
    max_stream: float
