"""No tenant reaches another's data or the core's controls, from wherever a tenant can be."""

from contextlib import AbstractContextManager, nullcontext

import pytest

from tests.attack.catalogue import ATTACKS, tried_at
from tests.attack.methods import DECISIONS, PLACES
from tests.attack.opens import OPEN, Open
from tests.attack.scene import Scene, describe, refused, works
from tests.integration.dataplane.attack.conftest import MakeScene
from tests.support.etcdrpc import UNIMPLEMENTED, Schema

pytestmark = pytest.mark.long


@pytest.fixture(scope="module", params=PLACES, ids=str)
def scene(request: pytest.FixtureRequest, make_scene: MakeScene) -> Scene:
    return make_scene(request.param)


def test_every_method_that_etcd_serves_is_decided_on(schema: Schema) -> None:
    assert set(DECISIONS) == set(schema.methods)


@pytest.mark.parametrize("path", DECISIONS)
def test_only_what_is_decided_gets_through(scene: Scene, path: str) -> None:
    before = scene.picture()
    decision = DECISIONS[path]
    method = scene.schema.methods[path]
    with scene.connect() as connection:
        stream = connection.open(path)
        stream.send(scene.make(method.input, **decision.example))
        if scene.place not in decision.places:
            stream.end()
            refused(stream.wait(), UNIMPLEMENTED)
        else:
            # A watch is answered but does not end.
            if not method.client_streams:
                stream.end()
            assert stream.receive() or stream.answer.code != UNIMPLEMENTED, describe(stream.answer)
    assert scene.picture() == before


@pytest.mark.parametrize("name", ATTACKS)
def test_an_attack_changes_nothing(scene: Scene, name: str) -> None:
    before = scene.picture()
    holds = tried_at(name, scene.place)
    with but_for(succeeds=holds):
        ATTACKS[name](scene)
    if not holds:
        scene.clear()
    assert scene.picture() == before
    works(scene.other, scene.schema, scene.other_key)
    works(scene.tenant, scene.schema, scene.key(b"k"))


@pytest.mark.parametrize("what", OPEN, ids=lambda what: what.show.__name__)
def test_what_is_said_to_be_open_is_so_and_nowhere_else(scene: Scene, what: Open) -> None:
    with but_for(succeeds=scene.place in what.places):
        what.show(scene)


def but_for(*, succeeds: bool) -> AbstractContextManager[object]:
    """Expect a failure unless it succeeds."""
    return nullcontext() if succeeds else pytest.raises(AssertionError)
