"""The role table is what the comments of the contract promise."""

from __future__ import annotations

import re

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from server.rpc.methods import services
from server.rpc.roles import ROLES
from tests.contract.sources import ROOT

_SERVICE, _METHOD = 6, 2  # field numbers in FileDescriptorProto and ServiceDescriptorProto


def promised(image: FileDescriptorSet) -> dict[str, frozenset[str]]:
    """Roles by path, out of `Roles: a, b.` of the RPC or `Role of every RPC: a.` of its service."""
    found = {}
    for file in image.file:
        if not file.package.startswith("analytics."):
            continue
        comments = {tuple(place.path): " ".join(place.leading_comments.split()) for place in file.source_code_info.location}
        for number, service in enumerate(file.service):
            of_all = re.search(r"Role of every RPC: ([a-z, ]+)\.", comments[_SERVICE, number])
            for position, method in enumerate(service.method):
                own = re.search(r"Roles: ([a-z, ]+)\.", comments[_SERVICE, number, _METHOD, position])
                listed = own or of_all
                assert listed, f"{service.name}.{method.name} names no roles"
                found[f"/{file.package}.{service.name}/{method.name}"] = frozenset(re.split(", ", listed[1]))
    return found


def image() -> FileDescriptorSet:
    return FileDescriptorSet.FromString((ROOT / "generated" / "descriptor.binpb").read_bytes())


def test_every_rpc_has_a_row_and_every_row_an_rpc() -> None:
    assert ROLES.keys() == {method.path for methods in services().values() for method in methods}
    assert ROLES.keys() == promised(image()).keys()


def test_the_table_says_what_the_comments_of_the_contract_say() -> None:
    assert {path: frozenset(roles) for path, roles in ROLES.items()} == promised(image())


def test_operators_call_operations_only_and_nobody_else_does() -> None:
    for path, roles in ROLES.items():
        assert ("operator" in roles) == path.startswith("/analytics.admin.")
        assert "operator" not in roles or roles == {"operator"}


def test_control_a_comment_that_promises_less_is_found() -> None:
    changed = image()
    for file in changed.file:
        for place in file.source_code_info.location:
            place.leading_comments = place.leading_comments.replace("viewer, ", "")
    assert promised(changed) != {path: frozenset(roles) for path, roles in ROLES.items()}
