"""An Application Load Balancer as it writes its access log into S3, where the real one is AWS's alone.

Its facts are those of AWS's page "Access logs for your Application Load Balancer": each node writes an object of its
own every five minutes, named by their end in UTC and whole minutes, in the folder of the day of its delivery; delivery
is best effort. A line's time is when the answer was made.
"""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from secrets import token_hex
from typing import Any

ACCOUNT, REGION = "123456789012", "eu-west-1"
RESOURCE = "app/shop/50dc6c495c0c9188"
ARN = f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:loadbalancer/{RESOURCE}"
GROUPS = {
    name: f"arn:aws:elasticloadbalancing:{REGION}:{ACCOUNT}:targetgroup/{name}/73e2d6bc24d8a06{number}"
    for number, name in enumerate(("blue", "green"))
}


def line(
    at: datetime,
    status: int = 200,
    target: str = "10.0.0.2:80",
    group: str = "green",
    took: float = 0.048,
    path: str = "/a",
) -> str:
    """A line of the log."""
    answered = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return (
        f"https {answered} {RESOURCE} 192.168.131.39:2817 {target} 0.001 {took:.3f} 0.000 {status} {status} 34 366 "
        f'"GET https://shop.example.com:443{path} HTTP/1.1" "curl/7.46.0" ECDHE-RSA-AES128-GCM-SHA256 TLSv1.2 '
        f'{GROUPS[group]} "Root=1-58337281-1d84f3d73c47ec4e58577259" "shop.example.com" "-" 0 {answered} '
        f'"forward" "-" "-" "{target}" "{status}" "-" "-" TID_1234abcd5678ef90'
    )


@dataclass
class Log:
    """A bucket that a load balancer writes to; `client` is one of S3."""

    client: Any
    bucket: str
    prefix: str = ""

    async def deliver(
        self, ended: datetime, lines: Sequence[str], node: str = "172.160.001.192", late: timedelta | None = None
    ) -> str:
        """One node's object of the five minutes that ended then; return its key."""
        body = gzip.compress("".join(f"{each}\n" for each in lines).encode())
        return await self.put(ended, body, node, late)

    async def put(
        self, ended: datetime, body: bytes, node: str = "172.160.001.192", late: timedelta | None = None
    ) -> str:
        """An object of any bytes."""
        day = (ended + (late or timedelta(minutes=2))).strftime("%Y/%m/%d")
        name = f"{ACCOUNT}_elasticloadbalancing_{REGION}_{RESOURCE.replace('/', '.')}_{ended:%Y%m%dT%H%MZ}_{node}"
        folder = f"{self.prefix}/" if self.prefix else ""
        key = f"{folder}AWSLogs/{ACCOUNT}/elasticloadbalancing/{REGION}/{day}/{name}_{token_hex(4)}.log.gz"
        await self.client.put_object(Bucket=self.bucket, Key=key, Body=body)
        return key
