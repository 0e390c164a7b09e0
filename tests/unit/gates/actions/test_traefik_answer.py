"""Answers of Traefik's API, and of what is none."""

import pytest

from healthd_gates.actions import traefik_answer


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"[]",
        b'"ok"',
        b'{"weighted": [1]}',
        b'{"weighted": {"services": ["api"]}}',
        b'{"weighted": {"services": [{"weight": 1}]}}',
        b'{"serverStatus": ["UP"]}',
        b'{"error": 5}',
    ],
)
def test_what_is_no_answer_of_traefik_is_said_to_be_none(said: bytes) -> None:
    """A document of something else at that address, whatever it has."""
    with pytest.raises(ValueError, match="answers with something else than Traefik's API does"):
        traefik_answer.read(said)


def test_what_traefik_leaves_out_is_nothing() -> None:
    """It leaves out what is empty, a weight of 0 too."""
    bare = traefik_answer.read(b'{"status": "enabled", "serverStatus": null}')
    assert (bare.weights, list(bare.statuses), list(bare.errors)) == (None, [], [])
    weighted = traefik_answer.read(b'{"weighted": {"services": [{"name": "a", "weight": 3}, {"name": "b"}]}}')
    assert weighted.weights == {"a": 3, "b": 0}
