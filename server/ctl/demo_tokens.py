"""Credentials for the demo organizations, signed with the development key of `make run`."""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass
from typing import TYPE_CHECKING

import jwt
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from server.ctl.failures import BadInput

if TYPE_CHECKING:
    from pathlib import Path

_LIFE_SECONDS = 3600


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key and what goes into the tokens it signs."""

    key: Ed25519PrivateKey | RSAPrivateKey
    kid: str
    issuer: str
    audience: str

    def token(self, subject: str, roles: tuple[str, ...], org_id: str = "") -> str:
        """A token for one hour; without `org_id` it is a platform credential."""
        now = int(time.time())
        claims: dict[str, object] = {
            "iss": self.issuer,
            "aud": self.audience,
            "sub": subject,
            "roles": list(roles),
            "iat": now,
            "nbf": now,
            "exp": now + _LIFE_SECONDS,
            "jti": str(uuid.uuid4()),
        }
        if org_id:
            claims["org_id"] = org_id
        algorithm = "EdDSA" if isinstance(self.key, Ed25519PrivateKey) else "RS256"
        return jwt.encode(claims, self.key, algorithm=algorithm, headers={"kid": self.kid})


def load_signer(path: Path, kid: str, issuer: str, audience: str) -> Signer:
    """Read an Ed25519 or RSA private key.

    Raises:
        BadInput: the file is missing or holds no such key.

    """
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror}"
        raise BadInput(msg) from error
    except (ValueError, TypeError) as error:
        msg = f"{path} holds no unencrypted private key in PEM"
        raise BadInput(msg) from error
    if not isinstance(key, Ed25519PrivateKey | RSAPrivateKey):
        msg = f"{path} holds neither an Ed25519 nor an RSA key"
        raise BadInput(msg)
    return Signer(key, kid, issuer, audience)
