"""Bucket of Amazon S3, or of a store that speaks its protocol: that it can be read, and what was last put there."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from healthd.checks.aws_account import Account, CallError
from healthd.checks.contract import CheckConfig, CheckContext
from healthd.checks.finding import Finding, sum_up, unhealthy
from healthd.checks.limits import show_age
from healthd.checks.s3_options import S3Config
from healthd.model import FailureKind, Measure, Result
from healthd.units import show_duration

_MOST_PAGES = 10  # of a thousand objects each


class S3:
    """Lists the bucket; with `max_age` or `min_size` all that is below the prefix: S3 sorts by key, not by time."""

    config_model: ClassVar[type[CheckConfig]] = S3Config

    def __init__(self, config: S3Config, context: CheckContext) -> None:
        self._config, self._clock = config, context.clock
        self._account = Account(config)

    async def probe(self) -> Result:
        return await self._account.probed(self._look)

    async def close(self) -> None:
        await self._account.close()

    async def _look(self) -> Result:
        config = self._config
        try:
            if config.max_age is None and config.min_size is None:
                await self._page(None, most=1)
                return Result.healthy(f"{config.bucket} can be listed")
            return await self._newest()
        except CallError as error:
            if error.code != "NoSuchBucket":
                raise
            return Result.unhealthy(FailureKind.UNEXPECTED_RESPONSE, f"there is no bucket {config.bucket}")

    async def _newest(self) -> Result:
        config, place = self._config, f"{self._config.bucket}/{self._config.prefix}"
        newest, count, token = None, 0, None
        for _ in range(_MOST_PAGES):
            page = await self._page(token)
            for each in page.get("Contents") or ():
                if each["Key"].endswith("/") and not each["Size"]:
                    continue  # what consoles make of a folder
                count += 1
                if newest is None or each["LastModified"] > newest["LastModified"]:
                    newest = each
            if not page.get("IsTruncated"):
                break
            token = page["NextContinuationToken"]
        else:
            many = f"more than {_MOST_PAGES * 1000} objects below {place}: name a longer prefix"
            return Result.unhealthy(FailureKind.MISCONFIGURED, many)
        if newest is None:
            return Result.unhealthy(FailureKind.THRESHOLD, f"there is no object below {place}")
        size = int(newest["Size"])
        age = max(0.0, (self._clock.now() - newest["LastModified"]).total_seconds())
        findings = list[Finding]()
        if config.max_age is not None and age > config.max_age:
            findings.append(
                unhealthy(
                    f"{newest['Key']} is the newest, {show_age(age)} old, more than {show_duration(config.max_age)}"
                )
            )
        if config.min_size is not None and size < config.min_size:
            findings.append(
                unhealthy(f"{newest['Key']} is the newest, and has {size} bytes, less than {config.min_size}")
            )
        return sum_up(
            findings,
            fine=f"{newest['Key']} is {show_age(age)} old",
            observed={"objects": count, "newestAgeSeconds": round(age), "newestBytes": size},
            measures=(Measure("newest_age", age, "s"), Measure("newest_size", size, "B"), Measure("objects", count)),
        )

    async def _page(self, token: str | None, most: int = 1000) -> Mapping[str, Any]:
        further = {"ContinuationToken": token} if token is not None else {}
        asked = {"Bucket": self._config.bucket, "Prefix": self._config.prefix, "MaxKeys": most, **further}
        return await self._account.ask("s3", "list_objects_v2", "s3:ListBucket", **asked)
