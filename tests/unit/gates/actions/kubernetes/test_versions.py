"""Which version a pod template is."""

from typing import Any

import pytest

from healthd_gates.actions.kubernetes.versions import AmbiguousError, Image, Versions

LABEL = "app.kubernetes.io/version"
DIGEST = f"sha256:{'1' * 64}"


def pods(label: str | None = None, **images: str) -> dict[str, Any]:
    labels = {} if label is None else {LABEL: label}
    containers = [{"name": name, "image": image} for name, image in images.items()]
    return {"metadata": {"labels": labels}, "spec": {"containers": containers}}


def versions(**named: Any) -> Versions:
    return Versions(**{"label": LABEL, "candidate": "2.0", "baseline": "1.0", **named})


@pytest.mark.parametrize(
    ("reference", "parts"),
    [
        ("api", ("api", None, None)),
        ("shop/api:2.0", ("shop/api", "2.0", None)),
        ("registry.example.com:5000/shop/api", ("registry.example.com:5000/shop/api", None, None)),
        ("registry.example.com:5000/shop/api:2.0", ("registry.example.com:5000/shop/api", "2.0", None)),
        (f"shop/api@{DIGEST}", ("shop/api", None, DIGEST)),
        (f"shop/api:2.0@{DIGEST}", ("shop/api", "2.0", DIGEST)),
        (f"localhost:5000/api:2.0@{DIGEST}", ("localhost:5000/api", "2.0", DIGEST)),
    ],
)
def test_an_image_reference_has_parts(reference: str, parts: tuple[str, str | None, str | None]) -> None:
    """A name with the port of its registry, a tag, a digest."""
    assert Image.parse(reference) == parts


@pytest.mark.parametrize("candidate", ["2.0", DIGEST])
@pytest.mark.parametrize("image", [f"shop/api:2.0@{DIGEST}", f"localhost:5000/api:2.0@{DIGEST}"])
def test_a_tag_and_a_digest_both_tell(candidate: str, image: str) -> None:
    """Pinning tools write both."""
    assert versions(candidate=candidate).runs_candidate(pods(api=image))


@pytest.mark.parametrize("image", ["shop/api:12.0", "shop/api-2.0", "shop:2.0/api", "shop/api:2.0-rc", "shop/api"])
def test_a_part_of_a_tag_tells_nothing(image: str) -> None:
    """Nor does a port, or a name that ends alike."""
    assert not versions().runs_candidate(pods(api=image))


@pytest.mark.parametrize(("candidate", "tag"), [("2.0", "v2.0"), ("v2.0", "2.0"), ("v2.0", "v2.0")])
def test_a_v_in_front_makes_no_other_version(candidate: str, tag: str) -> None:
    """Tags have it where the version of a release has none, or the other way round; `vnext` is a name."""
    named = versions(candidate=candidate, quarantined=frozenset({candidate}))
    for template in (
        pods(api=f"shop/api:{tag}"),
        pods(tag, api="shop/api"),
        pods(api=f"shop/api:{tag}", proxy="envoy:9"),
    ):
        known = named.settled([template])
        assert known.runs_candidate(template)
        assert known.is_quarantined(template)
        assert known.shown(template) == tag
    assert versions(candidate="v1.0", baseline="v2.0").runs_baseline(pods(api="shop/api:2.0"))
    assert not versions(candidate="next").runs_candidate(pods(api="shop/api:vnext"))


def test_the_label_decides_where_there_is_one() -> None:
    """Whatever the image is called."""
    labelled = pods("1.0", api="shop/api:2.0")
    assert versions().runs_baseline(labelled)
    assert not versions().runs_candidate(labelled)
    assert versions().shown(labelled) == "1.0"


def test_a_sidecar_does_not_stand_for_the_version() -> None:
    """The container that ran the candidate is the one, in every revision: not one whose tag happens to be the same."""
    now, past = pods(api="api:2.0", envoy="envoy:1.0"), [pods(api="api:0.8", envoy="envoy:1.0")]
    right = pods(api="api:1.0", envoy="envoy:1.1")
    known = versions().settled([now, *past, right])
    assert known.container == "api"
    assert known.runs_candidate(now)
    assert [known.runs_baseline(each) for each in (*past, right)] == [False, True]


def test_the_baseline_tells_containers_of_the_same_tag_apart() -> None:
    """The sidecar has the candidate's tag in every revision; the application had the baseline's once."""
    revisions = [pods(api="api:2.0", envoy="envoy:2.0"), pods(api="api:1.0", envoy="envoy:2.0")]
    assert versions().settled(revisions).container == "api"


def test_what_is_ambiguous_is_refused() -> None:
    """With the option that would tell; which is asked no more once it is given."""
    both = [pods(api="api:2.0", worker="worker:2.0"), pods(api="api:1.0", worker="worker:1.0")]
    with pytest.raises(
        AmbiguousError, match="images of api and worker could both be the version: say which by `container`"
    ):
        versions().settled(both)
    named = versions(container="worker").settled(both)
    assert named.runs_candidate(both[0])


def test_a_container_that_ran_neither_tells_nothing() -> None:
    """Two containers and neither version: whoever changed it, it is left alone."""
    changed = pods(api="api:3.0", envoy="envoy:1.0")
    known = versions().settled([changed])
    assert not known.runs_candidate(changed)
    assert not known.runs_baseline(changed)
