"""Through which proxy a cluster is reached: the answers of Go's own httpproxy, on which kubectl goes."""

import pytest

from healthd.http.no_proxy import proxy_for

PROXY = "http://proxy.example.com:3128"
IN_CLUSTER = "10.0.0.0/8,.svc,.cluster.local"


@pytest.mark.parametrize(
    ("url", "no_proxy", "is_direct"),
    [
        ("https://10.96.0.1:443", IN_CLUSTER, True),
        ("https://10.96.0.1:6443", "10.96.0.1", True),
        ("https://10.96.0.1:6443", "10.96.0.1:6443", True),
        ("https://10.96.0.1:6443", "10.96.0.1:443", False),
        ("https://192.168.0.1", IN_CLUSTER, False),
        ("https://[fd00::1]:6443", "fd00::/8", True),
        ("https://[fd00::1]:6443", "fd00::1", True),
        ("https://[fd00::1]:6443", "[fd00::1]:6443", True),
        ("https://kubernetes.default.svc", IN_CLUSTER, True),
        ("https://api.example.com", "example.com", True),
        ("https://example.com", "example.com", True),
        ("https://api.example.com", ".example.com", True),
        ("https://example.com", ".example.com", False),
        ("https://api.example.com", "*.example.com", True),
        ("https://notexample.com", "example.com", False),
        ("https://API.example.com", "Example.COM , other.com", True),
        ("https://api.example.com:6443", "example.com:6443", True),
        ("https://api.example.com", "*", True),
        ("https://api.example.com", "", False),
        ("https://api.example.com", "10.0.0.0/99, ,", False),
        ("https://localhost:6443", "", True),
        ("https://127.3.2.1:42000", "", True),
        ("https://[::1]:42000", "", True),
    ],
)
def test_no_proxy_is_read_as_kubectl_reads_it(url: str, no_proxy: str, is_direct: bool) -> None:
    """Networks, addresses, ports, domains with all below them; loopback is always direct."""
    for names in (("HTTPS_PROXY", "NO_PROXY"), ("https_proxy", "no_proxy")):
        environ = dict(zip(names, (PROXY, no_proxy), strict=True))
        assert proxy_for(url, environ) == (None if is_direct else PROXY)


def test_a_proxy_is_for_its_scheme() -> None:
    """And may be given without one of its own."""
    assert proxy_for("https://a.example.com", {"HTTP_PROXY": PROXY}) is None
    assert proxy_for("https://a.example.com", {"HTTPS_PROXY": "proxy:3128"}) == "http://proxy:3128"
    assert proxy_for("https://a.example.com", {}) is None
