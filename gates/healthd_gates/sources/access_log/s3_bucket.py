"""The bucket of an access log: what is there, and one object's bytes. Raises SourceUnavailable, with the cure."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from typing import Any

from healthd.aws.client import new_client
from healthd.model import FailureKind
from healthd_gates.sources.access_log.s3_keys import LogObject, beginnings, object_of, stamp
from healthd_gates.sources.access_log.s3_lines import Lines
from healthd_gates.sources.access_log.s3_options import S3Log
from healthd_gates.sources.contract import SourceUnavailable

_MOST_PAGES = 10  # of a thousand keys each
_CHUNK = 256 * 1024
_ELSEWHERE = {"PermanentRedirect", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "301"}


class Gone(Exception):  # noqa: N818 — what is lost is told, and counting goes on
    """The object was removed before it was read."""


class Bucket:
    """The objects of one load balancer, through the SDK, which is loaded when first needed."""

    def __init__(self, options: S3Log, timeout: float) -> None:
        self._options, self._timeout = options, timeout
        self._open = AsyncExitStack()
        self._client: Any = None

    async def listed(self, since: float, now: float) -> tuple[list[LogObject], bool]:
        """Return the objects that ended in the minute of `since` or later, the oldest first, and whether these are
        all."""
        found, pages = list[LogObject](), 0
        with self._explained("s3:ListBucket"):
            client = await self._connected()
            for beginning in beginnings(self._options, since, now):
                asked: dict[str, Any] = {"StartAfter": f"{beginning}{stamp(since)}"}
                while asked:
                    if pages == _MOST_PAGES:
                        return sorted(found, key=lambda each: each.name), False
                    answer = await client.list_objects_v2(Bucket=self._options.bucket, Prefix=beginning, **asked)
                    each_of = (object_of(it["Key"], it["Size"], beginning) for it in answer.get("Contents") or ())
                    found += [each for each in each_of if each is not None]
                    token = answer.get("NextContinuationToken") if answer.get("IsTruncated") else None
                    asked, pages = {"ContinuationToken": token} if token else {}, pages + 1
        return sorted(found, key=lambda each: each.name), True

    async def read(self, what: LogObject, lines: Lines, most: int | None = None) -> None:
        """Pass an object on, or its first bytes as soon as these are more than `most`. Raises Gone and
        BrokenObject."""
        async with self._body(what) as chunks:
            async for chunk in chunks:
                await asyncio.to_thread(lines.feed, chunk)
                if most is not None and lines.size > most:
                    return
        await asyncio.to_thread(lines.end)

    @asynccontextmanager
    async def _body(self, what: LogObject) -> AsyncIterator[AsyncIterator[bytes]]:
        with self._explained("s3:GetObject"):
            client = await self._connected()
            answer = await client.get_object(Bucket=self._options.bucket, Key=what.key)
        body = answer["Body"]
        async with body:
            yield self._chunks(body)

    async def _chunks(self, body: Any) -> AsyncIterator[bytes]:
        while True:
            with self._explained("s3:GetObject"):
                chunk = await body.read(_CHUNK)
            if not chunk:
                return
            yield chunk

    async def close(self) -> None:
        self._client = None
        stack, self._open = self._open, AsyncExitStack()
        await stack.aclose()

    async def _connected(self) -> Any:
        if self._client is None:
            options = self._options
            region = options.region or options.balancer_region
            client = new_client("s3", region=region, endpoint=options.endpoint, timeout=self._timeout)
            self._client = await self._open.enter_async_context(client)
        return self._client

    @contextmanager
    def _explained(self, action: str) -> Iterator[None]:
        try:
            yield
        except (asyncio.CancelledError, SourceUnavailable):
            raise
        except Exception as error:  # the SDK raises many kinds, most of them its own
            raise self._unavailable(error, action) from error

    def _unavailable(self, error: Exception, action: str) -> Exception:
        from healthd.checks.aws_failures import explain_aws
        from healthd.checks.failures import classify, describe

        options = self._options
        response: Any = getattr(error, "response", None)
        told = response.get("Error", {}) if isinstance(response, dict) else {}
        code, message = str(told.get("Code", "")), str(told.get("Message", ""))
        if code == "NoSuchKey":
            return Gone()
        if code == "NoSuchBucket":
            text = f"there is no bucket {options.bucket}: name the load balancer's access_logs.s3.bucket"
            return SourceUnavailable(FailureKind.MISCONFIGURED, text, unasked=True)
        if code in _ELSEWHERE:
            headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
            region = told.get("Region") or headers.get("x-amz-bucket-region")
            there = f"is in {region}: write region: {region}" if region else "is in another region: name it by `region`"
            return SourceUnavailable(FailureKind.MISCONFIGURED, f"the bucket {options.bucket} {there}", unasked=True)
        if "kms" in f"{code} {message}".lower():
            text = f"{options.address} is encrypted by a key of KMS that the credentials may not use"
            text += f": allow kms:Decrypt on that key ({code})"
            return SourceUnavailable(FailureKind.PERMISSION, text, unasked=True)
        if type(error).__module__.startswith(("botocore", "aiobotocore")):
            kind, text = explain_aws(error, action)
        else:
            kind, text = classify(error), f"{action} was not answered: {describe(error)}"
        if kind is FailureKind.PERMISSION:
            partition = options.load_balancer.split(":")[1]
            place = f"arn:{partition}:s3:::{options.bucket}"
            text += f": allow {action} on {place if action == 's3:ListBucket' else f'{place}/{options.folder}*'}"
        return SourceUnavailable(kind, text, unasked=True)
