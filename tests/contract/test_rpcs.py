"""Every RPC of the contract is implemented by exactly one method of an `...Rpcs` class in `server/rpc`."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING

from tests.contract.sources import ROOT, Source, dotted, python_files
from tests.contract.test_protos import image, ours

if TYPE_CHECKING:
    from google.protobuf.descriptor_pb2 import FileDescriptorSet

Handler = tuple[str, str]  # name of the RPC, full name of its request message: two services may share the first


def offered(described: FileDescriptorSet) -> set[Handler]:
    methods = [method for file in ours(described) for service in file.service for method in service.method]
    return {(method.name, method.input_type.lstrip(".")) for method in methods}


def implemented(source: Source) -> list[Handler]:
    """Public methods of the handler classes, as the RPC their name and their request's type say they are."""
    modules = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in source.nodes
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    classes = [node for node in source.nodes if isinstance(node, ast.ClassDef) and node.name.endswith("Rpcs")]
    methods = [node for owner in classes for node in owner.body if isinstance(node, ast.AsyncFunctionDef | ast.FunctionDef)]
    return [(_camel(method.name), _request(method, modules)) for method in methods if not method.name.startswith("_")]


def _camel(name: str) -> str:
    return "".join(word.capitalize() for word in name.split("_"))


def _request(method: ast.AsyncFunctionDef | ast.FunctionDef, modules: dict[str, str]) -> str:
    """Full name of the message in the annotation of the first argument: `AsyncIterator[pb.XRequest]` or `pb.XRequest`."""
    annotation = method.args.args[1].annotation if len(method.args.args) > 1 else None
    names = [dotted(node) for node in ast.walk(annotation) if isinstance(node, ast.Attribute)] if annotation else []
    module, _, message = names[0].partition(".") if names else ("", "", "")
    return re.sub(r"\w+_pb2$", "", modules.get(module, "")) + message


def mismatches(wanted: set[Handler], handlers: list[Handler]) -> list[str]:
    counted = Counter(handlers)
    missing = [
        f"{name}({request}) is implemented {counted[name, request]} times" for name, request in wanted if counted[name, request] != 1
    ]
    return sorted(missing + [f"{name}({request}) is no RPC of the contract" for name, request in counted if (name, request) not in wanted])


def test_every_rpc_is_implemented_exactly_once() -> None:
    assert (ROOT / "server" / "rpc").is_dir()
    handlers = [handler for source in python_files("server/rpc") for handler in implemented(source)]
    assert mismatches(offered(image()), handlers) == []


def test_control_a_missing_a_doubled_and_an_unknown_handler_are_found() -> None:
    code = """
from analytics.v1 import job_pb2 as pb
class JobRpcs:
    async def run_job(self, request: pb.RunJobRequest, call): ...
    async def watch_job(self, requests: AsyncIterator[pb.WatchJobRequest], call): ...
    async def _own(self, x): ...
"""
    run, watch = ("RunJob", "analytics.v1.RunJobRequest"), ("WatchJob", "analytics.v1.WatchJobRequest")
    handlers = implemented(Source("server/rpc/jobs.py", code))
    assert handlers == [run, watch]
    assert not mismatches({run, watch}, handlers)
    assert mismatches({run, watch, ("EndJob", "analytics.v1.EndJobRequest")}, handlers)
    assert mismatches({run, watch}, [*handlers, run])
    assert mismatches({run}, handlers)
