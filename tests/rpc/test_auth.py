"""The verifier: what it remembers, when it forgets, whom it returns."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from server.errors import AnalyticsError, Reason
from server.identity import Role
from server.rpc import auth
from server.rpc.auth import TokenVerifier
from server.rpc.keys import FILE_CHECK_SECONDS, FileKeys
from tests.rpc import forgeries

if TYPE_CHECKING:
    from pathlib import Path

    from server.rpc.keys import VerifyingKey


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Counting(TokenVerifier):
    """Counts how often a signature is checked."""

    checked = 0

    def _signed_content(self, token: str, key: VerifyingKey) -> bytes:
        self.checked += 1
        return super()._signed_content(token, key)


class Setup:
    def __init__(self, folder: Path) -> None:
        self.path = folder / "keys.json"
        self.path.write_bytes(forgeries.jwks("ed", "rsa"))
        self.wall, self.ticks = Clock(time.time()), Clock(0.0)
        keys = FileKeys(self.path, self.ticks)
        self.verifier = Counting(keys, issuer=forgeries.ISSUER, audience=forgeries.AUDIENCE, leeway_seconds=5, clock=self.wall)

    def rotate(self, *names: str) -> None:
        self.path.write_bytes(forgeries.jwks(*names))
        self.ticks.now += FILE_CHECK_SECONDS


@pytest.fixture
def setup(tmp_path: Path) -> Setup:
    return Setup(tmp_path)


async def reason(setup: Setup, token: str) -> Reason:
    with pytest.raises(AnalyticsError) as caught:
        await setup.verifier.verify([f"Bearer {token}"])
    return caught.value.reason


async def test_a_token_is_checked_once_and_then_remembered(setup: Setup) -> None:
    token = forgeries.token()
    first = await setup.verifier.verify([f"Bearer {token}"])
    assert await setup.verifier.verify([f"Bearer {token}"]) == first
    assert setup.verifier.checked == 1


async def test_a_refused_token_is_not_remembered(setup: Setup) -> None:
    token = forgeries.token(key="attacker")
    assert [await reason(setup, token), await reason(setup, token)] == [Reason.CREDENTIALS_INVALID] * 2
    assert setup.verifier.checked == 2


async def test_a_remembered_token_expires_with_its_leeway(setup: Setup) -> None:
    token = forgeries.token(forgeries.good_claims(exp=int(setup.wall.now) + 60))
    setup.wall.now = int(setup.wall.now) + 64.9
    await setup.verifier.verify([f"Bearer {token}"])
    setup.wall.now += 0.2
    assert await reason(setup, token) is Reason.CREDENTIALS_EXPIRED


async def test_a_removed_key_stops_working_at_once_for_remembered_tokens_too(setup: Setup) -> None:
    token = forgeries.token()
    await setup.verifier.verify([f"Bearer {token}"])
    setup.rotate("rsa")
    assert await reason(setup, token) is Reason.CREDENTIALS_INVALID


async def test_an_added_key_works_and_the_old_one_too_while_both_are_there(setup: Setup) -> None:
    old, new = forgeries.token(), forgeries.token(header=forgeries.good_header(kid="new"), key="new")
    assert await reason(setup, new) is Reason.CREDENTIALS_INVALID
    setup.rotate("ed", "new")
    for token in (old, new):
        await setup.verifier.verify([f"Bearer {token}"])


async def test_a_key_that_changed_under_its_name_invalidates_the_tokens_of_the_old_one(setup: Setup) -> None:
    token = forgeries.token()
    await setup.verifier.verify([f"Bearer {token}"])
    changed = forgeries.jwk("other") | {"kid": "ed"}
    setup.path.write_text(json.dumps({"keys": [changed]}))
    setup.ticks.now += FILE_CHECK_SECONDS
    assert await reason(setup, token) is Reason.CREDENTIALS_INVALID


async def test_the_memory_is_bounded_and_keeps_what_is_used(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(auth, "REMEMBERED_TOKENS", 2)
    tokens = [forgeries.token(forgeries.good_claims(sub=f"user-{number}")) for number in range(3)]
    for number in (0, 1, 0, 2, 0):
        await setup.verifier.verify([f"Bearer {tokens[number]}"])
    assert setup.verifier.checked == 3
    await setup.verifier.verify([f"Bearer {tokens[1]}"])
    assert setup.verifier.checked == 4


async def test_a_tab_after_the_scheme_is_no_bearer_token(setup: Setup) -> None:
    # A client of ours cannot even send it; another one's header compression might.
    with pytest.raises(AnalyticsError):
        await setup.verifier.verify([f"Bearer\t{forgeries.token()}"])


async def test_unknown_roles_give_nothing_and_are_no_error(setup: Setup) -> None:
    token = forgeries.token(forgeries.good_claims(roles=["viewer", "emperor"]))
    assert (await setup.verifier.verify([f"Bearer {token}"])).roles == {Role.VIEWER}


async def test_only_a_pure_operator_needs_no_organization(setup: Setup) -> None:
    operator = forgeries.token(forgeries.good_claims(roles=["operator"], org_id=...))
    assert (await setup.verifier.verify([f"Bearer {operator}"])).org_id is None
    for roles in (["operator", "viewer"], ["viewer"], [], ["emperor"]):
        assert await reason(setup, forgeries.token(forgeries.good_claims(roles=roles, org_id=...))) is Reason.CREDENTIALS_INVALID


async def test_nbf_is_tolerated_within_the_leeway(setup: Setup) -> None:
    now = int(setup.wall.now)
    await setup.verifier.verify([f"Bearer {forgeries.token(forgeries.good_claims(nbf=now + 4))}"])
    assert await reason(setup, forgeries.token(forgeries.good_claims(nbf=now + 7))) is Reason.CREDENTIALS_INVALID
