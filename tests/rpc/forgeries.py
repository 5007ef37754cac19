"""Bad credentials, each wrong in one way, and the good one they are made from."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from functools import cache
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import ed25519, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

Authorization = tuple[str, ...]  # the values of the headers `authorization` of one call
ISSUER, AUDIENCE = "analytics-dev", "analytics"
_LIFETIME = 600


@cache
def ed_key(name: str = "ed") -> ed25519.Ed25519PrivateKey:
    del name  # one key per name
    return ed25519.Ed25519PrivateKey.generate()


@cache
def rsa_key(name: str = "rsa", bits: int = 2048) -> rsa.RSAPrivateKey:
    del name
    return rsa.generate_private_key(65537, bits)


def jwks(*names: str) -> bytes:
    return json.dumps({"keys": [jwk(name) for name in names or ("ed", "rsa")]}).encode()


def jwk(name: str) -> dict[str, str]:
    if name.startswith("rsa"):
        numbers = rsa_key(name).public_key().public_numbers()
        return {"kty": "RSA", "kid": name, "alg": "RS256", "use": "sig", "n": _integer(numbers.n), "e": _integer(numbers.e)}
    raw = ed_key(name).public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    return {"kty": "OKP", "crv": "Ed25519", "kid": name, "alg": "EdDSA", "use": "sig", "x": b64(raw)}


def good_claims(**changes: object) -> dict[str, object]:
    now = int(time.time())
    claims: dict[str, object] = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "user-1",
        "org_id": "acme",
        "roles": ["owner", "admin", "analyst", "viewer", "operator"],
        "nbf": now,
        "exp": now + _LIFETIME,
    }
    return {name: value for name, value in (claims | changes).items() if value is not ...}


def good_header(**changes: object) -> dict[str, object]:
    return {name: value for name, value in ({"alg": "EdDSA", "kid": "ed", "typ": "JWT"} | changes).items() if value is not ...}


def token(claims: Mapping[str, object] | bytes | None = None, header: Mapping[str, object] | bytes | None = None, key: str = "ed") -> str:
    """Sign whatever is given, with the named key by that key's own algorithm."""
    head = header if isinstance(header, bytes) else json.dumps(header or good_header()).encode()
    body = claims if isinstance(claims, bytes) else json.dumps(good_claims() if claims is None else claims).encode()
    signed = f"{b64(head)}.{b64(body)}"
    return f"{signed}.{b64(sign(signed.encode(), key))}"


def sign(content: bytes, key: str) -> bytes:
    if key.startswith("rsa"):
        return rsa_key(key).sign(content, padding.PKCS1v15(), SHA256())
    return ed_key(key).sign(content)


