"""Write `generated/` from the protos: messages, stubs, type stubs and the image for clients and for buf.

Needs no network: `validate.proto` comes out of the protovalidate wheel as a descriptor, google's types out of
googleapis-common-protos. `--check` writes elsewhere and fails when the committed files differ.
"""

from __future__ import annotations

import argparse
import filecmp
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from protovalidate._gen.buf.validate import validate_pb

ROOT = Path(__file__).resolve().parent
OUT = ROOT.parent / "generated"
SITE = Path(sysconfig.get_path("purelib"))
IMAGE = "descriptor.binpb"


def generate(out: Path) -> None:
    """Fill the empty folder `out`."""
    protos = sorted(str(path.relative_to(ROOT)) for path in ROOT.rglob("*.proto"))
    with tempfile.TemporaryDirectory() as scratch:
        rules = Path(scratch) / "validate.binpb"
        rules.write_bytes(_validate_image())
        command = [
            *(sys.executable, "-m", "grpc_tools.protoc"),
            f"--proto_path={ROOT}",
            f"--proto_path={SITE}",
            f"--descriptor_set_in={rules}",
        ]
        # protoc takes either sources or descriptor sets for one file; naming validate.proto alone generates its module.
        _run([*command, f"--python_out={out}", f"--grpc_python_out={out}", f"--mypy_out={out}", f"--mypy_grpc_out={out}", *protos])
        _run([*command, f"--python_out={out}", f"--mypy_out={out}", "buf/validate/validate.proto"])
        _run([*command, "--include_imports", "--include_source_info", f"--descriptor_set_out={out / IMAGE}", *protos])


def _validate_image() -> bytes:
    file = FileDescriptorProto.FromString(validate_pb._DESC.proto.to_binary())  # noqa: SLF001 - the wheel offers no public way
    image = FileDescriptorSet()
    for name in file.dependency:
        image.file.append(_descriptor_of(name))
    image.file.append(file)
    return image.SerializeToString()


def _descriptor_of(name: str) -> FileDescriptorProto:
    module = __import__(name.removesuffix(".proto").replace("/", ".") + "_pb2", fromlist=["DESCRIPTOR"])
    return FileDescriptorProto.FromString(module.DESCRIPTOR.serialized_pb)


def _run(command: list[str]) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"  # protoc finds its plugins on PATH
    subprocess.run(command, check=True, env={**os.environ, "PATH": path}, cwd=ROOT)


def _differences(fresh: Path, kept: Path) -> list[str]:
    names = {str(path.relative_to(root)) for root in (fresh, kept) for path in root.rglob("*") if path.is_file()}
    return sorted(name for name in names if "__pycache__" not in name and not _same(fresh / name, kept / name))


def _same(one: Path, other: Path) -> bool:
    return one.exists() and other.exists() and filecmp.cmp(one, other, shallow=False)


def main() -> int:
    """Generate, or with `--check` compare."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="compare with the committed files instead of writing them")
    check = parser.parse_args().check
    with tempfile.TemporaryDirectory() as scratch:
        fresh = Path(scratch) / "generated"
        fresh.mkdir()
        generate(fresh)
        if check:
            changed = _differences(fresh, OUT)
            for name in changed:
                print(f"generated/{name} is not what the protos say: run `make proto` and commit", file=sys.stderr)
            return 1 if changed else 0
        shutil.rmtree(OUT, ignore_errors=True)
        shutil.copytree(fresh, OUT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
