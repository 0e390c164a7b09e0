"""A release over https: only from whom the host trusts, only what the checksum names."""

import hashlib
from pathlib import Path

import pytest

from healthd_deploy.core.exit import StepFailed
from healthd_deploy.host import archive
from healthd_deploy.host.settings import Source
from tests.servers import peers, pm2
from tests.servers.peers import Answer
from tests.servers.tls import Authority


async def test_a_release_is_fetched_and_checked(
    tmp_path: Path, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the token; what is too large, absent, or from a stranger is refused with the address named."""
    content = pm2.archive(tmp_path / "made.tar.gz", "1.0").read_bytes()
    digest = hashlib.sha256(content).hexdigest()
    async with peers.peer(authority.good().context(tmp_path)) as store:
        store.answer("GET", "/shop-1.0.tar.gz", Answer(body=content))
        store.answer("GET", "/SHA256SUMS", Answer(body=f"{digest}  shop-1.0.tar.gz\n"))
        said = {"archive": f"{store.url}/shop-$version.tar.gz", "sums": f"{store.url}/SHA256SUMS", "token": "t0ken"}
        source = Source.model_validate(said)
        with pytest.raises(StepFailed, match=r"cannot be fetched: .*certificate"):
            await archive.fetch(source, "1.0", tmp_path)
        monkeypatch.setenv("SSL_CERT_FILE", str(authority.trust))
        file, found = await archive.fetch(source, "1.0", tmp_path)
        assert (file.read_bytes(), found) == (content, digest)
        assert store.received[0].headers["Authorization"] == "Bearer t0ken"
        with pytest.raises(StepFailed, match=r"shop-9\.tar\.gz answers 404"):
            await archive.fetch(source, "9", tmp_path)
        with pytest.raises(StepFailed, match="archive_at_most"):
            await archive.fetch(source.model_copy(update={"archive_at_most": 100}), "1.0", tmp_path)
