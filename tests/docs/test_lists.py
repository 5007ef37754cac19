"""Lists in the guides are whole: database roles, files of the contract."""

from __future__ import annotations

import re
from itertools import product

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from server.ctl.demo_crowd import crowd
from server.ctl.demo_organizations import ORGANIZATIONS
from server.db.engines import DbRole
from tests.docs.blocks import ROOT, read

CLIENTS = ROOT / "docs" / "clients.md"
# In the runtime of every language.
OF_PROTOBUF = "google/protobuf/"


def needed(image: FileDescriptorSet) -> set[str]:
    """Files of an image that ours are or import, through any number of others."""
    imports = {file.name: set(file.dependency) for file in image.file}
    found, todo = set[str](), {file for file in imports if file.startswith("analytics/")}
    while todo:
        found |= todo
        todo = {imported for file in todo for imported in imports[file]} - found
    return {file for file in found if not file.startswith(OF_PROTOBUF)}


def expanded(word: str) -> list[str]:
    """Return what a shell makes of `a/{b,c}.proto`."""
    parts = [part.split(",") for part in re.split(r"[{}]", word)]
    return ["".join(each) for each in product(*parts)]


def files_of_protoc() -> list[str]:
    """Files that the command for `protoc` names."""
    command = next(block.text for block in read(CLIENTS) if block.text.startswith("protoc "))
    return [file for word in command.split() if word.endswith(".proto") for file in expanded(word)]


def roles_of(page: str) -> set[str]:
    """Roles that have a row of their own."""
    return set(re.findall(r"^\| `(\w+)` \| [^|]+ \| [^|]+ \|$", page.partition("| role |")[2].partition("\n\n")[0], re.MULTILINE))


def image() -> FileDescriptorSet:
    """The contract with all it imports."""
    return FileDescriptorSet.FromString((ROOT / "generated" / "descriptor.binpb").read_bytes())


def test_the_command_for_protoc_names_every_file_of_the_contract_and_all_that_they_import() -> None:
    found = files_of_protoc()
    assert len(found) == len(set(found))
    assert set(found) == needed(image())


def test_every_service_of_the_contract_is_in_the_table_of_services() -> None:
    services = {f"{file.package}.{service.name}" for file in image().file if file.name.startswith("analytics/") for service in file.service}
    assert services <= set(re.findall(r"^\| `([\w.]+)` \|", CLIENTS.read_text(), re.MULTILINE))


@pytest.mark.parametrize("role", DbRole)
def test_the_guide_to_operations_names_every_database_role(role: DbRole) -> None:
    page = (ROOT / "docs" / "operations.md").read_text()
    assert role in roles_of(page)
    assert f"`{role}`" in page.partition("are fixed and belong")[0].rpartition("The names")[2]
    assert f"ANALYTICS_DB_{role.upper()}_PASSWORD=" in page


def test_the_readme_says_how_many_demo_tenants_are_loaded() -> None:
    (said,) = re.findall(r"loads (\d+) demo tenants", (ROOT / "README.md").read_text())
    assert int(said) == len([*ORGANIZATIONS, *crowd()])


def test_control_a_file_that_is_imported_by_an_import_is_needed() -> None:
    small = FileDescriptorSet()
    for name, imports in (("analytics/a.proto", ["x/b.proto"]), ("x/b.proto", ["x/c.proto"]), ("x/c.proto", []), ("x/d.proto", [])):
        small.file.add(name=name, dependency=imports)
    assert needed(small) == {"analytics/a.proto", "x/b.proto", "x/c.proto"}
