"""HAProxy sends traffic by what healthd says."""

from signal import SIGTERM

from tests.acceptance.clients import dependent
from tests.servers import haproxy, redis
from tests.servers.ports import free_port
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
        async with dependent.on(server, http={"drain": "5s"}) as healthd:
            with haproxy.running(backends(healthd.port)) as balancer:
                await until(lambda: balancer.server("by_default", "app")["check_status"] == "L7OK", "it is in")
                healthd.process.send(SIGTERM)
                await until(lambda: balancer.server("by_default", "app")["status"] == "DOWN", "it is out")
                assert balancer.server("by_default", "app")["check_status"] == "L7STS"
                assert healthd.process.running


def by_agent(port: int, agent: int) -> str:
    server = f"server app 127.0.0.1:{port} weight 100 check agent-check agent-port {agent} agent-inter 50ms"
    return f" default_backend app\nbackend app\n {server}"


async def test_agent_check_sets_state() -> None:
    """The agent takes the server out and says why, takes it back in, and has it drained before the end."""
    agent = free_port()
    http = {"agent_check": f"127.0.0.1:{agent}", "drain": "5s"}
    with redis.standalone() as server:
        async with dependent.on(server, http=http) as healthd:
            with haproxy.running(by_agent(healthd.port, agent)) as balancer:

                def seen() -> dict[str, str]:
                    return balancer.server("app", "app")

                await until(lambda: seen()["agent_status"] == "L7OK", "the agent answers")
                assert seen()["status"] == "UP"
                server.pause()
                await until(lambda: seen()["status"] == "DOWN (agent)", "the server is taken out")
                await until(lambda: "not ready: redis" in seen()["last_agt"], "the reason")  # none while it asks anew
                server.resume()
                await until(lambda: seen()["status"] == "UP", "the server is back")
                healthd.process.send(SIGTERM)
                await until(lambda: seen()["status"] == "DRAIN (agent)", "the server is drained")


async def test_agent_check_sets_weight() -> None:
    """Where a shared failure only degrades, the server stays in with half its weight, and gets all of it back."""
    agent = free_port()
    http = {"agent_check": f"127.0.0.1:{agent}"}
    with redis.standalone() as server:
        async with dependent.on(server, http=http, shared_failure="degrade") as healthd:
            with haproxy.running(by_agent(healthd.port, agent)) as balancer:

                def has(status: str, weight: str) -> bool:
                    seen = balancer.server("app", "app")
                    return (seen["status"], seen["weight"], seen["agent_status"]) == (status, weight, "L7OK")

                await until(lambda: has("UP", "100"), "it is in")
                server.pause()
                await until(lambda: has("UP", "50"), "it has half the weight")
                server.resume()
                await until(lambda: has("UP", "100"), "it has all of it again")
