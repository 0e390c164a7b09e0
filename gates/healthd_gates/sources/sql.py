"""Numbers that queries find in a database, each in a transaction that is read only and that a server ends in time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import ClassVar

from healthd.checks.band import number
from healthd.checks.failures import explain_late
from healthd.checks.sql_database import open_database
from healthd_gates.sources.contract import Arms, SourceConfig, SourceContext, SourceUnavailable
from healthd_gates.sources.numbers import Answered, Answers, NumbersSource
from healthd_gates.sources.sql_config import SqlSourceConfig, parametrized, style_of

_DATABASE = "database"  # the one instance that answers

Asked = tuple[str, tuple[str, ...]]


class Sql(NumbersSource):
    """One gate's connection."""

    config_model: ClassVar[type[SourceConfig]] = SqlSourceConfig

    def __init__(self, config: SqlSourceConfig, arms: Arms, context: SourceContext) -> None:
        super().__init__(config, arms, context)
        self._timeout, self._redact, self._named = config.timeout, context.redact, arms.named()
        self._database, self._style = open_database(config.uri, context.clock, config.timeout), style_of(config.uri)

    async def read(self, texts: Sequence[str]) -> Mapping[str, Answers]:
        asked = {
            (name, text): parametrized(text, name, arm, self._style)
            for name, arm in self._named.items()
            for text in texts
        }
        try:
            async with asyncio.timeout(self._timeout):
                found = {each: await self._ask(*each) for each in dict.fromkeys(asked.values())}
        except TimeoutError as error:
            self._database.drop()
            kind, waited = explain_late(self._database.waited_for(self._timeout))
            told = self._redact(f"{self._database.name}: {waited}")
            raise SourceUnavailable(kind, told, unasked=True) from error
        except self._database.failures as error:
            result = self._database.failure(error)
            assert result.kind is not None
            told = self._redact(f"{self._database.name}: {result.message}")
            raise SourceUnavailable(result.kind, told, unasked=True) from error
        return {name: {_DATABASE: _answered(name, texts, asked, found)} for name in self._named}

    async def close(self) -> None:
        self._database.drop()

    async def _ask(self, query: str, values: tuple[str, ...]) -> float | str:
        """Return the number that a query finds, or what is wrong with it."""
        try:
            rows = (await self._database.look(query, *values, within=self._timeout)).rows
        except self._database.failures as error:
            if not self._database.is_of_the_query(error):
                raise
            return self._redact(f"the query fails: {self._database.failure(error).message}")
        if not rows:
            return "the query found no row"
        raw = rows[0][0] if len(rows[0]) else None
        if (value := number(raw)) is not None:
            return value
        return f"the query found {'NULL' if raw is None else f'a value of type {type(raw).__name__}'}, no number"


def _answered(
    name: str, texts: Sequence[str], asked: Mapping[tuple[str, str], Asked], found: Mapping[Asked, float | str]
) -> Answered:
    answers = {text: found[asked[name, text]] for text in texts}
    return Answered(
        {text: answer for text, answer in answers.items() if not isinstance(answer, str)},
        {text: answer for text, answer in answers.items() if isinstance(answer, str)},
    )
