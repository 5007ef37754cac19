"""Guarantee 11: a bad credential is UNAUTHENTICATED and touches no database."""

from __future__ import annotations

import base64
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import grpc
import pytest

from server.rpc.auth import TokenVerifier
from server.rpc.keys import FileKeys
from server.rpc.methods import services
from tests.rpc import forgeries
from tests.rpc.serving import failure, raw_call, serving

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from server.rpc.keys import VerifyingKey
    from tests.rpc.forgeries import Authorization
    from tests.rpc.serving import Served

METHODS = [method for methods in services().values() for method in methods]
REASONS = {"CREDENTIALS_MISSING", "CREDENTIALS_INVALID", "CREDENTIALS_EXPIRED"}


class Credulous(TokenVerifier):
    """The guard broken on purpose: whatever a token says is taken as signed."""

    def _signed_content(self, token: str, key: VerifyingKey) -> bytes:
        del key
        return base64.urlsafe_b64decode(token.split(".")[1] + "==")


@asynccontextmanager
async def guarded(folder: Path, kind: type[TokenVerifier] = TokenVerifier) -> AsyncIterator[Served]:
    path = folder / "keys.json"
    path.write_bytes(forgeries.jwks("ed", "rsa"))
    verifier = kind(FileKeys(path), issuer=forgeries.ISSUER, audience=forgeries.AUDIENCE, leeway_seconds=5)
    # The rate is per tenant and these are all one tenant's.
    async with serving(folder, verifier=verifier, tenant_request_burst=100_000) as served:
        yield served


async def attempt(served: Served, path: str, authorization: Authorization) -> str:
    """Send rubbish with these headers; returns the reason of the refusal. Rubbish proves that nothing was parsed before."""
    metadata = tuple(("authorization", value) for value in authorization)
    # One message and the end go out together with the headers, whatever kind the RPC is, so no write can fail halfway.
    with pytest.raises(grpc.RpcError) as caught:
        await raw_call(served.channel, path, b"\xff\xff", metadata)
    refused = failure(caught.value)
    if refused.code is not grpc.StatusCode.UNAUTHENTICATED:
        return refused.code.name
    assert refused.info.reason in REASONS
    assert refused.info.domain == "analytics"
    return refused.info.reason


async def accepted(served: Served, path: str) -> list[str]:
    """Names of the bad credentials that were not UNAUTHENTICATED."""
    outcomes = {name: await attempt(served, path, vector) for name, vector in forgeries.vectors().items()}
    return [name for name, outcome in outcomes.items() if outcome not in REASONS]


async def test_guarantee_11_a_bad_credential_is_unauthenticated_and_touches_nothing(tmp_path: Path) -> None:
    vectors = forgeries.vectors()
    assert len(vectors) >= 60
    async with guarded(tmp_path) as served:
        assert await accepted(served, "/analytics.v1.AnalyticsService/GetPredictionJob") == []
        # Handlers are all that touches a database, and none was reached.
        assert served.handlers.reached == []
        assert await attempt(served, METHODS[0].path, vectors["nothing"]) == "CREDENTIALS_MISSING"
        assert await attempt(served, METHODS[0].path, vectors["exp past"]) == "CREDENTIALS_EXPIRED"
        assert await attempt(served, METHODS[0].path, vectors["alg none"]) == "CREDENTIALS_INVALID"


@pytest.mark.parametrize("path", [method.path for method in METHODS])
async def test_guarantee_11_no_rpc_is_reached_without_a_good_credential(path: str, tmp_path: Path) -> None:
    chosen = ("nothing", "alg none", "tampered claims", "exp past", "aud other", "duplicate, both good")
    vectors = forgeries.vectors()
    async with guarded(tmp_path) as served:
        assert {await attempt(served, path, vectors[name]) for name in chosen} <= REASONS
        assert served.handlers.reached == []


async def test_guarantee_11_control_without_the_signature_check_forgeries_are_let_in(tmp_path: Path) -> None:
    async with guarded(tmp_path, Credulous) as served:
        let_in = await accepted(served, "/analytics.v1.AnalyticsService/GetPredictionJob")
        assert {"tampered claims", "longer signature", "signed by a stranger under a known kid"} <= set(let_in)


async def test_guarantee_11_control_a_good_credential_of_either_key_is_let_in(tmp_path: Path) -> None:
    rsa_signed = forgeries.token(header=forgeries.good_header(kid="rsa", alg="RS256", typ="at+jwt"), key="rsa")
    in_a_list = forgeries.token(forgeries.good_claims(aud=["billing", forgeries.AUDIENCE], nbf=...))
    lower_case = f"bearer {forgeries.token()}"
    async with guarded(tmp_path) as served:
        path = "/analytics.v1.AnalyticsService/ListPredictionJobs"
        for value in (f"Bearer {forgeries.token()}", f"Bearer {rsa_signed}", f"Bearer {in_a_list}", lower_case):
            assert await attempt(served, path, (value,)) == "INVALID_ARGUMENT"
        await raw_call(served.channel, path, b"", (("authorization", lower_case),))
        assert len(served.handlers.reached) == 1
