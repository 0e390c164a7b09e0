"""HAProxy sends traffic by what healthd says."""

from signal import SIGTERM

from tests.acceptance.clients import dependent
from tests.servers import haproxy, redis
from tests.servers.waiting import until

WAYS = {
    "by_default": "option httpchk",  # OPTIONS / HTTP/1.0, without a Host
    "by_get": "option httpchk GET /health/ready",
    "by_head": "option httpchk\n http-check send meth HEAD uri /health/ready ver HTTP/1.1 hdr Host app.test",
}


def backends(port: int) -> str:
    server = f"server app 127.0.0.1:{port} check inter 50ms fall 2 rise 1"
    ways = "\n".join(f"backend {name}\n {check}\n {server}" for name, check in WAYS.items())
    return f" default_backend by_default\n{ways}"


async def test_httpchk_follows_a_dependency() -> None:
    """With its defaults, with GET and with HEAD: taken out when Redis hangs, back in when it answers."""
    with redis.standalone() as server:
        async with dependent.on(server) as healthd:
            with haproxy.running(backends(healthd.port)) as balancer:

                def all_are(status: str, check: str, code: str) -> bool:
                    seen = [balancer.server(name, "app") for name in WAYS]
                    expected = (status, check, code)
                    return all((s["status"], s["check_status"], s["check_code"]) == expected for s in seen)

                await until(lambda: all_are("UP", "L7OK", "200"), "each way of asking succeeds")
                server.pause()
                await until(lambda: all_are("DOWN", "L7STS", "503"), "the server is taken out")
                server.resume()
                await until(lambda: all_are("UP", "L7OK", "200"), "the server is back")


async def test_draining_is_seen_before_the_end() -> None:
    """On SIGTERM the balancer looks elsewhere while the daemon still answers."""
    with redis.standalone() as server:
        async with dependent.on(server, {"drain": "5s"}) as healthd:
            with haproxy.running(backends(healthd.port)) as balancer:
                await until(lambda: balancer.server("by_default", "app")["check_status"] == "L7OK", "it is in")
                healthd.process.send(SIGTERM)
                await until(lambda: balancer.server("by_default", "app")["status"] == "DOWN", "it is out")
                assert balancer.server("by_default", "app")["check_status"] == "L7STS"
                assert healthd.process.running