def b64(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()


def _integer(value: int) -> str:
    return b64(value.to_bytes((value.bit_length() + 7) // 8, "big"))


def _bearer(made: str) -> Authorization:
    return (f"Bearer {made}",)


def _with_claims(**changes: object) -> Authorization:
    return _bearer(token(good_claims(**changes)))


def _with_header(**changes: object) -> Authorization:
    return _bearer(token(header=good_header(**changes)))


def _hmac_with(secret: bytes, kid: str) -> Authorization:
    signed = f"{b64(json.dumps(good_header(alg='HS256', kid=kid)).encode())}.{b64(json.dumps(good_claims()).encode())}"
    return _bearer(f"{signed}.{b64(hmac.digest(secret, signed.encode(), hashlib.sha256))}")


def _unsigned(algorithm: str) -> Authorization:
    head, body = json.dumps(good_header(alg=algorithm)).encode(), json.dumps(good_claims()).encode()
    return _bearer(f"{b64(head)}.{b64(body)}.")


def _tampered() -> Authorization:
    head, _, signature = token().split(".")
    return _bearer(f"{head}.{b64(json.dumps(good_claims(org_id='other')).encode())}.{signature}")


def _stretched() -> Authorization:
    head, body, signature = token().split(".")
    return _bearer(f"{head}.{body}.{signature}AAAA")


def bad_headers() -> Mapping[str, Authorization]:
    """Headers that are no bearer token at all."""
    made = token()
    return {
        "nothing": (),
        "empty": ("",),
        "scheme alone": ("Bearer",),
        "scheme and space": ("Bearer ",),
        "token alone": (made,),
        "basic": ("Basic dXNlcjpwYXNz",),
        "other scheme": (f"Token {made}",),
        "two spaces": (f"Bearer  {made}",),
        "comma": (f"Bearer {made},Bearer {made}",),
        "space inside": (f"Bearer {made[:40]} {made[40:]}",),
        "duplicate, both good": (f"Bearer {made}", f"Bearer {made}"),
        "duplicate, second bad": (f"Bearer {made}", "Bearer x.y.z"),
        "duplicate, first empty": ("", f"Bearer {made}"),
        "quoted": (f'Bearer "{made}"',),
        "not a token": _bearer("secret"),
        "two parts": _bearer(made.rpartition(".")[0]),
        "four parts": _bearer(f"{made}.AAAA"),
        "five parts like a JWE": _bearer("eyJhbGciOiJkaXIiLCJlbmMiOiJBMjU2R0NNIn0..AAAA.AAAA.AAAA"),
        "padding": _bearer(f"{made}=="),
        "standard base64": _bearer(f"{made[:-2]}+/"),
        "oversized": _bearer(token(good_claims(padding="x" * 9_000))),
    }


def bad_signatures() -> Mapping[str, Authorization]:
    """Tokens that say the right things and were not signed by a known key in the one right way."""
    public_pem = rsa_key().public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    raw = ed_key().public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    attacker = jwk("attacker")
    return {
        "alg none": _unsigned("none"),
        "alg None": _unsigned("None"),
        "alg EdDSA without signature": _unsigned("EdDSA"),
        "alg none with a signature": _with_header(alg="none"),
        "HS256 with the RSA public key as secret": _hmac_with(public_pem, "rsa"),
        "HS256 with the Ed25519 public key as secret": _hmac_with(raw, "ed"),
        "HS256 with an empty secret": _hmac_with(b"", "ed"),
        "signed by a stranger under a known kid": _bearer(token(key="attacker")),
        "signed by a stranger's RSA key": _bearer(token(header=good_header(kid="rsa", alg="RS256"), key="rsa-attacker")),
        "unknown kid": _with_header(kid="nobody"),
        "kid of another key": _with_header(kid="rsa", alg="RS256"),
        "alg of another key type": _bearer(token(header=good_header(alg="RS256"))),
        "RSA key under EdDSA": _bearer(token(header=good_header(kid="rsa", alg="EdDSA"), key="rsa")),
        "RS512": _bearer(token(header=good_header(kid="rsa", alg="RS512"), key="rsa")),
        "PS256": _bearer(token(header=good_header(kid="rsa", alg="PS256"), key="rsa")),
        "ES256": _with_header(alg="ES256"),
        "tampered claims": _tampered(),
        "longer signature": _stretched(),
        "embedded jwk": _bearer(token(header=good_header(jwk=attacker, kid="attacker"), key="attacker")),
        "embedded jwk under a known kid": _bearer(token(header=good_header(jwk=attacker), key="attacker")),
        "jku": _bearer(token(header=good_header(jku="https://attacker.example/keys", kid="attacker"), key="attacker")),
        "x5u": _bearer(token(header=good_header(x5u="https://attacker.example/cert", kid="attacker"), key="attacker")),
    }


def bad_tokens() -> Mapping[str, Authorization]:
    """Tokens with a right signature under something that must not be accepted."""
    return {
        "no alg": _with_header(alg=...),
        "alg of a wrong type": _with_header(alg=["EdDSA"]),
        "no kid": _with_header(kid=...),
        "empty kid": _with_header(kid=""),
        "kid of a wrong type": _with_header(kid={"a": 1}),
        "kid as a path": _with_header(kid="../../etc/passwd"),
        "crit": _with_header(crit=["exp"]),
        "empty crit": _with_header(crit=[]),
        "b64": _with_header(b64=False, crit=["b64"]),
        "typ of something else": _with_header(typ="dpop+jwt"),
        "typ of a wrong type": _with_header(typ=1),
        "header is a list": _bearer(token(header=b"[]")),
        "header is no JSON": _bearer(token(header=b"{alg:EdDSA}")),
        "header names alg twice": _bearer(token(header=b'{"alg":"none","alg":"EdDSA","kid":"ed"}')),
        "header is nested 3000 deep": _bearer(token(header=b'{"alg":' + b"[" * 3000 + b"]" * 3000 + b"}")),
        "header is no UTF-8": _bearer(token(header=b'{"alg":"\xff"}')),
        "claims are a list": _bearer(token(b"[]")),
        "claims are no JSON": _bearer(token(b"exp=1")),
        "claims name org_id twice": _bearer(token(json.dumps(good_claims()).encode()[:-1] + b',"org_id":"other"}')),
        "exp is Infinity": _bearer(token(json.dumps(good_claims(exp=float("inf"))).encode())),
        "exp is NaN": _bearer(token(json.dumps(good_claims(exp=float("nan"))).encode())),
        "exp is 10^400": _bearer(token(json.dumps(good_claims(exp=10**400)).encode())),
    }


def bad_claims() -> Mapping[str, Authorization]:
    """Well signed tokens whose claims are missing, of the wrong type or not for us."""
    now = int(time.time())
    wrong: dict[str, Sequence[tuple[str, object]]] = {
        "iss": [("missing", ...), ("other", "someone"), ("of a wrong type", [ISSUER]), ("with a slash", f"{ISSUER}/")],
        "aud": [
            ("missing", ...),
            ("other", "billing"),
            ("list of others", ["billing", "mail"]),
            ("empty list", []),
            ("object", {AUDIENCE: 1}),
        ],
        "exp": [("missing", ...), ("past", now - 60), ("text", str(now + 60)), ("true", True), ("null", None)],
        "nbf": [("future", now + 120), ("text", "0"), ("null", None)],
        "sub": [("missing", ...), ("empty", ""), ("number", 7), ("with spaces", "a b"), ("with a line break", "a\nb"), ("long", "x" * 257)],
        "org_id": [
            *(("missing", ...), ("empty", ""), ("null", None), ("number", 7), ("list", ["acme"]), ("long", "a" * 65)),
            *(
                ("quote", "a'; DROP TABLE x"),
                ("slash", "../acme"),
                ("line break", "acme\n"),
                ("null byte", "a\0"),
                ("leading dot", ".acme"),
            ),
            *(("not ASCII", "acmé"), ("space", "ac me"), ("percent", "%")),
        ],
        "roles": [
            ("missing", ...),
            ("text", "owner"),
            ("object", {"owner": True}),
            ("numbers", [1]),
            ("nested", [["owner"]]),
            ("null", None),
        ],
    }
    return {f"{name} {what}": _with_claims(**{name: value}) for name, cases in wrong.items() for what, value in cases}


def vectors() -> Mapping[str, Authorization]:
    groups: Sequence[Callable[[], Mapping[str, Authorization]]] = (bad_headers, bad_signatures, bad_tokens, bad_claims)
    return {name: made for group in groups for name, made in group().items()}
