"""How the postgresql check judges what a server says of itself."""

from dataclasses import replace
from typing import Any

import pytest
from asyncpg import exceptions as errors
from pydantic import SecretStr

from healthd.checks.postgresql import Standing, judge
from healthd.checks.postgresql_connection import failure
from healthd.checks.postgresql_options import PostgreSQLConfig
from healthd.model import FailureKind, Result, Status

PRIMARY = Standing(recovering=False, read_only=False, version="16.1", max_connections=100, reserved=3, used=10)
STANDBY = replace(
    PRIMARY, recovering=True, read_only=True, streaming=True, paused=False, all_replayed=True, replay_age=3600.0
)


def judged(standing: Standing, **options: Any) -> Result:
    config = PostgreSQLConfig(uri=SecretStr("postgresql://u:p@host/db"), **options)
    return judge(standing, config, latency=0.001)


def test_idle_primary_does_not_make_a_lagging_standby() -> None:
    """Nothing was written for an hour, everything is replayed, the receiver streams: not behind at all."""
    result = judged(STANDBY, require="replica")
    assert (result.status, result.observed["lagSeconds"]) == (Status.HEALTHY, 0.0)


def test_receiver_gone_means_that_nobody_knows_what_is_missing() -> None:
    """All that was received is replayed, but nothing is received any more: the age of the last replay counts."""
    cut_off = replace(STANDBY, streaming=False)
    result = judged(cut_off, require="replica")
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.LAGGING)
    assert result.message == "3600.0 s behind the primary; no WAL receiver is streaming (at most 30s)"
    assert judged(replace(cut_off, replay_age=5.0), require="replica").status is Status.DEGRADED


def test_what_was_in_step_a_moment_ago_is_no_further_behind() -> None:
    """The primary of a quiet night dies: the last transaction is an hour old, and nothing is missing yet."""
    cut_off = replace(STANDBY, streaming=False, since_in_step=4.0)
    result = judged(cut_off, require="replica")
    assert (result.status, result.kind) == (Status.DEGRADED, FailureKind.LAGGING)
    assert result.message == "4.0 s behind the primary; no WAL receiver is streaming"
    late = judged(replace(cut_off, since_in_step=31.0), require="replica")
    assert (late.status, late.observed["lagSeconds"]) == (Status.UNHEALTHY, 31.0)
    behind = replace(STANDBY, all_replayed=False, since_in_step=15.0)  # the first transaction after that hour
    assert judged(behind, require="replica").status is Status.HEALTHY


def test_unknown_lag_is_not_green() -> None:
    """A standby that never replayed a transaction and receives nothing cannot say how old its data are."""
    result = judged(replace(STANDBY, streaming=False, all_replayed=None, replay_age=None), require="any")
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.LAGGING)
    assert result.observed["lagSeconds"] is None


def test_clock_of_the_primary_ahead() -> None:
    """A negative age is a difference of clocks, not a lead."""
    result = judged(replace(STANDBY, all_replayed=False, replay_age=-0.2), require="any")
    assert (result.status, result.observed["lagSeconds"]) == (Status.HEALTHY, 0.0)


def test_reserved_connections_are_not_for_the_application() -> None:
    """97 of 100 with 3 reserved is full."""
    result = judged(replace(PRIMARY, used=97))
    assert (result.status, result.kind) == (Status.UNHEALTHY, FailureKind.EXHAUSTED)
    assert result.message == "97 of 97 connections are in use"
    assert judged(replace(PRIMARY, used=78)).status is Status.DEGRADED
    assert judged(replace(PRIMARY, used=77)).status is Status.HEALTHY


def test_role_outweighs_a_warning() -> None:
    """A standby that is also nearly full is first of all not the primary."""
    assert judged(replace(STANDBY, used=90)).kind is FailureKind.NOT_PRIMARY


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidPasswordError("x"), FailureKind.AUTH),
        (errors.InvalidAuthorizationSpecificationError("no pg_hba.conf entry"), FailureKind.AUTH),
        (errors.TooManyConnectionsError("x"), FailureKind.EXHAUSTED),
        (errors.DiskFullError("x"), FailureKind.EXHAUSTED),
        (errors.CannotConnectNowError("the database system is starting up"), FailureKind.NOT_PRIMARY),
        (errors.AdminShutdownError("x"), FailureKind.CONNECT),
        (errors.ConnectionDoesNotExistError("x"), FailureKind.CONNECT),
        (errors.QueryCanceledError("x"), FailureKind.TIMEOUT),
        (errors.InsufficientPrivilegeError("x"), FailureKind.PERMISSION),
        (errors.UndefinedFunctionError("x"), FailureKind.UNEXPECTED_RESPONSE),
        (errors.ProtocolError("x"), FailureKind.UNEXPECTED_RESPONSE),
        (ValueError("a part of the URI"), FailureKind.MISCONFIGURED),
        (ConnectionRefusedError("x"), FailureKind.CONNECT),
    ],
)
def test_errors_have_kinds(error: Exception, kind: FailureKind) -> None:
    """Each error of the driver, and what it means."""
    result = failure(error)
    assert (result.status, result.kind) == (Status.UNHEALTHY, kind)
    assert "part of the URI" not in result.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[Errno 111] Connect call failed ('127.0.0.1', 4395)", "nobody listens on 127.0.0.1:4395"),
        (
            "Multiple exceptions: [Errno 111] Connect call failed ('::1', 5432, 0, 0), "
            "[Errno 111] Connect call failed ('127.0.0.1', 5432)",
            "nobody listens on [::1]:5432 nor on 127.0.0.1:5432",
        ),
        ("[Errno 113] Connect call failed ('10.0.0.1', 5432)", "OSError: [Errno 113]"),
    ],
)
def test_a_port_on_which_nobody_listens_is_named(text: str, said: str) -> None:
    """As asyncio words it, of one address and of several."""
    result = failure(OSError(text))
    assert result.kind is FailureKind.CONNECT
    assert result.message.startswith(said)


def test_a_storage_without_wal_has_no_lag_to_tell() -> None:
    """As a reader of Aurora: its role and connections are judged, and nobody claims to know how far it is behind."""
    reader = replace(PRIMARY, recovering=True, read_only=True, knows_lag=False)
    result = judged(reader, require="replica")
    assert result.status is Status.HEALTHY
    assert "lagSeconds" not in result.observed
    assert judged(reader).kind is FailureKind.NOT_PRIMARY


def test_a_pooler_that_is_full() -> None:
    """PgBouncer says it with the SQLSTATE of everything that it refuses."""
    error = errors.ProtocolViolationError("no more connections allowed (max_client_conn)")
    assert failure(error).kind is FailureKind.EXHAUSTED


def test_a_folder_of_another_user_is_named() -> None:
    """`HOME` of another user, as under `sudo -E` or a supervisor: the server has refused nothing."""
    result = failure(PermissionError(13, "Permission denied", "/root/.postgresql/postgresql.key"))
    assert result.kind is FailureKind.MISCONFIGURED
    assert "/root/.postgresql/postgresql.key: set HOME to this user's own folder" in result.message
