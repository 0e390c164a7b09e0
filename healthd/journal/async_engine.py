"""SQLAlchemy's asynchronous engine. The package that holds it would import the ORM too, which nothing here uses."""

from healthd.runtime.lean_imports import without_package

with without_package("sqlalchemy.ext.asyncio"):
    from sqlalchemy.ext.asyncio.engine import AsyncConnection as AsyncConnection  # noqa: TID251
    from sqlalchemy.ext.asyncio.engine import AsyncEngine as AsyncEngine  # noqa: TID251
    from sqlalchemy.ext.asyncio.engine import create_async_engine as create_async_engine  # noqa: TID251
