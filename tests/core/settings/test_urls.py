"""Driver URLs: one canonical form, no secret in any text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from procqueue.core.settings.urls import Address, masked, read_url, sqlite_path, write_url
from procqueue.core.settings.wrong import Wrong


@pytest.mark.parametrize(
    ("url", "canonical"),
    [
        ("redis://", "redis://localhost:6379/0"),
        ("redis://db1", "redis://db1:6379/0"),
        ("redis://DB1:7000/", "redis://db1:7000/0"),
        ("redis://db1/3", "redis://db1:6379/3"),
        ("redis://db1?db=3", "redis://db1:6379/3"),
        ("redis://:p%40ss@db1", "redis://:p%40ss@db1:6379/0"),
        ("redis://user:p%2Fw@db1/1", "redis://user:p%2Fw@db1:6379/1"),
        ("redis://[::1]:7000/0", "redis://[::1]:7000/0"),
        ("rediss://db1?ssl_cert_reqs=none", "rediss://db1:6379/0?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "unix:///run/redis.sock?db=0"),
        ("unix://user:pw@/run/redis.sock?db=2", "unix://user:pw@/run/redis.sock?db=2"),
        ("redis+sentinel://s1/shop", "redis+sentinel://s1:26379/shop/0"),
        ("redis+sentinel://s1:1,S2/shop/3", "redis+sentinel://s1:1,s2:26379/shop/3"),
        ("redis+sentinel://s1/shop?db=3", "redis+sentinel://s1:26379/shop/3"),
        ("redis+sentinel://u:p%40%2C@[::1]:1,s2:2/shop", "redis+sentinel://u:p%40%2C@[::1]:1,s2:2/shop/0"),
        (
            "redis+sentinel://s1/shop?sentinel_username=u&sentinel_password=p%40",
            "redis+sentinel://s1:26379/shop/0?sentinel_password=p%40&sentinel_username=u",
        ),
        ("sqlite:////srv/q.db", "sqlite:////srv/q.db"),
        ("sqlite:///run/q.db", "sqlite:///run/q.db"),
        ("sqlite:////srv/a%20b%3F.db", "sqlite:////srv/a%20b%3F.db"),
        ("sync://", "sync://"),
        ("sync://?raise=0", "sync://?raise=0"),
    ],
)
def test_a_url_has_one_canonical_form(url: str, canonical: str) -> None:
    assert write_url(read_url(url)) == canonical
    assert write_url(read_url(canonical)) == canonical


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("", "is not a URL"),
        ("localhost:6379", "is not a URL"),
        ("http://x", "there is no driver"),
        ("postgresql://x", "is not available in this version"),
        ("redis+cluster://x", "is not available in this version"),
        ("redis+sentinel://s1", "names no master"),
        ("redis+sentinel://s1/my%20master", "names no master"),
        ("redis+sentinel:///shop", "not a name or an address"),
        ("redis+sentinel://s1,/shop", "not a name or an address"),
        ("redis+sentinel://s1:port/shop", "sentinels cannot be read"),
        ("redis+sentinel://s1:0,s2/shop", "sentinels cannot be read"),
        ("redis+sentinel://s1:99999/shop", "sentinels cannot be read"),
        ("redis+sentinel://[::1,s2/shop", "sentinels cannot be read"),
        ("redis+sentinel://s1/shop/zero", "database is not a number"),
        ("redis+sentinel://s1/shop/1?db=2", "twice"),
        ("redis+sentinel://s1/shop?ssl_cert_reqs=none", "not one that this driver takes"),
        ("redis://db1/zero", "database is not a number"),
        ("redis://db1/1/2", "database is not a number"),
        ("redis://db1:port", "cannot be read"),
        ("redis://db1:99999", "cannot be read"),
        ("redis://[::1", "cannot be read"),
        ("redis://db1?decode_responses=1", "not one that this driver takes"),
        ("redis://db1?ssl_cert_reqs=none", "needs TLS"),
        ("redis://db1%3A6379", "not a name or an address"),
        ("redis://db1/0#x", "holds a #"),
        ("redis://db 1", "holds a space"),
        ("redis://db1\n", "holds a space"),
        ("redis://db1/2?db=3", "twice"),
        ("unix://run/redis.sock", "no absolute path"),
        ("unix://", "no absolute path"),
        ("sqlite://run/q.db", "has a host"),
        ("sqlite:///", "names no file"),
        ("sqlite:///run/", "names no file"),
        ("sqlite:///:memory:", "cannot be shared"),
        ("sqlite:///q.db?mode=ro", "not one that this driver takes"),
        ("sync://x", "neither host nor path"),
        ("sync://?raise=2", "has to be 0 or 1"),
    ],
)
def test_a_url_that_cannot_be_used_is_refused_with_the_reason(url: str, why: str) -> None:
    with pytest.raises(Wrong, match=why):
        read_url(url)


@pytest.mark.parametrize(
    "url",
    [
        "redis://:hunter2/x@db1/0",
        "redis://:hunter2#x@db1/0",
        "redis://:hunter2 x@db1",
        "redis://u:hunter2@[bad/0",
        "redis://u:hunter2@db1/zero",
        "redis://u:hunter2@db1?pasword=hunter2",
        "amqp://u:hunter2@db1",
        "u:hunter2@db1",
        "u:hunter2@redis://db1",
        "redis://u:12?hunter2@db1/0",
        "redis://u:12/hunter2@db1/0",
        "redis+sentinel://u:hunter2,x/y@s1/shop",
        "redis+sentinel://hunter2:x/y@s1/shop",
        "redis+sentinel://s1/shop?sentinel_pasword=hunter2",
    ],
)
def test_no_refusal_repeats_a_password(url: str) -> None:
    with pytest.raises(Wrong) as caught:
        read_url(url)

    assert "hunter2" not in caught.value.text + caught.value.hint


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("redis://db1:6379/0", "redis://db1:6379/0"),
        ("redis://:hunter2@db1/0", "redis://:***@db1/0"),
        ("redis://user:hunter2@db1/0", "redis://user:***@db1/0"),
        ("redis://hunter2@db1/0", "redis://***@db1/0"),
        ("redis://:hun/ter@2@db1/0", "redis://:***@db1/0"),
        ("unix:///run/r.sock?db=1&password=hunter2", "unix:///run/r.sock?db=1&password=***"),
        ("redis+sentinel://u:hunter2@s1:1,s2:2/shop", "redis+sentinel://u:***@s1:1,s2:2/shop"),
        (
            "redis+sentinel://s1/shop?sentinel_password=hunter2",
            "redis+sentinel://s1/shop?sentinel_password=***",
        ),
        ("user:hunter2@db1", "user:***@db1"),
        ("sqlite:////srv/a@b:c.db", "sqlite:////srv/a@b:c.db"),
        ("sync://", "sync://"),
        ("", ""),
    ],
)
def test_secrets_are_masked(url: str, shown: str) -> None:
    assert masked(url) == shown


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)


@given(
    TEXTS,
    TEXTS,
    st.from_regex(r"[a-z0-9.-]{1,20}", fullmatch=True),
    st.integers(1, 65535),
    st.integers(0, 99),
)
def test_what_is_written_into_a_url_is_read_out_of_it(
    username: str, password: str, host: str, port: int, db: int
) -> None:
    address = Address("redis", host, port, db, username, password)

    assert read_url(write_url(address)) == address


@given(st.text("hunter2@:/?#%&=", min_size=8), st.text("user"))
def test_a_password_of_any_marks_is_masked_once_it_is_encoded(password: str, user: str) -> None:
    url = write_url(Address("redis", "localhost", 6379, 0, user, password))

    assert masked(url) == f"redis://{user}:***@localhost:6379/0"


@given(st.text())
def test_any_text_can_be_masked_and_is_an_address_or_refused(text: str) -> None:
    masked(text)
    beginnings = (
        "",
        "redis://",
        "sqlite:///",
        "unix://",
        "sync://",
        "redis+sentinel://",
        "redis+sentinel://s1/",
    )
    for url in (beginning + text for beginning in beginnings):
        try:
            read_url(url)
        except Wrong as error:
            assert error.text


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1))
def test_the_path_of_a_database_survives_its_url(path: str) -> None:
    assert sqlite_path(write_url(Address("sqlite", path="/" + path))) == "/" + path
