"""Messages -> rows: complete, never a crash, and what the rules of the contract cannot say is checked too."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, cast

import protovalidate
import pytest
from analytics.v1 import contracts_pb2, employees_pb2, payroll_pb2, performance_pb2, spend_pb2
from analytics.v1 import fact_service_pb2 as pb
from buf.validate import validate_pb2
from google.protobuf.message_factory import GetMessageClass
from google.type.date_pb2 import Date
from hypothesis import given, settings
from hypothesis import strategies as st

from server import schema
from server.facts.check import CURRENCIES, NAMES, WITHDRAWN_CURRENCIES, problems
from server.facts.model import ATTRIBUTES, CONTRACT_ATTRIBUTES, WORK_MEASURES, FactSet, cells
from server.facts.tables import STORAGES
from server.rpc.fact_batches import BATCHES, checked
from server.wire.facts import FieldInvalid, day, month
from tests.support.made_facts import MEMBERS, batch, made

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.protobuf.descriptor import Descriptor, FieldDescriptor
    from google.protobuf.message import Message

    from server.facts.model import Fact

TODAY = date(2026, 1, 31)
INT32 = st.integers(-(2**31), 2**31 - 1)
ROWS: dict[str, type[Message]] = {
    "employees": employees_pb2.Employee,
    "employee_exits": payroll_pb2.EmployeeExit,
    "payroll_entries": payroll_pb2.PayrollEntry,
    "contracts": contracts_pb2.Contract,
    "spend_entries": spend_pb2.SpendEntry,
    "performance_reviews": performance_pb2.PerformanceReview,
}


def names(*messages: type[Message]) -> set[str]:
    return {field.name for message in messages for field in message.DESCRIPTOR.fields}


def test_every_kind_of_batch_is_read_and_every_fact_set_is_stored_and_can_be_named() -> None:
    assert set(BATCHES) == set(MEMBERS) == set(ROWS)
    for member, each in BATCHES.items():
        assert each.member == member
        assert type(each.rows(batch(made(member, 1)))[0]) is ROWS[member]
    assert {each.fact_set for each in BATCHES.values()} == set(STORAGES) == set(FactSet)
    assert {f"FACT_SET_{each.name}" for each in FactSet} == set(pb.FactSet.keys()) - {"FACT_SET_UNSPECIFIED"}
    assert {each: storage.table.name for each, storage in STORAGES.items()} == {each: each.value for each in FactSet}


def test_every_field_of_the_contract_has_a_column_of_its_name_and_no_column_is_without_a_field() -> None:
    assert set(ATTRIBUTES) == names(employees_pb2.EmployeeAttributes)
    assert set(CONTRACT_ATTRIBUTES) == names(contracts_pb2.ContractAttributes) - {"value"}
    assert set(WORK_MEASURES) == names(performance_pb2.WorkMeasures)
    nested: dict[str, type[Message]] = {
        "employees": employees_pb2.EmployeeAttributes,
        "contracts": contracts_pb2.ContractAttributes,
        "performance_reviews": performance_pb2.WorkMeasures,
    }
    for member, row in ROWS.items():
        inside = [nested[member]] if member in nested else []
        fields = {name.replace("currency_code", "currency") for name in names(row, *inside)} - {"attributes", "work"}
        assert set(STORAGES[BATCHES[member].fact_set].columns) == fields


def test_what_an_erasure_may_name_is_a_column_of_the_sets_it_reaches() -> None:
    scope = {field.name for field in pb.DeleteFactsRequest.DESCRIPTOR.oneofs_by_name["scope"].fields} - {"everything"}
    assert {subject.value for storage in STORAGES.values() for subject in storage.subjects} == scope
    for storage in STORAGES.values():
        keys = {column for column in storage.columns if column.endswith("_key") or column == "unit"}
        assert {subject.value for subject in storage.subjects} == keys


NAMES_OF_PEOPLE = (
    *("name", "first_name", "last_name", "middle_name", "full_name", "given_name", "family_name", "surname", "nickname", "initials"),
    *("email", "phone", "address", "street", "postcode", "birth", "passport", "iban", "employee_name", "counterparty_name"),
)


def personal(found: Iterable[str]) -> list[str]:
    """The fields whose name says that they hold a name or a contact of a person."""
    return [each for each in found if any(f"_{word}_" in f"_{each}_" for word in NAMES_OF_PEOPLE)]


def test_no_fact_and_no_table_has_a_place_for_a_name_or_contact_of_a_person() -> None:
    fields = {name for row in ROWS.values() for name in names(row)}
    fields |= names(employees_pb2.EmployeeAttributes, contracts_pb2.ContractAttributes, performance_pb2.WorkMeasures)
    assert personal(fields) == []
    columns = {column.name for table in schema.metadata.tables.values() for column in table.c}
    stored = {column for storage in STORAGES.values() for column in storage.columns}
    assert personal(stored) == []
    # Organizations, models and other things have names elsewhere.
    assert [each for each in personal(columns) if each not in {"name", "display_name"}] == []
    assert personal(["employee_name", "email", "home_address"]) == ["employee_name", "email", "home_address"]


# Random messages that obey the rules of the contract.


def texts(rules: validate_pb2.StringRules) -> st.SearchStrategy[str]:
    if "[0-9]{1,15}" in rules.pattern:
        numbers = st.decimals(-(10**15) + 1 if rules.pattern.startswith("^-?") else 0, 10**15 - 1, places=4)
        return numbers.map(lambda number: f"{abs(number) if number == 0 else number:f}")
    if rules.pattern == "^[A-Z]{3}$":
        return st.sampled_from(sorted(CURRENCIES))
    characters = st.characters(exclude_categories=["Cc", "Cs"])
    return st.text(characters, min_size=rules.min_len, max_size=min(rules.max_len, 12))


def scalars(field: FieldDescriptor) -> st.SearchStrategy[object]:
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if field.enum_type is not None:
        return st.sampled_from([value.number for value in field.enum_type.values if value.number not in rules.enum.not_in])
    if field.type == field.TYPE_STRING:
        return texts(rules.string)
    if field.type == field.TYPE_BOOL:
        return st.booleans()
    if field.type == field.TYPE_INT32:
        return st.integers(rules.int32.gte, rules.int32.lte)
    return st.floats(rules.double.gte, rules.double.lte, exclude_min=rules.double.HasField("gt"))


def messages(descriptor: Descriptor) -> st.SearchStrategy[Message]:
    if descriptor is Date.DESCRIPTOR:
        return st.dates(date(1950, 1, 1), date(2100, 12, 31)).map(lambda found: Date(year=found.year, month=found.month, day=found.day))
    fields: dict[str, st.SearchStrategy[object]] = {}
    for field in descriptor.fields:
        part = scalars(field) if field.message_type is None else messages(field.message_type)
        required = field.GetOptions().Extensions[validate_pb2.field].required
        fields[field.name] = st.none() | part if field.has_presence and not required else part
    return st.fixed_dictionaries(fields).map(lambda values: GetMessageClass(descriptor)(**values))


@pytest.mark.parametrize("member", MEMBERS)
def test_any_valid_message_becomes_a_row_whose_cells_fit_its_table(member: str) -> None:
    storage = STORAGES[BATCHES[member].fact_set]

    @settings(max_examples=60, deadline=None)
    @given(messages(cast("Descriptor", ROWS[member].DESCRIPTOR)))
    def holds(message: Message) -> None:
        assert not protovalidate.collect_violations(message)
        row = BATCHES[member].read(message)
        content = cells(row)
        assert set(content) <= set(storage.columns)
        for column in storage.table.c:
            value = content.get(column.name)
            if column.name in storage.columns:
                assert column.nullable or value is not None, column.name
                expected = float if column.type.python_type is float else column.type.python_type
                assert value is None or isinstance(value, expected), (column.name, value)
        for field, description in problems(row, TODAY):
            assert field in names(ROWS[member])
            assert description

    holds()


@given(INT32, INT32, INT32)
def test_a_date_is_that_of_the_calendar_or_refused(year: int, number: int, of_month: int) -> None:
    message = Date(year=year, month=number, day=of_month)
    for read in (day, month):
        with pytest.raises(FieldInvalid):
            read(message, "x")


@given(st.integers(1940, 2110), st.integers(-1, 14), st.integers(-1, 33))
def test_a_likely_date_is_read_when_it_exists_and_a_month_whatever_its_day(year: int, number: int, of_month: int) -> None:
    message = Date(year=year, month=number, day=of_month)
    for read, expected in ((day, of_month), (month, 1)):
        try:
            wanted = date(year, number, expected) if 1950 <= year <= 2100 else None
        except ValueError:
            wanted = None
        if wanted is None:
            with pytest.raises(FieldInvalid):
                read(message, "x")
        else:
            assert read(message, "x") == wanted


def wrong(row: Fact) -> list[str]:
    return [field for field, _ in problems(row, TODAY)]


def read(message: Message) -> Fact:
    (each,) = (each for member, each in BATCHES.items() if ROWS[member] is type(message))
    return each.read(message)


def test_what_lies_too_far_ahead_is_refused_and_one_day_of_time_zones_is_not() -> None:
    entry = spend_pb2.SpendEntry(unit="u", category="c", period=Date(year=2026, month=2), amount="1", currency_code="EUR")
    assert wrong(read(entry)) == []
    assert [field for field, _ in problems(read(entry), TODAY - timedelta(days=1))] == ["amount"]
    entry.ClearField("amount")
    assert wrong(read(entry)) == ["amount"]
    entry.budget = "0"
    assert wrong(read(entry)) == []
    entry.period.year = 2032
    assert wrong(read(entry)) == ["period"]


def _on(message: Message, field: str, found: date) -> Fact:
    getattr(message, field).CopyFrom(Date(year=found.year, month=found.month, day=found.day))
    return read(message)


@pytest.mark.parametrize(
    ("member", "field"),
    [("employees", "as_of"), ("performance_reviews", "review_date"), ("contracts", "outcome_date"), ("contracts", "start_date")],
)
def test_what_models_learn_from_is_not_dated_later_than_tomorrow(member: str, field: str) -> None:
    message = made(member, 1)[0]
    if field == "start_date":
        message.ClearField("end_date")
        message.ClearField("outcome_date")
    assert wrong(_on(message, field, TODAY + timedelta(days=1))) == []
    assert wrong(_on(message, field, TODAY + timedelta(days=2))) == [field]
    assert wrong(_on(message, field, date(2099, 12, 31))) == [field]


@pytest.mark.parametrize("unseen", ["\u0085", "\u202e", "\u200b", "\ufeff", "\u2028", "\u2029"])
def test_no_key_holds_a_character_that_does_not_show(unseen: str) -> None:
    found = set()
    for member in MEMBERS:
        for field in NAMES:
            message = made(member, 1)[0]
            if field in names(type(message)):
                setattr(message, field, f"a{unseen}b")
                assert not protovalidate.collect_violations(message)
                ((wrong_field, words),) = problems(read(message), TODAY)
                assert (wrong_field, f"U+{ord(unseen):04X}" in words) == (field, True)
                found.add(field)
    assert found == set(NAMES)
    keys = {column for storage in STORAGES.values() for column in storage.columns if column.endswith("_key")}
    texts_of_keys = {name for storage in STORAGES.values() for name in storage.key if storage.table.c[name].type.python_type is str}
    assert (keys | texts_of_keys) - {"pay_type"} <= found


@pytest.mark.parametrize(
    ("key", "mended"),
    [
        (" a", "begins or ends with a space"),
        ("a ", "begins or ends with a space"),
        (" ", "begins or ends with a space"),
        ("a\u00a0b", "U+00A0; write an ordinary space"),
        ("a\u2009b", "U+2009; write an ordinary space"),
        ("\u3000a", "U+3000; write an ordinary space"),
    ],
)
def test_no_key_begins_or_ends_with_a_space_or_has_another_than_the_ordinary_one(key: str, mended: str) -> None:
    found = set()
    for member in MEMBERS:
        for field in NAMES:
            message = made(member, 1)[0]
            if field in names(type(message)):
                setattr(message, field, key)
                ((wrong_field, words),) = problems(read(message), TODAY)
                assert (wrong_field, mended in words) == (field, True)
                found.add(field)
    assert found == set(NAMES)


@given(
    st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Zs"], include_characters=" "), min_size=1, max_size=12).filter(
        lambda key: key.strip(" ") == key
    )
)
def test_every_other_character_may_be_in_a_key(key: str) -> None:
    message = cast("spend_pb2.SpendEntry", made("spend_entries", 1)[0])
    message.unit = message.category = key
    assert wrong(read(message)) == []


def test_a_contract_without_an_outcome_may_begin_later() -> None:
    message = cast("contracts_pb2.Contract", made("contracts", 1)[0])
    for field in ("end_date", "outcome", "outcome_date"):
        message.ClearField(field)
    assert wrong(_on(message, "start_date", TODAY + timedelta(days=400))) == []


def test_a_currency_of_the_years_since_2010_is_known_and_an_invented_one_is_not() -> None:
    assert not CURRENCIES & WITHDRAWN_CURRENCIES
    for code in ("EUR", "HRK", "BGN"):
        assert wrong(read(payroll_pb2.PayrollEntry(period=Date(year=2022, month=1), gross_amount="1", currency_code=code))) == []
    assert wrong(read(payroll_pb2.PayrollEntry(period=Date(year=2022, month=1), gross_amount="1", currency_code="QQQ"))) == [
        "currency_code"
    ]


def test_an_unspecified_choice_that_is_said_counts_as_absent() -> None:
    employee = cast("employees_pb2.Employee", made("employees", 1)[0])
    employee.attributes.business_travel = employees_pb2.BUSINESS_TRAVEL_UNSPECIFIED
    assert "business_travel" not in cells(read(employee))


def test_amounts_are_exact_to_the_last_digit() -> None:
    message = cast("contracts_pb2.Contract", made("contracts", 1)[0])
    message.value = "999999999999999.9999"
    assert cells(read(message))["value"] == Decimal("999999999999999.9999")


async def test_other_tasks_get_their_turn_while_a_large_batch_is_checked() -> None:
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(others())
    rows, errors = await checked(BATCHES["spend_entries"], made("spend_entries", 2500), datetime.now(UTC).date())
    task.cancel()
    assert (len(rows), errors) == (2500, [])
    assert turns >= 9
