"""Checks that ask AWS through a proxy: the SDK's own way to connect, with what `outgoing` says."""

from healthd.config.outgoing import Outgoing
from healthd.http.outgoing import put_in_force
from healthd.model import FailureKind, Status
from tests.integration.healthd.checks.aws_asking import checked, client
from tests.servers import moto, proxy
from tests.servers.ports import free_port

LOGIN = "shop:p@ss/w0rd-MARK"


async def test_a_queue_through_a_proxy(aws: moto.Moto) -> None:
    """It logs in; a proxy that refuses or is away is told as the proxy's, without its login; a reload takes effect."""
    async with client(aws, "sqs") as sqs:
        await sqs.create_queue(QueueName="orders")
    async with proxy.running({"moto.test": aws.port}, LOGIN) as way:
        put_in_force(Outgoing.model_validate({"proxy": way.url.replace("//", "//shop:p%40ss%2Fw0rd-MARK@")}).way)
        async with checked("sqs", "http://moto.test", queue="orders") as check:
            await check.finds(Status.HEALTHY)
            assert {target for _, target in way.asked} == {"http://moto.test/"}
            gone = free_port()
            put_in_force(Outgoing.model_validate({"proxy": f"http://shop:w0rd-MARK@127.0.0.1:{gone}"}).way)
            message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
            assert message == f"the proxy is not reached: 127.0.0.1:{gone} refused the connection"
            put_in_force(Outgoing.model_validate({"proxy": way.url}).way)
        async with checked("sqs", "https://moto.test", queue="orders") as check:
            message = (await check.finds(Status.UNHEALTHY, FailureKind.CONNECT)).message
            assert message.startswith(f"the proxy 127.0.0.1:{way.port} asks for a login (407)")
    assert not way.malformed
