"""NGINX in front: it passes health on, and sends requests past a daemon that is not ready."""

import aiohttp

from tests.acceptance.clients import dependent
from tests.servers import nginx, redis
from tests.servers.process import own_folder
from tests.servers.waiting import until


def balancing(first: int, second: int) -> str:
    """Two daemons, the second of which serves while the first fails; the answer says who gave it."""
    return f"""
upstream app {{
    server 127.0.0.1:{first} max_fails=1 fail_timeout=1s;
    server 127.0.0.1:{second} backup;
}}
server {{
    listen @LISTEN@;
    location / {{
        proxy_pass http://app;
        proxy_next_upstream error timeout http_503;
        add_header X-Answered-By $upstream_addr always;
    }}
    location /first/ {{ proxy_pass http://127.0.0.1:{first}/; }}
}}
"""


async def test_passive_checks_follow_a_dependency() -> None:
    """While its Redis hangs the first daemon is passed over, and no client sees a failure; then it serves again."""
    with redis.standalone() as frail, redis.standalone() as sound:
        async with dependent.on(frail) as first, dependent.on(sound) as second, aiohttp.ClientSession() as client:
            with nginx.running(balancing(first.port, second.port)) as proxy:

                async def answered_by(port: int) -> bool:
                    async with client.get(f"{proxy.url}/health/ready") as response:
                        assert response.status == 200
                        return response.headers["X-Answered-By"].endswith(f":{port}")

                assert await answered_by(first.port)
                frail.pause()
                await until(lambda: answered_by(second.port), "requests go past the first")
                async with client.get(f"{proxy.url}/first/health/ready") as response:
                    assert response.status == 503
                    assert (await response.json())["status"] == "not ready"
                frail.resume()
                await until(lambda: answered_by(first.port), "the first serves again")


async def test_nothing_on_the_way_keeps_an_answer() -> None:
    """A cache in NGINX that would keep every answer for an hour keeps none of healthd's."""
    cached = """
proxy_cache_path {folder}/cache keys_zone=answers:1m;
server {{
    listen @LISTEN@;
    location / {{
        proxy_pass http://127.0.0.1:{port};
        proxy_cache answers;
        proxy_cache_valid any 1h;
        add_header X-Cache $upstream_cache_status always;
    }}
}}
"""
    with redis.standalone() as server, own_folder() as folder:
        async with dependent.on(server) as healthd, aiohttp.ClientSession() as client:
            with nginx.running(cached.format(port=healthd.port, folder=folder)) as proxy:
                for path in ("/health", "/health/ready", "/health/live") * 2:
                    async with client.get(proxy.url + path) as response:
                        assert response.status == 200
                        assert response.headers["X-Cache"] == "MISS"
