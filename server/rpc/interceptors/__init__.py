"""The way of a call: one ordered list, the same for all four kinds of RPC.

An interceptor is made once per RPC, when the server starts. It gets the exchange and what follows; it may refuse by
raising an `AnalyticsError`, and lets whatever is raised below it pass unless its own part is to handle it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

from server.rpc.interceptors.authenticate import authenticate
from server.rpc.interceptors.deadline import deadline
from server.rpc.interceptors.errors import errors
from server.rpc.interceptors.exchange import Stage
from server.rpc.interceptors.invoke import invoke
from server.rpc.interceptors.limits import limits
from server.rpc.interceptors.log import log
from server.rpc.interceptors.rails import Rails
from server.rpc.interceptors.trace import trace
from server.rpc.interceptors.validate import validate
from server.rpc.methods import Method

Interceptor: TypeAlias = Callable[[Method, Rails, Stage], Stage]

PIPELINE: Sequence[Interceptor] = (
    # First: everything below belongs to the call's span and has its request id.
    trace,
    # Around everything that may fail: whatever comes out becomes a status, and nothing internal passes.
    errors,
    # Inside `errors`, so that it sees the failure itself; outside the rest, so that refusals are logged and counted too.
    log,
    # Before anything that may wait: the credential's key may have to be fetched, the message may never arrive.
    deadline,
    # Before the message is even read: a stranger learns nothing and costs no memory. Then the role, which needs the caller.
    authenticate,
    # After the credential, because the limit is the tenant's; before the work of reading and checking the message.
    limits,
    # Last: what reaches the handler obeys the rules of the contract.
    validate,
)


def compose(method: Method, rails: Rails, handler: object) -> Stage:
    """Build the pipeline of one RPC around its handler."""
    return surround(PIPELINE, method, rails, invoke(method, rails, handler))


def surround(interceptors: Sequence[Interceptor], method: Method, rails: Rails, innermost: Stage) -> Stage:
    """Put the interceptors around a stage, the first outermost."""
    stage = innermost
    for interceptor in reversed(interceptors):
        stage = interceptor(method, rails, stage)
    return stage
