"""The MongoDB that tests start answers drivers, and its stand-in answers what it is told."""

from typing import Any

import pymongo
import pytest
from pymongo.errors import OperationFailure, ServerSelectionTimeoutError

from tests.servers import mongodb, mongodb_peer

AsyncClient = pymongo.AsyncMongoClient[dict[str, Any]]


def test_shared_one_accepts_writes(mongodb_uri: str) -> None:
    """The server of the fixture is a primary that stores what it is given."""
    with mongodb.connect(mongodb_uri) as client:
        assert client.admin.command("hello")["isWritablePrimary"] is True
        client.healthd_tests.seen.insert_one({"_id": 1})
        assert client.healthd_tests.seen.count_documents({}) == 1
        client.drop_database("healthd_tests")


def test_login_is_asked_for() -> None:
    """With logins on, only the right password gets an answer; a command can be made to fail."""
    with mongodb.primary(authenticates=True, test_commands=True) as server:
        with server.client() as client:
            assert client.admin.command("ping")["ok"] == 1.0
        stranger = server.uri_with(mongodb.USER, "wrong")
        with mongodb.connect(stranger) as client, pytest.raises(OperationFailure, match="authentication failed"):
            client.admin.command("ping")
        with server.failing("ping", 13), server.client() as client, pytest.raises(OperationFailure):
            client.admin.command("ping")


def test_stands_alone_and_freezes() -> None:
    """A stand-alone server names no set; frozen, it stays silent."""
    with mongodb.standalone() as server:
        with server.client() as client:
            assert "setName" not in client.admin.command("hello")
        server.pause()
        with mongodb.connect(server.uri, patience=0.2) as client, pytest.raises(ServerSelectionTimeoutError):
            client.admin.command("ping")


async def test_peer_is_a_secondary() -> None:
    """A driver takes the stand-in for a secondary, and unknown commands fail as they do on a server."""
    async with (
        mongodb_peer.peer({"hello": mongodb_peer.secondary()}) as peer,
        AsyncClient(peer.uri, serverSelectionTimeoutMS=2000) as client,
    ):
        reply = await client.admin.command("hello")
        assert (reply["isWritablePrimary"], reply["secondary"]) == (False, True)
        assert (await client.admin.command("ping"))["ok"] == 1.0
        with pytest.raises(OperationFailure, match="no such command"):
            await client.admin.command("dbStats")
        assert "hello" in peer.commands


async def test_silent_peer() -> None:
    """A stand-in told nothing but silence is never selected."""
    async with mongodb_peer.peer({}) as peer:
        peer.answer("hello", None)
        async with AsyncClient(peer.uri, serverSelectionTimeoutMS=200) as client:
            with pytest.raises(ServerSelectionTimeoutError):
                await client.admin.command("ping")
