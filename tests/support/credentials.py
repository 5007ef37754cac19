"""A signing key of the tests and tokens made with it."""

from __future__ import annotations

import base64
import json
import time
from functools import cache
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from pathlib import Path

KID = "test-key"
ISSUER = "analytics-dev"
AUDIENCE = "analytics"
TENANT_ROLES = ("owner", "admin", "analyst", "viewer")


@cache
def signing_key() -> Ed25519PrivateKey:
    """Return the one key of this test process."""
    return Ed25519PrivateKey.generate()


def jwks() -> str:
    """Return its public part as a key set."""
    raw = signing_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    x = base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
    return json.dumps({"keys": [{"kty": "OKP", "crv": "Ed25519", "use": "sig", "alg": "EdDSA", "kid": KID, "x": x}]})


def write_jwks(folder: Path) -> Path:
    """Write the key set to a file."""
    path = folder / "jwks.json"
    path.write_text(jwks())
    return path


def token(org: str | None, *roles: str, user: str = "user-1", lifetime: float = 86_400) -> str:
    """Return a signed credential; all tenant roles unless some are named."""
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": user,
        "roles": list(roles or TENANT_ROLES),
        "iat": now,
        "nbf": now,
        "exp": now + int(lifetime),
    }
    if org is not None:
        claims["org_id"] = org
    return jwt.encode(claims, signing_key(), algorithm="EdDSA", headers={"kid": KID})


def operator_token() -> str:
    """Return a platform operator's credential, without an organization."""
    return token(None, "operator", user="operator-1")
