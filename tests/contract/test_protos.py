"""The contract explains itself, its reasons are the core's, and every RPC of it is implemented once."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from analytics.v1.errors_pb2 import ErrorReason
from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.rpc import error_details_pb2

from server.errors import AnalyticsError, Kind, Reason
from server.rpc.status import CODES, to_status_proto
from tests.contract.sources import ROOT, Source, python_files, strings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

IMAGE = ROOT / "generated" / "descriptor.binpb"
RELEASED = ROOT / "proto" / "released.binpb"
# Field numbers in descriptor.proto, of which a SourceCodeInfo path is made.
SERVICE, METHOD, ENUM = 6, 2, 5
ROLES = re.compile(r"Roles?(?: of every RPC)?: (?:(?:viewer|analyst|admin|owner|orchestrator|operator)(?:, |\.))+")
REASONS_GIVEN = re.compile(r"\(([A-Z_]+(?:, [A-Z_]+)*)\b[^)]*\)")


@dataclass(frozen=True)
class Rpc:
    """An RPC of ours with its comment and its service's."""

    name: str
    comment: str
    service_comment: str


def ours(image: FileDescriptorSet) -> list[FileDescriptorProto]:
    """Our own files but for the orchestrator's service, which we call and do not offer."""
    return [file for file in image.file if file.package.startswith("analytics.") and not file.package.startswith("analytics.ai.")]


def rpcs(image: FileDescriptorSet) -> list[Rpc]:
    found = []
    for file in ours(image):
        comments = {tuple(place.path): " ".join(place.leading_comments.split()) for place in file.source_code_info.location}
        for s, service in enumerate(file.service):
            about = comments.get((SERVICE, s), "")
            for m, method in enumerate(service.method):
                found.append(Rpc(f"{file.package}.{service.name}.{method.name}", comments.get((SERVICE, s, METHOD, m), ""), about))
    return found


def silent_rpcs(found: Iterable[Rpc]) -> list[str]:
    complaints = []
    for rpc in found:
        if not ROLES.search(rpc.comment) and not ROLES.search(rpc.service_comment):
            complaints.append(f"{rpc.name}: names no roles")
        if "Every RPC may fail with" not in rpc.service_comment:
            complaints.append(f"{rpc.name}: its service does not say how every RPC may fail")
        unknown = {
            reason for group in REASONS_GIVEN.findall(f"{rpc.comment} {rpc.service_comment}") for reason in group.split(", ")
        } - Reason.__members__.keys()
        complaints += [f"{rpc.name}: {reason} is not a reason" for reason in sorted(unknown)]
    return complaints


def contract_reasons() -> set[str]:
    """The reasons that may be sent: a released one that nothing sends any more stays in the contract, deprecated."""
    values = ErrorReason.DESCRIPTOR.values
    return {value.name.removeprefix("ERROR_REASON_") for value in values if value.number and not value.GetOptions().deprecated}


def unsent_reasons(sources: Sequence[Source], reasons: Iterable[str]) -> list[str]:
    """The reasons that the server names neither as `Reason.X` nor in a text: the failures of jobs are written by SQL."""
    named = {
        node.attr
        for source in sources
        for node in source.nodes
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "Reason"
    }
    texts = [text for source in sources for _, text in strings(source)]
    return sorted(reason for reason in set(reasons) - named if not any(re.search(rf"\b{reason}\b", text) for text in texts))


def silent_updates(found: Iterable[Rpc]) -> list[str]:
    """The Update RPCs whose comment leaves out a way in which every update under an etag can be lost."""
    lost = {"ETAG_MISMATCH", "CONCURRENT_UPDATE"}
    updates = [rpc for rpc in found if rpc.name.rpartition(".")[2].startswith("Update")]
    return [rpc.name for rpc in updates if lost - {reason for group in REASONS_GIVEN.findall(rpc.comment) for reason in group.split(", ")}]


