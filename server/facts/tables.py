"""Tables of facts."""

from sqlalchemy import Boolean, Column, Date, DateTime, Double, Integer, Text

from server.db.naming import tenant_table
from server.facts.model import BOOLEAN_ATTRIBUTES, INTEGER_ATTRIBUTES, NUMBER_ATTRIBUTES, TEXT_ATTRIBUTES

ATTRIBUTE_TYPES = (
    {name: Text for name in TEXT_ATTRIBUTES}
    | {name: Boolean for name in BOOLEAN_ATTRIBUTES}
    | {name: Integer for name in INTEGER_ATTRIBUTES}
    | {name: Double for name in NUMBER_ATTRIBUTES}
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
