"""Mail addresses, for the notifiers that send mail."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints

from healthd.wording import shape

Mail = Annotated[str, StringConstraints(pattern=shape(r"^[^@\s]+@[^@\s]+$", "a mail address"), max_length=254)]
LONGEST_SUBJECT = 200  # characters


def _several(raw: object) -> object:
    if isinstance(raw, str) and re.search(r"@.*[,;].*@", raw, re.DOTALL):
        raise ValueError("must be one mail address, or a list of them: [ann@example.com, bob@example.com]")
    return (raw,) if isinstance(raw, str) else raw


def _once_each(mails: tuple[str, ...]) -> tuple[str, ...]:
    """SendGrid refuses a mail with the same recipient twice, whatever their case."""
    known: set[str] = set()
    for mail in mails:
        if mail.lower() in known:
            raise ValueError(f"{mail} stands there twice: a recipient gets one mail")
        known.add(mail.lower())
    return mails


Recipients = Annotated[
    tuple[Mail, ...],
    Field(min_length=1),
    BeforeValidator(_several, json_schema_input_type=Mail | tuple[Mail, ...]),
    AfterValidator(_once_each),
]
"""One recipient or several, each once."""
