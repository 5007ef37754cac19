"""How often a tenant may call this process: a token bucket per organization."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import TYPE_CHECKING

from server.errors import AnalyticsError, Kind, Quota, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method

MAX_TENANTS = 10_000
_PLATFORM = ""


class TenantRates:
    """Token buckets (RFC 2697 in spirit): `burst` calls at once, `rate` calls per second after that."""

    def __init__(self, rate: float, burst: int, clock: Callable[[], float] = time.monotonic, capacity: int = MAX_TENANTS) -> None:
        """Start every tenant with a full bucket; `clock` in seconds, `capacity` in tenants."""
        self._rate = rate
        self._burst = float(burst)
        self._clock = clock
        self._capacity = capacity
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, tenant: str) -> float:
        """Take one call; returns 0.0, or the seconds until there is one again (then none was taken)."""
        now = self._clock()
        level, at = self._buckets.get(tenant, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        allowed = level >= 1.0
        self._buckets[tenant] = (level - 1.0 if allowed else level, now)
        self._buckets.move_to_end(tenant)
        if len(self._buckets) > self._capacity:
            # The one that was quiet for longest; its bucket has most likely filled up again.
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1.0 - level) / self._rate

    def __len__(self) -> int:
        return len(self._buckets)


def limits(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    del method
    take = rails.rates.take

    async def limited(exchange: Exchange) -> None:
        org = exchange.caller.org_id if exchange.caller is not None else None
        wait = take(org or _PLATFORM)
        if wait:
            raise _too_fast(org, wait)
        await following(exchange)

    return limited


def _too_fast(org: str | None, wait: float) -> AnalyticsError:
    return AnalyticsError(
        Kind.RESOURCE_EXHAUSTED,
        Reason.TENANT_RATE_LIMITED,
        f"too many calls; retry in {wait:.3f} s",
        quota=Quota(f"org:{org}" if org else "platform", "calls per second"),
        retry_after=wait,
    )
