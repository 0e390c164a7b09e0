"""Column types with the same meaning on SQLite and PostgreSQL."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite
from sqlalchemy.engine import Dialect

from healthd.model import require_aware

_UNWRITABLE = re.compile("[\x00\ud800-\udfff]")


class Text(sa.types.TypeDecorator[str]):
    """Text that both databases accept: text decoded from foreign bytes may hold NUL and half surrogate pairs, which
    PostgreSQL refuses together with everything written in the same statement."""

    impl = sa.Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return _UNWRITABLE.sub("\ufffd", value) if value is not None else None


class _Lenient(sqlite.DATETIME):
    """Returns an invalid time as text: one broken value must not prevent a whole list from being read."""

    def result_processor(self, dialect: Dialect, coltype: object) -> Any:
        read = super().result_processor(dialect, coltype)

        def process(value: Any) -> Any:
            try:
                return read(value) if read is not None else value
            except (TypeError, ValueError):
                return value

        return process


class Moment(sa.types.TypeDecorator[datetime]):
    """Aware time in UTC. SQLite stores no time zones, so UTC is added when it is read."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(_Lenient())  # type: ignore[no-untyped-call]
        return dialect.type_descriptor(self.impl_instance)

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        require_aware(value)
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        return value.replace(tzinfo=UTC) if isinstance(value, datetime) and value.tzinfo is None else value
