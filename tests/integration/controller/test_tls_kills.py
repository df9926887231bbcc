"""The controller is ended at every one of its writes, and the next one finds its way from there.

Certificates are counted by what the server stored: one for each purpose and each authority.
"""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from controller.resources import CONFIG_MAPS, ETCD_STORAGES, SECRETS
from tests.integration.controller.lives import Lives
from tests.integration.controller.tlsstorages import (
    Delivered,
    decoded,
    issued,
    rotating,
)
from tests.support.mortal import Death

pytestmark = pytest.mark.long


def killed(lives: Lives, prepare: Callable[[str], None]) -> Iterator[str]:
    """Yield storages that `prepare` gave work, one for each moment of a controller's death.

    That is at each write of the work, before it has reached the server and after. Of each the
    next controller has finished the work.
    """
    for number in itertools.count():
        death = Death(1 + number // 2, reached=number % 2 == 1)
        name = lives.create()
        prepare(name)
        lives.stored.clear()
        if len(lives.settle(name, death)) < death.at:
            return
        lives.settle(name)
        yield name


def test_issuing_is_finished_from_wherever_it_was_left(lives: Lives, tmp_path: Path) -> None:
    count = 0
    for count, name in enumerate(killed(lives, lambda _: None), 1):  # noqa: B007
        found = lives.delivered(name)
        assert issued(lives.stored) == {of: [serial] for of, serial in found.serials.items()}
        for consumer in lives.consumers:
            found.shake_hands(tmp_path, consumer)
    # Four objects and two Secrets, two bundles and two pairs, and the status at the end.
    assert count >= 2 * 11


def test_a_rotation_is_finished_from_wherever_it_was_left(lives: Lives, tmp_path: Path) -> None:
    before: dict[str, Delivered] = {}

    def rotate(name: str) -> None:
        lives.settle(name)
        before[name] = lives.delivered(name)
        lives.api.patch(ETCD_STORAGES, name, rotating("now"))

    count = 0
    for count, name in enumerate(killed(lives, rotate), 1):  # noqa: B007
        found, old = lives.delivered(name), before[name]
        (former,) = found.trust.formers
        assert former.certificate == old.signer
        assert former.cross is not None
        assert [*found.serials] == [*old.serials]
        for of, serials in issued(lives.stored).items():
            # Those of before are seen where something else of the Secret was written first.
            new = [serial for serial in serials if serial != old.serials[of]]
            assert new == [found.serials[of]], of
        for consumer in lives.consumers:
            found.shake_hands(tmp_path, consumer)
            # Whoever has not reloaded believes and is believed as before.
            found.shake_hands(tmp_path, consumer, as_of=old)
    # Two Secrets, two bundles and two pairs, and the status.
    assert count >= 2 * 7


def test_a_withdrawal_is_finished_from_wherever_it_was_left(lives: Lives) -> None:
    before: dict[str, Delivered] = {}

    def withdraw(name: str) -> None:
        lives.settle(name)
        before[name] = lives.delivered(name)
        lives.withdraw_first(name)

    first, _ = lives.consumers
    count = 0
    for count, name in enumerate(killed(lives, withdraw), 1):  # noqa: B007
        found, old = lives.delivered(name), before[name]
        config_map = lives.api.get(CONFIG_MAPS, f"{name}-ca", first)
        pair = lives.api.get(SECRETS, f"{name}-pair", first)
        assert (config_map.get("data"), pair.get("data")) == (None, None)
        assert f"{first}/{name}-pair" not in decoded(found.serving, "clients.json").decode()
        # Nothing is made anew for those that stay.
        assert found.serials.items() <= old.serials.items()
    # The two that are emptied, what the gates are to know of it, and the status.
    assert count >= 2 * 4
