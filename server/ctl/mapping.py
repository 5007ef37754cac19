"""Which column of a file fills which field of a fact, by what the person said and by the names of the columns.

What always holds: protected attributes are never taken, neither as a field nor as the column behind one; a column is
used for one field, and every column is either used or listed as ignored with a reason.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from server.ctl.fact_fields import ATTRIBUTE_FIELDS
from server.ctl.failures import BadInput
from server.ctl.values import FieldSpec, Unreadable, Value, normalized, read, shown

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from server.ctl.fact_files import FactFile

# Names of protected attributes, normalized. They may not become features, so the import takes none of them.
PROTECTED = frozenset(
    [
        "age",
        "agegroup",
        "gender",
        "sex",
        "female",
        "male",
        "maritalstatus",
        "married",
        "race",
        "ethnicity",
        "ethnicgroup",
        "religion",
        "nationality",
        "citizenship",
        "disability",
        "disabled",
        "pregnancy",
        "pregnant",
        "sexualorientation",
        "birthdate",
        "dateofbirth",
        "dob",
        "birthyear",
        "over18",
        "over40",
        "seniorcitizen",
        "veteranstatus",
    ]
)
_PROTECTED_REASON = "a protected attribute; those are never features, and this import takes none"

_TRANSLATION = re.compile(r"(?P<column>.*):(?P<pairs>[^:=,]*=[^=,]*(,[^:=,]*=[^=,]*)*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ColumnRule:
    """One field taken from one column; `translation` replaces texts (lower case) before they are read."""

    spec: FieldSpec
    column: str
    index: int
    origin: str
    translation: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ConstantRule:
    """One field with the same value in every row."""

    spec: FieldSpec
    value: Value
    text: str
    origin: str


@dataclass(frozen=True, slots=True)
class Plan:
    """How each row of a file becomes a fact; `ignored` holds (column, reason)."""

    kind: FactFile
    columns: tuple[ColumnRule, ...]
    constants: tuple[ConstantRule, ...]
    ignored: tuple[tuple[str, str], ...]

    @property
    def has_outcome(self) -> bool:
        """Whether the rows can say how it went, which training needs; true of facts that nothing learns from."""
        return not self.kind.outcome or self.kind.outcome in {
            *(rule.spec.name for rule in self.columns),
            *(rule.spec.name for rule in self.constants),
        }


def last_month_end(today: datetime.date) -> datetime.date:
    """The last day of the month before `today`'s."""
    return today.replace(day=1) - today.resolution


def plan(  # noqa: PLR0913 - one argument per option
    kind: FactFile,
    header: Sequence[str],
    *,
    maps: Sequence[str] = (),
    constants: Sequence[str] = (),
    ignore: Sequence[str] = (),
    today: datetime.date,
) -> Plan:
    """Match the columns of a header with the fields.

    Args:
        kind: what the rows are.
        header: names of the columns, in order.
        maps: `FIELD=COLUMN` or `FIELD=COLUMN:text=value,text=value`.
        constants: `FIELD=VALUE`.
        ignore: columns to leave out although their names fit.
        today: date behind a date that is the end of the month before by default.

    Raises:
        BadInput: a rule names an unknown field or column or a protected attribute, two rules want the same field, or
            nothing fills a field that every row needs.

    """
    fixed = {rule.spec.name: rule for rule in (_constant(item, kind) for item in _once(constants, "--set"))}
    given = {rule.spec.name: rule for rule in (_column_rule(item, header, kind) for item in _once(maps, "--map"))}
    for name in sorted(fixed.keys() & given.keys()):
        msg = f"{name} is given by both --map and --set"
        raise BadInput(msg)
    left_out = {_find(header, column, "--ignore") for column in ignore}
    used: dict[int, ColumnRule] = {}
    for rule in given.values():
        other = used.setdefault(rule.index, rule)
        if other is not rule:
            msg = f"column {shown(rule.column)} is mapped to two fields, {other.spec.name} and {rule.spec.name}"
            raise BadInput(msg)
    matched = _by_name(header, kind, taken=fixed.keys() | given.keys(), skip=left_out | used.keys())
    used |= {rule.index: rule for rule in matched}
    filled = fixed.keys() | {rule.spec.name for rule in used.values()}
    if kind.month_end and kind.month_end not in filled:
        date = last_month_end(today)
        fixed[kind.month_end] = ConstantRule(kind.fields[kind.month_end], date, date.isoformat(), "default: end of last month")
    _require(kind, filled | fixed.keys())
    ignored = tuple((name, _why_ignored(name, index in left_out)) for index, name in enumerate(header) if index not in used)
    return Plan(kind, tuple(used[index] for index in sorted(used)), tuple(fixed.values()), ignored)


def _once(texts: Sequence[str], option: str) -> list[tuple[str, str]]:
    found: dict[str, str] = {}
    for text in texts:
        name, separator, rest = text.partition("=")
        name = name.strip()
        if not separator or not name or not rest.strip():
            msg = f"{option} {shown(text)} is not of the form FIELD={'COLUMN' if option == '--map' else 'VALUE'}"
            raise BadInput(msg)
        if name in found:
            msg = f"{name} is given twice by {option}"
            raise BadInput(msg)
        found[name] = rest
    return list(found.items())


