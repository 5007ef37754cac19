"""How often a tenant may call this process, and how many calls it may have open: nobody takes the room of all."""

from __future__ import annotations

import time
from collections import Counter, OrderedDict
from typing import TYPE_CHECKING

from server.errors import AnalyticsError, Kind, Quota, Reason

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.rpc.interceptors.exchange import Exchange, Stage
    from server.rpc.interceptors.rails import Rails
    from server.rpc.methods import Method

MAX_TENANTS = 10_000
_PLATFORM = ""
_SHORTEST_RETRY_SECONDS = 0.1
_OPEN_RETRY_SECONDS = 1.0


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


class TenantCalls:
    """Counts the open calls, of each organization and of all."""

    def __init__(self, most: int, most_in_all: int) -> None:
        """Allow an organization `most` at once, and all of them together `most_in_all`."""
        self.most = most
        self._most_in_all = most_in_all
        self._in_all = 0
        self._open: Counter[str] = Counter()

    @property
    def full(self) -> bool:
        """Whether there are as many as may be, whosever they are."""
        return self._in_all >= self._most_in_all

    def enter(self, tenant: str) -> bool:
        """Count a call in; False when the tenant has as many as it may."""
        if self._open[tenant] >= self.most:
            return False
        self._open[tenant] += 1
        self._in_all += 1
        return True

    def leave(self, tenant: str) -> None:
        """Count a call out."""
        self._open[tenant] -= 1
        self._in_all -= 1
        if not self._open[tenant]:
            del self._open[tenant]


def limits(method: Method, rails: Rails, following: Stage) -> Stage:
    """Make the interceptor of one RPC."""
    del method
    take, calls = rails.rates.take, rails.tenant_calls

    async def limited(exchange: Exchange) -> None:
        org = exchange.caller.org_id if exchange.caller is not None else None
        tenant = org or _PLATFORM
        wait = take(tenant)
        if wait:
            # The next place is free in no time, and the others that were refused want it too.
            raise _too_fast(org, max(wait, _SHORTEST_RETRY_SECONDS))
        if calls.full:
            raise _busy()
        if not calls.enter(tenant):
            raise _too_many(org, calls.most)
        try:
            await following(exchange)
        finally:
            calls.leave(tenant)

    return limited


def _busy() -> AnalyticsError:
    return AnalyticsError(
        Kind.UNAVAILABLE, Reason.SERVER_BUSY, "this server works on as many calls as it may; retry", retry_after=_OPEN_RETRY_SECONDS
    )


def _too_many(org: str | None, most: int) -> AnalyticsError:
    return AnalyticsError(
        Kind.RESOURCE_EXHAUSTED,
        Reason.TENANT_RATE_LIMITED,
        f"{most} calls are open already; end some and retry",
        quota=Quota(f"org:{org}" if org else "platform", "open calls"),
        retry_after=_OPEN_RETRY_SECONDS,
    )


def _too_fast(org: str | None, wait: float) -> AnalyticsError:
    return AnalyticsError(
        Kind.RESOURCE_EXHAUSTED,
        Reason.TENANT_RATE_LIMITED,
        f"too many calls; retry in {wait:.3f} s",
        quota=Quota(f"org:{org}" if org else "platform", "calls per second"),
        retry_after=wait,
    )
