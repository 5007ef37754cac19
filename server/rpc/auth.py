"""Who calls: the verified content of `authorization: Bearer <JWT>`.

The algorithm is the one of the key that `kid` names (EdDSA or RS256); what a token says about itself is compared and
never followed, so `jwk`, `jku` and `x5u` are ignored. A verified token is remembered by its SHA-256 until it expires or
the set of keys changes: a key that is taken away stops working at once.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, NoReturn

import jwt

from server.errors import AnalyticsError, Kind, Reason
from server.identity import Caller, OrgId, Role, UserId

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from server.rpc.keys import KeySet, KeySource, VerifyingKey

MAX_TOKEN_BYTES = 8_192
REMEMBERED_TOKENS = 10_000
_TOKEN = re.compile(r"[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+")
_ORG_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}")
_SUBJECT = re.compile(r"[\x21-\x7e]{1,256}")
_TYPES = frozenset({"jwt", "at+jwt", "application/jwt", "application/at+jwt"})
_KNOWN_ROLES = {role.value: role for role in Role}
_PLATFORM = frozenset({Role.OPERATOR})


class TokenVerifier:
    """Checks credentials; one per process."""

    def __init__(
        self, keys: KeySource, *, issuer: str, audience: str, leeway_seconds: float, clock: Callable[[], float] = time.time
    ) -> None:
        """Take the required `iss` and `aud`, the tolerance for `exp` and `nbf` in seconds, and the clock in Unix seconds."""
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._leeway = leeway_seconds
        self._clock = clock
        self._jws = jwt.PyJWS(algorithms=["EdDSA", "RS256"])
        self._verified_with: KeySet | None = None
        self._verified: OrderedDict[bytes, tuple[Caller, float]] = OrderedDict()

    async def verify(self, authorization: Sequence[str | bytes]) -> Caller:
        """Return the caller that the `authorization` headers of a call name.

        Raises:
            AnalyticsError: UNAUTHENTICATED with CREDENTIALS_MISSING, CREDENTIALS_INVALID or CREDENTIALS_EXPIRED.

        """
        token = _bearer(authorization)
        fingerprint = hashlib.sha256(token.encode()).digest()
        keys = self._keys.current()
        if keys is not self._verified_with:
            self._verified.clear()
            self._verified_with = keys
        remembered = self._verified.get(fingerprint)
        if remembered is not None:
            caller, expires = remembered
            if self._clock() < expires:
                self._verified.move_to_end(fingerprint)
                return caller
            del self._verified[fingerprint]
        return await self._verify(token, fingerprint, keys)

    async def _verify(self, token: str, fingerprint: bytes, keys: KeySet) -> Caller:
        header = _object(_segment(token.partition(".")[0]))
        kid = _checked_kid(header)
        key = keys.keys.get(kid)
        if key is None:
            keys = await self._keys.look_again()
            key = keys.keys.get(kid)
        if key is None or header.get("alg") != key.algorithm:
            _refuse("is signed by no known key, or names another algorithm than its key has")
        claims = _object(self._signed_content(token, key))
        caller, expires = self._checked_claims(claims)
        if keys is self._keys.current() and keys is self._verified_with:
            self._verified[fingerprint] = (caller, expires)
            if len(self._verified) > REMEMBERED_TOKENS:
                self._verified.popitem(last=False)
        return caller

    def _signed_content(self, token: str, key: VerifyingKey) -> bytes:
        try:
            content: bytes = self._jws.decode_complete(token, key.key, algorithms=[key.algorithm])["payload"]
        except jwt.PyJWTError:
            _refuse("has a bad signature")
        return content

    def _checked_claims(self, claims: Mapping[str, object]) -> tuple[Caller, float]:
        now = self._clock()
        expires = _instant(claims, "exp") + self._leeway
        if claims.get("iss") != self._issuer:
            _refuse("is of another issuer")
        audience = claims.get("aud")
        if audience != self._audience and not (isinstance(audience, list) and self._audience in audience):
            _refuse("is for another audience")
        if "nbf" in claims and now < _instant(claims, "nbf") - self._leeway:
            _refuse("is not valid yet")
        if now >= expires:
            raise AnalyticsError(Kind.UNAUTHENTICATED, Reason.CREDENTIALS_EXPIRED, "the token has expired; fetch a new one")
        return _caller(claims), expires


def _bearer(authorization: Sequence[str | bytes]) -> str:
    if not authorization:
        raise AnalyticsError(Kind.UNAUTHENTICATED, Reason.CREDENTIALS_MISSING, "send `authorization: Bearer <token>`")
    if len(authorization) > 1:
        _refuse("must be sent once")
    value = authorization[0]
    scheme, _, token = value.partition(" ") if isinstance(value, str) else ("", "", "")
    if scheme.lower() != "bearer":
        _refuse("must be a bearer token: `authorization: Bearer <token>`")
    if len(token) > MAX_TOKEN_BYTES:
        _refuse("is larger than 8 KiB")
    if _TOKEN.fullmatch(token) is None:
        _refuse("is not a signed JWT")
    return token


def _segment(text: str) -> bytes:
    try:
        return jwt.utils.base64url_decode(text)
    except ValueError:
        _refuse("is not a signed JWT")


def _object(content: bytes) -> Mapping[str, object]:
    """Parse a JSON object; duplicate keys and NaN, which JSON parsers read differently, are refused."""
    try:
        parsed = json.loads(content.decode(), object_pairs_hook=_unique, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        _refuse("is not a signed JWT")
    if not isinstance(parsed, dict):
        _refuse("is not a signed JWT")
    return parsed


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    found = dict(pairs)
    if len(found) != len(pairs):
        msg = "duplicate key"
        raise ValueError(msg)
    return found


def _no_constant(name: str) -> float:
    raise ValueError(name)


def _checked_kid(header: Mapping[str, object]) -> str:
    kid, kind = header.get("kid"), header.get("typ", "JWT")
    if not isinstance(kind, str) or kind.lower() not in _TYPES:
        _refuse("is not of type JWT")
    if "crit" in header or "b64" in header:
        _refuse("asks for extensions that are not supported")
    if not isinstance(kid, str) or not kid:
        _refuse("does not say which key signed it (`kid`)")
    return kid


def _instant(claims: Mapping[str, object], name: str) -> float:
    """Return a NumericDate (RFC 7519, section 2)."""
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float):
        _refuse(f"needs `{name}`, a number of seconds")
    try:
        seconds = float(value)
    except OverflowError:
        seconds = math.inf
    if not math.isfinite(seconds):
        _refuse(f"needs `{name}`, a number of seconds")
    return seconds


def _caller(claims: Mapping[str, object]) -> Caller:
    subject, org, named = claims.get("sub"), claims.get("org_id"), claims.get("roles")
    if not isinstance(subject, str) or _SUBJECT.fullmatch(subject) is None:
        _refuse("needs `sub`, 1 to 256 printable characters without spaces")
    if not isinstance(named, list) or not all(isinstance(role, str) for role in named):
        _refuse("needs `roles`, a list of strings")
    # A role we do not know gives nothing: the issuer may serve other services too.
    roles = frozenset(_KNOWN_ROLES[role] for role in named if role in _KNOWN_ROLES)
    if "org_id" not in claims and roles == _PLATFORM:
        return Caller(None, UserId(subject), roles)
    if not isinstance(org, str) or _ORG_ID.fullmatch(org) is None:
        _refuse("needs `org_id`, 1 to 64 of A-Z a-z 0-9 _ . : - beginning with a letter or digit")
    return Caller(OrgId(org), UserId(subject), roles)


def _refuse(what: str) -> NoReturn:
    """Say what is wrong with the credential in words that help its owner and tell a forger nothing new."""
    raise AnalyticsError(Kind.UNAUTHENTICATED, Reason.CREDENTIALS_INVALID, f"the credential {what}") from None
