"""aiohttp that was imported without reading this host's certificates trusts the servers that it would trust anyway."""

import asyncio
import sys
from asyncio.subprocess import PIPE
from contextlib import AsyncExitStack
from pathlib import Path

from tests.servers import peers, tls
from tests.servers.peers import Answer
from tests.servers.tls import Authority

PROGRAM = """
import asyncio, ssl, sys
from healthd.runtime.lean_trust import reading_when_used

with reading_when_used():
    import aiohttp
    unread = ssl.create_default_context()
assert unread.cert_store_stats()["x509_ca"] == 0
assert ssl.create_default_context().cert_store_stats()["x509_ca"] == 1, "one that is made afterwards has read them"

async def main():
    async with aiohttp.ClientSession() as session:
        for url in sys.argv[1:]:
            try:
                async with session.get(url) as answer:
                    print(answer.status)
            except aiohttp.ClientConnectorCertificateError:
                print("refused")

asyncio.run(main())
"""


async def test_a_server_is_held_to_the_certificates_of_this_host(tmp_path: Path) -> None:
    """A good certificate is taken; one that has expired, is for another name or comes from a stranger is not."""
    authority = Authority(tmp_path)
    presented = [authority.good(), authority.expired(), authority.wrong_host(), tls.self_signed()]
    async with AsyncExitStack() as stack:
        urls = []
        for number, certificate in enumerate(presented):
            (folder := tmp_path / str(number)).mkdir()
            peer = await stack.enter_async_context(peers.peer(certificate.context(folder)))
            peer.answer("GET", "/", Answer())
            urls.append(f"{peer.url}/")
        program = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", PROGRAM, *urls),
            env={"SSL_CERT_FILE": str(authority.trust)},
            stdout=PIPE,
            stderr=PIPE,
        )
        said, problem = await program.communicate()
    assert said.decode().split() == ["200", "refused", "refused", "refused"], problem.decode()