def attribute_field(name: str) -> FieldSpec:
    """The attribute of an employee that a person names; the features of a turnover prediction.

    Raises:
        BadInput: there is none, or it is a protected attribute.

    """
    return _field(name, ATTRIBUTE_FIELDS, "an employee")


def _field(name: str, fields: Mapping[str, FieldSpec], noun: str) -> FieldSpec:
    spec = fields.get(name) or fields.get(name.lower().replace("-", "_"))
    if spec is not None:
        return spec
    if normalized(name) in PROTECTED:
        msg = f"{shown(name)} is {_PROTECTED_REASON}"
        raise BadInput(msg)
    close = difflib.get_close_matches(name.lower(), fields, n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else f"the fields are {', '.join(fields)}"
    msg = f"{shown(name)} is no field of {noun}"
    raise BadInput(msg, hint)


def _constant(item: tuple[str, str], kind: FactFile) -> ConstantRule:
    name, text = item
    spec = _field(name, kind.fields, kind.noun)
    identity, subjects = kind.identity
    if spec.name == identity:
        msg = f"{identity} tells {subjects} apart, so it cannot be the same in every row; use --map {identity}=COLUMN"
        raise BadInput(msg)
    try:
        value = read(spec, text)
    except Unreadable as error:
        msg = f"--set {name}: {error}"
        raise BadInput(msg) from None
    if value is None:
        msg = f"--set {name} has no value"
        raise BadInput(msg)
    return ConstantRule(spec, value, text.strip(), "--set")


def _column_rule(item: tuple[str, str], header: Sequence[str], kind: FactFile) -> ColumnRule:
    name, target = item
    spec, pairs = _field(name, kind.fields, kind.noun), ""
    match = _TRANSLATION.fullmatch(target)
    # A column may itself be called `a:b=c`, so the whole text is tried first.
    if target not in header and match is not None:
        target, pairs = match["column"], match["pairs"]
    index = _find(header, target, f"--map {name}")
    if normalized(header[index]) in PROTECTED:
        msg = f"--map {name}: column {shown(header[index])} is {_PROTECTED_REASON}"
        raise BadInput(msg)
    translation = dict(_pair(pair, spec) for pair in pairs.split(",")) if pairs else {}
    return ColumnRule(spec, header[index], index, "--map", translation)


def _pair(pair: str, spec: FieldSpec) -> tuple[str, str]:
    text, _, value = pair.partition("=")
    try:
        read(spec, value)
    except Unreadable as error:
        msg = f"--map {spec.name}: {error}"
        raise BadInput(msg) from None
    return text.strip().lower(), value


def _find(header: Sequence[str], column: str, option: str) -> int:
    exact = [index for index, name in enumerate(header) if name == column]
    fitting = exact or [index for index, name in enumerate(header) if normalized(name) == normalized(column) != ""]
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        msg = f"{option}: the file has more than one column {shown(column)}"
        raise BadInput(msg)
    close = difflib.get_close_matches(column, header, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(close)}?" if close else f"the columns are {', '.join(header)}"
    msg = f"{option}: the file has no column {shown(column)}"
    raise BadInput(msg, hint)


def _by_name(header: Sequence[str], kind: FactFile, *, taken: set[str], skip: set[int]) -> list[ColumnRule]:
    by_word = {normalized(name): (name, "same name") for name in kind.fields}
    by_word |= {word: (name, "usual name") for word, name in kind.other_names.items()}
    found: dict[str, ColumnRule] = {}
    for index, column in enumerate(header):
        name, origin = by_word.get(normalized(column), ("", ""))
        if not name or name in taken or index in skip:
            continue
        other = found.get(name)
        if other is not None and other.origin == origin:
            msg = f"columns {shown(other.column)} and {shown(column)} both fit {name}; say which one by --map {name}=COLUMN"
            raise BadInput(msg)
        if other is None or origin == "same name":
            found[name] = ColumnRule(kind.fields[name], column, index, origin)
    return list(found.values())


def _require(kind: FactFile, filled: set[str]) -> None:
    identity, subjects = kind.identity
    for spec in kind.fields.values():
        if spec.required and spec.name not in filled:
            why = f"which tells {subjects} apart" if spec.name == identity else "which every row needs"
            constant = "" if spec.name == identity else f", or --set {spec.name}=VALUE when it is the same in every row"
            msg = f"no column is mapped to {spec.name}, {why}"
            raise BadInput(msg, f"say which one by --map {spec.name}=COLUMN{constant}")
    names, words = kind.one_of
    if names and not names & filled:
        msg = f"no column is mapped to {words}"
        raise BadInput(msg, f"map some by --map FIELD=COLUMN; the fields are {', '.join(kind.fields)}")


def _why_ignored(column: str, left_out: bool) -> str:  # noqa: FBT001 - private, one caller
    if normalized(column) in PROTECTED:
        return "protected attribute, never imported"
    return "--ignore" if left_out else "no field of this name"
