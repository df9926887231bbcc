"""The core's URLs."""

import pytest

from controller.dataplane.gate.addresses import host_and_port, is_ip


@pytest.mark.parametrize(
    ("url", "where", "ip"),
    [
        ("http://core:2379", ("core", 2379), False),
        ("https://etcd-svc-1.etcd.svc:2379", ("etcd-svc-1.etcd.svc", 2379), False),
        ("https://10.0.0.1:2379", ("10.0.0.1", 2379), True),
        ("https://[fd00::1]:2379", ("fd00::1", 2379), True),
        ("http://core", ("core", 80), False),
        ("https://core", ("core", 443), False),
    ],
)
def test_a_url_leads_somewhere(url: str, where: tuple[str, int], *, ip: bool) -> None:
    assert host_and_port(url) == where
    assert is_ip(where[0]) is ip
