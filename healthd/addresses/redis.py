"""Redis addresses: parameters that say where and as which user to connect are read as redis-py, ioredis, Lettuce and
Celery write them; pools, pauses and retries are the application's own, and are dropped."""

from __future__ import annotations

from healthd.addresses.words import APPLICATIONS, Word, joined, names, notes, refuse_misspelt, split

_DRIVER = names("""
        db username password client_name ssl_cert_reqs ssl_ca_certs ssl_ca_path ssl_ca_data ssl_certfile
        ssl_keyfile ssl_password ssl_check_hostname ssl_min_version
    """)
_ALIASES = {"database": "db", "user": "username", "clientname": "client_name", "client_name": "client_name"}
_FLAGS = {
    "1": True,
    "true": True,
    "yes": True,
    "on": True,
    "": True,
    "0": False,
    "false": False,
    "no": False,
    "off": False,
}
_WHY = dict.fromkeys(
    names("""
        family keepalive connecttimeout commandtimeout sockettimeout enablereadycheck enableofflinequeue
        lazyconnect maxretriesperrequest retrystrategy keyprefix nodelay autoresendunfulfilledcommands
        autoresubscribe connectionname readonly stringnumbers timeout protocol socket_timeout
        socket_connect_timeout socket_keepalive socket_type retry_on_timeout max_connections
        health_check_interval decode_responses encoding encoding_errors dial_timeout read_timeout write_timeout
        pool_size pool_timeout min_idle_conns max_retries min_retry_backoff max_retry_backoff idle_timeout
        virtual_host fakeredis connection_limit skip_verify abortconnect allowadmin
    """),
    APPLICATIONS,
)


def read_redis(uri: str) -> tuple[str, tuple[str, ...]]:
    """Return the address with the parameters that say where and as which user to connect, and the notes on the others.
    Raises ValueError, never with any part of a value."""
    head, given = split(uri)
    words: dict[str, Word] = {}
    aside = []
    for word in given:
        name = _ALIASES.get(word.name.lower(), word.name)
        if name in ("tls", "ssl"):
            head = _with_tls(head, name, word.value)
        elif name == "ssl_cert_reqs":
            words[name] = Word(name, word.value.lower().removeprefix("cert_"))
        elif name in _DRIVER:
            words[name] = Word(name, word.value)
        else:
            aside.append(word.name)
    if not head.startswith("rediss:"):
        for name in [name for name in words if name.startswith("ssl_")]:
            del words[name]  # of a connection without TLS, which does not accept them
    refuse_misspelt([name for name in aside if name.lower() not in _WHY], [*_DRIVER])
    return joined(head, words.values()), notes(aside, _WHY, _DRIVER)


def _with_tls(head: str, name: str, value: str) -> str:
    if value.lower() not in _FLAGS:
        raise ValueError(f"has a value of {name} that is neither true nor false")
    return f"rediss:{head.partition(':')[2]}" if _FLAGS[value.lower()] and head.startswith("redis:") else head
