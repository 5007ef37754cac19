"""Page tokens: valid for their organization, RPC and filters, and for nothing else."""

from __future__ import annotations

import asyncio
import base64
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID, uuid4

from analytics.v1 import predictions_pb2 as pb

from server.errors import AnalyticsError, Reason
from server.identity import Caller, OrgId, RequestId, Role, UserId
from server.rpc.call import Call
from server.rpc.pages import page_of, page_size
from server.settings import Settings

if TYPE_CHECKING:
    import pytest

NEWEST = datetime(2026, 3, 1, 12, 0, 0, 123_456, tzinfo=UTC)
ROWS = [(NEWEST - timedelta(microseconds=number), uuid4()) for number in range(4)]


def secret(number: int) -> str:
    return base64.b64encode(bytes([number]) * 32).decode()


def settings(now: int = 1, previous: int | None = None) -> Settings:
    return Settings.model_validate({"secret_key": secret(now), "previous_secret_key": secret(previous) if previous else ""})


def call(org: str | None = "acme", method: str = "/a.B/ListC") -> Call:
    caller = Caller(OrgId(org) if org else None, UserId("user"), frozenset({Role.VIEWER}))
    return Call(method, caller, RequestId("r"), 0.0, "", asyncio.Event())


def request(token: str = "", size: int = 3, state: int = 0) -> pb.ListPredictionJobsRequest:
    made = pb.ListPredictionJobsRequest(page_size=size, page_token=token)
    made.state = state  # type: ignore[assignment]  # a number of the enum
    return made


def cursor(row: tuple[datetime, UUID]) -> tuple[datetime, UUID]:
    return row


def a_token() -> str:
    shown, token = page_of(settings(), call(), request()).cut(ROWS, cursor)
    assert list(shown) == ROWS[:3]
    return token


def refused(made: Settings, at: Call, asked: pb.ListPredictionJobsRequest) -> bool:
    try:
        page_of(made, at, asked)
    except AnalyticsError as error:
        return error.reason is Reason.PAGE_TOKEN_INVALID and error.violations[0].field == "page_token"
    return False


def test_a_token_continues_after_the_last_row_shown_to_the_microsecond() -> None:
    assert page_of(settings(), call(), request(a_token())).before == ROWS[2]
    assert page_of(settings(), call(), request(a_token(), size=7)).before == ROWS[2]
    assert len(a_token()) <= 1024


def test_the_last_page_has_no_token() -> None:
    assert page_of(settings(), call(), request()).cut(ROWS[:3], cursor) == (ROWS[:3], "")


def test_a_token_of_another_organization_rpc_or_filter_is_refused() -> None:
    token = a_token()
    assert refused(settings(), call(org="other"), request(token))
    assert refused(settings(), call(org=None), request(token))
    assert refused(settings(), call(method="/a.B/ListD"), request(token))
    assert refused(settings(), call(), request(token, state=1))


def test_a_forged_or_damaged_token_is_refused() -> None:
    token = a_token()
    flipped = [token[:place] + ("A" if token[place] != "A" else "B") + token[place + 1 :] for place in range(len(token) - 1)]
    for bad in (*flipped, token[:-4], token + "AAAA", "A", "AAAA", "é", "not base64!", " " + token):
        assert refused(settings(), call(), request(bad)), bad


def test_control_without_the_seal_a_forged_token_opens(monkeypatch: pytest.MonkeyPatch) -> None:
    token = a_token()
    monkeypatch.setattr("server.rpc.pages.hmac.compare_digest", lambda *_arguments: True)
    assert not refused(settings(), call(org="other"), request(token))


def test_a_token_of_the_key_before_the_rotation_opens_and_of_the_one_before_that_does_not() -> None:
    token = a_token()
    assert page_of(settings(2, previous=1), call(), request(token)).before == ROWS[2]
    assert refused(settings(3, previous=2), call(), request(token))


def test_the_page_size_is_coerced_and_never_refused_for_being_large() -> None:
    assert [page_size(asked) for asked in (0, 1, 50, 1000, 1001, 2**31 - 1)] == [50, 1, 50, 1000, 1000, 1000]


def test_parts_of_the_binding_do_not_run_into_each_other() -> None:
    first = page_of(settings(), call(org="ab", method="c"), request())
    second = page_of(settings(), call(org="a", method="bc"), request())
    token = first.cut(ROWS, cursor)[1]
    assert replace(second, size=3).cut(ROWS, cursor)[1] != token
