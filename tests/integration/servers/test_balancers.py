"""HAProxy and NGINX are real, see their servers' health, and reload."""

import aiohttp
import psutil

from tests.servers import haproxy, nginx, peers
from tests.servers.waiting import until


async def test_haproxy_follows_health(peer: peers.Peer) -> None:
    """A server that starts to fail its check is taken out."""
    peer.answer("GET", "/health", peers.Answer())
    peer.answer("GET", "/", peers.Answer(body="hello"))
    backend = f"""
    default_backend web
backend web
    option httpchk GET /health
    server one {peer.host}:{peer.port} check inter 50ms fall 2 rise 1
"""
    with haproxy.running(backend) as balancer:
        await until(lambda: balancer.server("web", "one")["check_status"] == "L7OK", "the check succeeds")
        async with aiohttp.ClientSession() as client, client.get(balancer.url) as response:
            assert await response.text() == "hello"
        peer.answer("GET", "/health", peers.Answer(status=503))
        await until(lambda: balancer.server("web", "one")["status"] == "DOWN", "the server is taken out")


async def test_nginx_reloads() -> None:
    """A reload switches what is served, without an answer lost."""

    def serving(word: str) -> str:
        return f"server {{ listen @LISTEN@; return 200 {word}; }}"

    with nginx.running(serving("blue")) as server:
        async with aiohttp.ClientSession(raise_for_status=True) as client:

            async def answers(word: str) -> bool:
                async with client.get(server.url, headers={"Connection": "close"}) as response:
                    return await response.text() == word

            assert await answers("blue")
            server.reload(serving("green"))
            await until(lambda: answers("green"), "the reload shows")
        workers = server.process.tree()[1:]
    assert workers
    assert all(worker.status() == psutil.STATUS_ZOMBIE for worker in workers if worker.is_running())
