"""Tables of facts."""

from sqlalchemy import Boolean, Column, Date, DateTime, Double, Integer, Text

from server.db.naming import tenant_table
from server.facts.model import BOOLEAN_ATTRIBUTES, INTEGER_ATTRIBUTES, NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES

ATTRIBUTE_TYPES = (
    dict.fromkeys(TEXT_ATTRIBUTES, Text)
    | dict.fromkeys(BOOLEAN_ATTRIBUTES, Boolean)
    | dict.fromkeys(INTEGER_ATTRIBUTES, Integer)
    | dict.fromkeys(NUMBER_ATTRIBUTES, Double)
)

employees = tenant_table(
    "employees",
    Column("employee_key", Text, nullable=False),
    Column("as_of", Date, nullable=False),
    *(Column(name, type_) for name, type_ in ATTRIBUTE_TYPES.items()),
    Column("left_within_year", Boolean),
    Column("updated_at", DateTime(timezone=True), nullable=False),
    key=["employee_key", "as_of"],
)
