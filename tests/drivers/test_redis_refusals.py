"""Error replies as the errors of procqueue, in the words of every version of server and client library."""

from __future__ import annotations

import ssl

import pytest
from redis import exceptions

from procqueue.core.errors import DriverError, DriverUnavailable, Full, Gone, Newer, Unknown
from procqueue.drivers.redis.refusals import broken, refusal

WRAPPED = "Error running script (call to f_6b1): @user_script:12: "


def exactly(error: DriverError) -> type[DriverError]:
    return type(error)


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (exceptions.ResponseError("GONE consumer c was reclaimed"), Gone),
        (exceptions.ResponseError("UNKNOWN consumer c"), Unknown),
        (exceptions.ResponseError("NEWER layout 2 is stored"), Newer),
        (exceptions.ResponseError("BUSY Redis is busy running a script"), DriverUnavailable),
        (exceptions.ResponseError("UNBLOCKED force unblock from blocking operation"), DriverUnavailable),
        (exceptions.ResponseError("NOREPLICAS Not enough good replicas to write."), DriverUnavailable),
        (exceptions.ResponseError("MISCONF Redis is configured to save"), DriverUnavailable),
        (exceptions.ReadOnlyError("You can't write against a read only replica."), DriverUnavailable),
        (exceptions.MasterDownError("Link with MASTER is down"), DriverUnavailable),
        (exceptions.TryAgainError("Multiple keys request during rehashing of slot"), DriverUnavailable),
        (exceptions.ClusterDownError("The cluster is down"), DriverUnavailable),
        (exceptions.OutOfMemoryError("command not allowed when used memory"), DriverUnavailable),
        (exceptions.MovedError("3999 127.0.0.1:6381"), DriverError),
        (exceptions.NoPermissionError("User x has no permissions"), DriverError),
        (exceptions.ResponseError("WRONGTYPE Operation against a key"), DriverError),
        (exceptions.ResponseError(WRAPPED + "-READONLY You can't write"), DriverUnavailable),
        (exceptions.ResponseError(WRAPPED + "WRONGTYPE Operation against a key"), DriverError),
    ],
)
def test_a_reply_means_one_error(error: exceptions.RedisError, meaning: type[DriverError]) -> None:
    assert exactly(refusal(error, "here")) is meaning


@pytest.mark.parametrize(
    "error",
    [
        exceptions.OutOfMemoryError("command not allowed when used memory > 'maxmemory'."),
        exceptions.ResponseError(WRAPPED.replace(":12:", ": 12:") + "-OOM command not allowed when used"),
        exceptions.ResponseError("MISCONF Redis is configured to save RDB snapshots"),
    ],
)
def test_a_store_that_may_not_grow_is_full_for_a_push(error: exceptions.RedisError) -> None:
    assert exactly(refusal(error, "here", pushing=True)) is Full


@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (exceptions.BusyLoadingError("Redis is loading the dataset in memory"), DriverUnavailable),
        (exceptions.AuthenticationError("Authentication required."), DriverError),
    ],
)
def test_a_reply_that_the_library_takes_for_a_broken_connection_is_still_a_reply(
    error: exceptions.RedisError, meaning: type[DriverError]
) -> None:
    told = broken(error, "here", sent=True)

    assert exactly(told) is meaning
    assert not getattr(told, "sent", False)


def test_a_certificate_that_is_not_trusted_will_not_be_tomorrow() -> None:
    error = exceptions.ConnectionError("certificate verify failed")
    error.__context__ = ssl.SSLCertVerificationError("self-signed certificate")

    told = broken(error, "here", sent=False)

    assert exactly(told) is DriverError
    assert "ssl_ca_certs" in str(told)