def image() -> FileDescriptorSet:
    return FileDescriptorSet.FromString(IMAGE.read_bytes())


# `proto/released.binpb` is the image of the last release; whoever cuts a release copies `generated/descriptor.binpb` over it.
def breaking(path: Path, against: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).parent / "buf"), "breaking", str(path), "--against", str(against), "--path", "analytics"]
    return subprocess.run(command, check=False, capture_output=True, text=True, cwd=ROOT)


def test_every_rpc_names_its_roles_and_its_errors() -> None:
    found = rpcs(image())
    assert len(found) > 15
    assert not silent_rpcs(found)


def test_control_a_silent_rpc_is_found() -> None:
    said = "Every RPC may fail with INTERNAL."
    good = Rpc("a.B.C", "Reads. Roles: viewer, owner. Errors: NOT_FOUND (JOB_RUN_NOT_FOUND: gone).", said)
    assert not silent_rpcs([good])
    assert silent_rpcs([Rpc("a.B.C", "Reads.", said)])
    assert silent_rpcs([Rpc("a.B.C", "Reads. Roles: intern.", said)])
    assert silent_rpcs([Rpc("a.B.C", good.comment, "Reads things.")])
    assert silent_rpcs([Rpc("a.B.C", "Reads. Roles: owner. Errors: NOT_FOUND (JOB_LOST).", said)])


def test_reasons_of_the_core_are_those_of_the_contract() -> None:
    assert {reason.value for reason in Reason} == contract_reasons()


def test_every_reason_is_sent_somewhere() -> None:
    server = [source for source in python_files("server", "workers") if not source.path.startswith("server/ctl/")]
    assert unsent_reasons(server, Reason.__members__) == []


def test_control_a_reason_that_nothing_sends_is_found() -> None:
    raised = Source("server/a.py", "raise AnalyticsError(Kind.ABORTED, Reason.INTERNAL, 'Told.')")
    written = Source("server/b.py", "SQL = \"UPDATE jobs SET reason = 'JOB_RUN_EXISTS'\"")
    assert unsent_reasons([raised, written], ["INTERNAL", "JOB_RUN_EXISTS", "POISON", "JOB_RUN"]) == ["JOB_RUN", "POISON"]


def test_every_update_names_both_ways_of_losing_against_another_change() -> None:
    found = rpcs(image())
    assert sum(".Update" in rpc.name for rpc in found) > 1
    assert silent_updates(found) == []


def test_control_an_update_that_leaves_one_out_is_found() -> None:
    said = "Changes. Errors: INVALID_ARGUMENT (FIELD_MASK_INVALID), ABORTED (ETAG_MISMATCH, CONCURRENT_UPDATE)."
    assert silent_updates([Rpc("a.B.UpdateC", said, "")]) == []
    assert silent_updates([Rpc("a.B.UpdateC", said.replace(", CONCURRENT_UPDATE", ""), "")])


def test_every_kind_has_the_status_code_of_its_name() -> None:
    assert {kind: code.name for kind, code in CODES.items()} == {kind: kind.name for kind in Kind}


def test_every_reason_reaches_the_caller_as_error_info() -> None:
    for reason in Reason:
        details = to_status_proto(AnalyticsError(Kind.ABORTED, reason, "Told.")).details
        info = error_details_pb2.ErrorInfo()
        assert details[0].Unpack(info)
        assert (info.reason, info.domain) == (reason.name, "analytics")


def test_nothing_released_was_broken() -> None:
    done = breaking(IMAGE, RELEASED)
    assert done.returncode == 0, done.stdout


def test_control_a_broken_contract_is_found(tmp_path: Path) -> None:
    changed = image()
    message = next(file for file in ours(changed) if file.message_type).message_type[0]
    message.field[0].number += 1000
    broken = tmp_path / "broken.binpb"
    broken.write_bytes(changed.SerializeToString())
    assert breaking(broken, RELEASED).returncode != 0
