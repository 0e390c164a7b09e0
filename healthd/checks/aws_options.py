"""Options of a check that asks AWS, read without the SDK."""

from __future__ import annotations

from typing import Self

from pydantic import ConfigDict, Field, model_validator

from healthd.aws.region import check_region
from healthd.checks.api_check import BaseURL
from healthd.checks.by_driver import require
from healthd.checks.contract import CheckConfig
from healthd.runtime.credential import APIKey
from healthd.units import Duration
from healthd.wording import shape

require("aiobotocore")


class AWSOptions(CheckConfig):
    """Options of a check that asks AWS. Without keys here the SDK's own chain finds credentials: variables, profiles,
    the role of the host."""

    model_config = ConfigDict(hide_input_in_errors=True)

    interval: Duration = 60.0
    """Time between probes, plus or minus a tenth."""
    timeout: Duration = 10.0
    """Hard deadline of a probe."""
    region: str = Field(pattern=shape(r"^[a-z0-9-]+$", "a region, such as eu-central-1"))
    """Region of the resources."""
    access_key_id: APIKey | None = None
    """Access key. Without keys here the SDK's own chain finds them: variables, profiles, the role of the host."""
    secret_access_key: APIKey | None = None
    """Secret of `access_key_id`."""
    session_token: APIKey | None = None
    """Session token of temporary keys."""
    endpoint_url: BaseURL | None = None
    """Endpoint to use instead of AWS's own, such as a simulator."""

    @model_validator(mode="after")
    def _keys_come_in_pairs(self) -> Self:
        if (self.access_key_id is None) != (self.secret_access_key is None):
            raise ValueError("access_key_id and secret_access_key go together: give both or neither")
        check_region(self.region, self.endpoint_url)
        return self

    def credentials(self) -> dict[str, str | None]:
        """Return the credentials as arguments of a client."""
        if self.access_key_id is None or self.secret_access_key is None:
            return {}
        token = self.session_token.get_secret_value() if self.session_token is not None else None
        return {
            "aws_access_key_id": self.access_key_id.get_secret_value(),
            "aws_secret_access_key": self.secret_access_key.get_secret_value(),
            "aws_session_token": token,
        }
