"""Options of an access log that an Application Load Balancer puts into S3, read without the SDK."""

from __future__ import annotations

import re
from importlib.util import find_spec
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from healthd.aws.region import check_region
from healthd.config.model import Model
from healthd.extras import how_to_get
from healthd.units import Duration
from healthd.wording import shape

_ARN = re.compile(r"arn:aws[a-z-]*:elasticloadbalancing:([a-z0-9-]+):(\d{12}):loadbalancer/(app/[^/\s]+/[^/\s]+)")
_FOLDER = "AWSLogs"


def _load_balancer(text: str) -> str:
    if _ARN.fullmatch(text) is None:
        raise ValueError(
            "is not the ARN of an Application Load Balancer: "
            "arn:aws:elasticloadbalancing:REGION:ACCOUNT:loadbalancer/app/NAME/ID"
        )
    return text


def _prefix(text: str) -> str:
    if _FOLDER in text.split("/"):
        raise ValueError(
            f"is what stands before {_FOLDER}: write the load balancer's access_logs.s3.prefix, or leave it out"
        )
    if text.startswith("/") or text.endswith("/"):
        raise ValueError("has a slash at an end: write it without, as the load balancer's access_logs.s3.prefix is")
    return text


class S3Log(Model):
    """The bucket that an Application Load Balancer puts its access log into. Credentials are the SDK's own:
    environment, profile, role."""

    bucket: str = Field(
        pattern=shape(
            r"^[a-z0-9][a-z0-9._-]{1,61}[a-z0-9]$", "the name of a bucket, without s3:// and without a prefix"
        )
    )
    """Name of the bucket: the load balancer's `access_logs.s3.bucket`."""
    prefix: Annotated[str, AfterValidator(_prefix)] = ""
    """Beginning of the keys, before `AWSLogs`: the load balancer's `access_logs.s3.prefix`."""
    load_balancer: Annotated[str, AfterValidator(_load_balancer)]
    """The ARN of the load balancer, whose account and region are parts of the keys."""
    region: str | None = None
    """Region of the bucket; the load balancer's unless given."""
    endpoint: str | None = Field(
        None, pattern=shape(r"^https?://[^\s?#]+$", "an address that begins with http:// or https://, without a query")
    )
    """The address of S3, if not the public one."""
    delay: Duration = Field(240.0, ge=0, le=1500)
    """Time after the end of five minutes for which their objects are waited for; then they are counted at once."""

    @model_validator(mode="after")
    def _sdk_is_there(self) -> Self:
        if find_spec("aiobotocore") is None:
            raise ValueError(f"an access log in S3 needs the AWS SDK: {how_to_get('aws')}")
        check_region(self.region, self.endpoint)
        return self

    @property
    def account(self) -> str:
        return self._parts[1]

    @property
    def balancer_region(self) -> str:
        return self._parts[0]

    @property
    def resource(self) -> str:
        """The load balancer as its objects are named: app.NAME.ID."""
        return self._parts[2].replace("/", ".")

    @property
    def folder(self) -> str:
        """Beginning of all its keys, with the slash."""
        place = f"{_FOLDER}/{self.account}/elasticloadbalancing/{self.balancer_region}/"
        return f"{self.prefix}/{place}" if self.prefix else place

    @property
    def address(self) -> str:
        """Its name, for people."""
        return f"s3://{self.bucket}/{self.folder}"

    @property
    def _parts(self) -> tuple[str, ...]:
        found = _ARN.fullmatch(self.load_balancer)
        assert found is not None
        return found.groups()
