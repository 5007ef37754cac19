"""Who calls and what things are called: id types, roles and the verified caller.

An `OrgId` is only ever made from a verified credential (`server.rpc.auth`), from a row that already carries it, or in a
test; a function that takes one therefore acts inside a tenant that somebody proved to belong to.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType
from uuid import UUID

OrgId = NewType("OrgId", str)
UserId = NewType("UserId", str)
JobId = NewType("JobId", UUID)
ModelId = NewType("ModelId", UUID)
RunId = NewType("RunId", UUID)
InsightId = NewType("InsightId", UUID)
RequestId = NewType("RequestId", str)


class Role(StrEnum):
    """The roles a credential may carry; `server.rpc.roles` says which RPC asks for which."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    ADMIN = "admin"
    OWNER = "owner"
    ORCHESTRATOR = "orchestrator"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Caller:
    """A verified credential.

    `org_id` is None only for a platform operator's credential, which no tenant RPC accepts.
    """

    org_id: OrgId | None
    user_id: UserId
    roles: frozenset[Role]

    @property
    def org(self) -> OrgId:
        """The caller's organization; asking a platform credential for one is a programming error."""
        if self.org_id is None:
            msg = "a platform credential has no organization"
            raise LookupError(msg)
        return self.org_id
