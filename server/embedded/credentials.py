"""Passwords, keys and tokens of a development machine: generated once under the data folder, readable by their owner only."""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwt.algorithms import OKPAlgorithm

from server.embedded import EmbeddedError
from server.embedded.account import write_private

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from server.identity import Role

TOKEN_HOURS = 12.0
_FROM_THE_BEGINNING = frozenset({"owner", "app", "dispatch", "trainer", "secret_key", "place"})


@dataclass(frozen=True, slots=True)
class Passwords:
    """What is drawn once and kept in `secrets.json`.

    `secret_key` is 32 bytes in base64; `place` names this data folder's databases where they live outside of it.
    """

    owner: str
    app: str
    dispatch: str
    trainer: str
    benchmark: str
    relay: str
    secret_key: str
    place: str


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The Ed25519 key that signs development tokens: private PEM, public JWKS, and the key's id in both."""

    private_file: Path
    jwks_file: Path
    kid: str


def load_passwords(folder: Path) -> Passwords:
    """Read `<folder>/secrets.json`, or draw and keep it; what an earlier release did not need is drawn now.

    Raises:
        EmbeddedError: the file is not what was written.

    """
    path = folder / "secrets.json"
    drawn = asdict(_drawn())
    try:
        kept = json.loads(path.read_text()) if path.exists() else drawn
        passwords = Passwords(**{**drawn, **_whole(kept)})
    except (ValueError, TypeError) as error:
        msg = f"{path} is damaged ({error}); restore it, or remove the whole data folder to start afresh"
        raise EmbeddedError(msg) from error
    if not path.exists() or asdict(passwords) != kept:
        write_private(path, json.dumps(asdict(passwords), indent=2))
    return passwords


def _whole(kept: dict[str, str]) -> dict[str, str]:
    """Return what was kept; the first release had these, so a file without them was cut off, and others would open nothing."""
    missing = _FROM_THE_BEGINNING - set(kept)
    if missing:
        msg = f"without {', '.join(sorted(missing))}"
        raise ValueError(msg)
    return kept


def _drawn() -> Passwords:
    return Passwords(
        owner=secrets.token_urlsafe(24),
        app=secrets.token_urlsafe(24),
        dispatch=secrets.token_urlsafe(24),
        trainer=secrets.token_urlsafe(24),
        benchmark=secrets.token_urlsafe(24),
        relay=secrets.token_urlsafe(24),
        secret_key=base64.b64encode(secrets.token_bytes(32)).decode(),
        place=secrets.token_hex(6),
    )


def load_signing_key(folder: Path) -> SigningKey:
    """Read `<folder>/signing-key.pem` or make it, and write the public half to `<folder>/jwks.json`."""
    private_file, jwks_file = folder / "signing-key.pem", folder / "jwks.json"
    if not private_file.exists():
        pem = Ed25519PrivateKey.generate().private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        write_private(private_file, pem.decode())
    try:
        private = serialization.load_pem_private_key(private_file.read_bytes(), password=None)
    except ValueError as error:
        msg = f"{private_file} is damaged ({error}); remove it to get a new key"
        raise EmbeddedError(msg) from error
    if not isinstance(private, Ed25519PrivateKey):
        msg = f"{private_file} is not an Ed25519 key; remove it to get a new one"
        raise EmbeddedError(msg)
    public = private.public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    kid = f"dev-{hashlib.sha256(raw).hexdigest()[:16]}"
    key: dict[str, Any] = OKPAlgorithm.to_jwk(public, as_dict=True)
    write_private(jwks_file, json.dumps({"keys": [{**key, "kid": kid, "use": "sig", "alg": "EdDSA"}]}, indent=2))
    return SigningKey(private_file, jwks_file, kid)


def mint_token(  # noqa: PLR0913 - the claims of a credential
    key: SigningKey,
    *,
    issuer: str,
    audience: str,
    subject: str,
    org_id: str | None,
    roles: Iterable[Role],
    hours: float = TOKEN_HOURS,
) -> str:
    """Sign a development credential.

    Args:
        key: from `load_signing_key`.
        issuer: `iss`.
        audience: `aud`.
        subject: `sub`, the user.
        org_id: the organization; None for a platform operator, whose token has no such claim.
        roles: what the user may do.
        hours: life from now.

    """
    now = int(time.time())
    claims: dict[str, str | int | list[str]] = {
        "iss": issuer,
        "aud": audience,
        "sub": subject,
        "roles": [role.value for role in roles],
        "iat": now,
        "nbf": now,
        "exp": now + int(hours * 3600),
    }
    if org_id is not None:
        claims["org_id"] = org_id
    return jwt.encode(claims, key.private_file.read_bytes(), algorithm="EdDSA", headers={"kid": key.kid})
