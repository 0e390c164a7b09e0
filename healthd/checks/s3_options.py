"""Options of a check of a bucket, read without the SDK."""

from __future__ import annotations

import re
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, model_validator

from healthd.checks.aws_options import AWSOptions
from healthd.units import Duration, Size

_NAME = re.compile(r"(?:[A-Za-z0-9_-]+:)?[A-Za-z0-9][A-Za-z0-9._-]{2,254}")  # Ceph's may have a tenant before it


def _bucket(text: str) -> str:
    """Return the name of a bucket, or the ARN of an access point. Raises ValueError."""
    address = text.partition("://")[2]
    if text.startswith("arn:"):
        if ":accesspoint" not in text:
            raise ValueError("is no ARN of an access point: write the bucket's name, without arn:aws:s3:::")
        return text
    if address or "/" in text:
        name, _, prefix = (address if text.startswith("s3://") else "" if address else text).partition("/")
        below = f" and prefix: {prefix}" if prefix else ""
        instead = f": write bucket: {name}{below}" if name else ""
        raise ValueError(f"must be the name of a bucket, not its address{instead}")
    if not _NAME.fullmatch(text):
        raise ValueError("must be the name of a bucket: 3 to 255 letters, digits, dots, hyphens and underscores")
    return text


class S3Config(AWSOptions):
    kind: Literal["s3"] = "s3"
    bucket: Annotated[str, AfterValidator(_bucket)]
    """Name of the bucket, or an access point's ARN."""
    prefix: str = ""
    """Beginning of the keys that are looked at."""
    max_age: Duration | None = None
    """Age of the newest object below the prefix from which the check is unhealthy."""
    min_size: Size | None = None
    """Size of the newest object below which the check is unhealthy."""

    @model_validator(mode="after")
    def _is_consistent(self) -> Self:
        if self.prefix.startswith("/"):
            raise ValueError("prefix begins with a slash, which the keys of objects rarely do: write it without")
        return self
