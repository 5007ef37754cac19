"""The raw inputs of unfinished jobs: encrypted, in Valkey, for as long as their job waits or runs.

AES-256-GCM with the organization, the job and its generation as associated data: a ciphertext moved to another job does
not open. The key is derived (HKDF, RFC 5869) from the service's secret key, so rotation goes with that.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
from typing import TYPE_CHECKING

import rfc8785
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from server.predictions.model import InputHash

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from server.identity import JobId, OrgId
    from server.predictions.model import FeatureValue
    from server.queue import Valkey

_NONCE_BYTES = 12


def canonical(features: Mapping[str, FeatureValue]) -> bytes:
    """Return the RFC 8785 form of cleaned features: equal inputs, equal bytes."""
    return rfc8785.dumps(dict(features))


def hash_input(features: Mapping[str, FeatureValue]) -> InputHash:
    """Return the SHA-256 of the canonical form."""
    return InputHash(hashlib.sha256(canonical(features)).digest())


class InputVault:
    """Keeps inputs for the workers."""

    def __init__(self, valkey: Valkey, secret_keys: Sequence[str], ttl_seconds: int) -> None:
        """Seal with the first of `secret_keys` (32 bytes, base64), open with any."""
        self._valkey = valkey
        self._ciphers = [AESGCM(_derive(key)) for key in secret_keys if key]
        self.ttl_seconds = ttl_seconds

    async def put(self, org: OrgId, job_id: JobId, generation: int, features: Mapping[str, FeatureValue]) -> None:
        """Encrypt and keep an input."""
        nonce = os.urandom(_NONCE_BYTES)
        sealed = self._ciphers[0].encrypt(nonce, json.dumps(dict(features)).encode(), _context(org, job_id, generation))
        await self._valkey.put(_key(org, job_id, generation), nonce + sealed, self.ttl_seconds)

    async def get(self, org: OrgId, job_id: JobId, generation: int) -> Mapping[str, FeatureValue] | None:
        """Return an input; None when it is gone or sealed with a key that is no longer known."""
        stored = await self._valkey.get(_key(org, job_id, generation))
        if stored is None:
            return None
        for cipher in self._ciphers:
            try:
                opened = cipher.decrypt(stored[:_NONCE_BYTES], stored[_NONCE_BYTES:], _context(org, job_id, generation))
            except InvalidTag:
                continue
            features: dict[str, FeatureValue] = json.loads(opened)
            return features
        return None

    async def forget(self, org: OrgId, job_id: JobId, generation: int) -> None:
        """Drop an input whose job ended."""
        await self._valkey.forget(_key(org, job_id, generation))

    async def extend(self, jobs: Sequence[tuple[OrgId, JobId, int]]) -> None:
        """Start the time to live of these inputs anew."""
        if jobs:
            await self._valkey.extend([_key(*job) for job in jobs], self.ttl_seconds)


def _derive(secret_key: str) -> bytes:
    return HKDF(SHA256(), 32, None, b"analytics prediction input v1").derive(base64.b64decode(secret_key))


def _key(org: OrgId, job_id: JobId, generation: int) -> str:
    return f"analytics:input:{{{org}}}:{job_id}:{generation}"


def _context(org: OrgId, job_id: JobId, generation: int) -> bytes:
    return json.dumps([org, str(job_id), generation]).encode()
