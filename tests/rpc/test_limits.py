"""The token bucket of a tenant, on a clock of its own."""

from __future__ import annotations

import pytest

from server.rpc.interceptors.limits import TenantCalls, TenantRates


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def test_a_burst_passes_and_then_the_rate_applies() -> None:
    clock = Clock()
    rates = TenantRates(rate=10, burst=5, clock=clock)
    assert [rates.take("acme") for _ in range(5)] == [0.0] * 5
    assert rates.take("acme") == pytest.approx(0.1)
    clock.now += 0.05
    assert rates.take("acme") == pytest.approx(0.05)
    clock.now += 0.0501
    assert rates.take("acme") == 0.0


def test_over_a_minute_no_more_than_burst_and_rate_pass() -> None:
    clock = Clock()
    rates = TenantRates(rate=10, burst=5, clock=clock)
    passed = 0
    for _ in range(6_000):
        passed += rates.take("acme") == 0.0
        clock.now += 0.01
    assert 600 <= passed <= 606


def test_a_quiet_tenant_gathers_no_more_than_its_burst() -> None:
    clock = Clock()
    rates = TenantRates(rate=10, burst=5, clock=clock)
    rates.take("acme")
    clock.now += 3_600
    assert [rates.take("acme") == 0.0 for _ in range(6)] == [True] * 5 + [False]


def test_tenants_do_not_share_and_their_number_is_bounded() -> None:
    rates = TenantRates(rate=1, burst=1, clock=Clock(), capacity=3)
    assert [rates.take(f"org-{number}") for number in range(10)] == [0.0] * 10
    assert len(rates) == 3
    assert rates.take("org-9") > 0


def test_a_tenant_has_only_so_many_calls_open_and_others_are_not_touched() -> None:
    calls = TenantCalls(most=2, most_in_all=100)
    assert [calls.enter("a"), calls.enter("a"), calls.enter("a"), calls.enter("b")] == [True, True, False, True]
    calls.leave("a")
    assert calls.enter("a")


def test_all_tenants_together_have_only_so_many_calls_open() -> None:
    calls = TenantCalls(most=2, most_in_all=3)
    for tenant in ("a", "a", "b"):
        assert not calls.full
        assert calls.enter(tenant)
    assert calls.full
    calls.leave("a")
    assert not calls.full
