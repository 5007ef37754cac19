"""`analyticsctl login`: keeping a token for later commands."""

import base64
import json
import sys

import typer

from server.ctl.connection import store_token
from server.ctl.failures import BadInput
from server.ctl.program import start
from server.ctl.render import say

_JWT_PARTS = 3


def login(ctx: typer.Context) -> None:
    """Store a token, asked for at the terminal or read from standard input.

    --profile names it: `tenant` (default) is used by tenant commands, `operator` by commands about the platform, any other
    by --profile NAME. With --address and --ca they are stored too. The token goes into the configuration file in use,
    readable by its owner only.
    """
    session = start(ctx)
    profile = session.options.profile or "tenant"
    asked = sys.stdin.isatty()
    token = str(typer.prompt(f"Token of profile {profile}", hide_input=True, err=True)) if asked else sys.stdin.readline()
    token = token.strip().removeprefix("Bearer ").strip()
    claims = read_claims(token)
    path = store_token(session.environment, profile, token, session.options)
    who = f" of {claims['sub']}" if "sub" in claims else ""
    organization = f" in {claims['org_id']}" if "org_id" in claims else ""
    say(f"token{who}{organization} stored as {profile} in {path}")


def read_claims(token: str) -> dict[str, object]:
    """What a JWT says, unverified: only for showing whose it is.

    Raises:
        BadInput: the text is not a JWT.

    """
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4))) if len(parts) == _JWT_PARTS else None
    except ValueError:
        claims = None
    if not isinstance(claims, dict):
        msg = "this is not a token: three parts in base64, separated by dots, are expected"
        raise BadInput(msg)
    return claims
