"""When an authority is made, kept and replaced, and when nobody may touch it."""

import base64
import datetime as dt
from dataclasses import replace
from typing import Any

import pytest

from controller.pki.lifetime import NONE_YET, SLACK, issued, renewal
from controller.pki.pem import dump
from controller.pki.rotation import PUT_OFF, UNUSABLE, Terms, TrustLook, look
from controller.pki.trust import MAX_FORMERS, Trust
from controller.pki.trustsecret import read
from tests.support.pkiworld import DNS, HOUR, NAME, rotated, secret, settled

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
SECOND = dt.timedelta(seconds=1)
TERMS = Terms(NAME, (DNS, "etcd-name"), 2000 * HOUR, 300 * HOUR)


def kept(found: TrustLook, trust: Trust) -> bool:
    return found.trust == trust and found.made == "" and found.problem is None


def unusable(found: TrustLook) -> str:
    """Return the message of a look that leaves everything alone."""
    assert (found.trust, found.data, found.annotations, found.made) == (None, None, None, "")
    assert found.problem is not None
    assert found.problem.reason == UNUSABLE
    assert not found.problem.passes
    return found.problem.message


def test_where_there_is_nothing_one_is_made() -> None:
    found = look(None, b"", replace(TERMS, token="then"), NOW)
    assert found.made == NONE_YET
    assert found.trust is not None
    assert (found.trust.formers, found.trust.token) == ((), "then")
    signer = found.trust.signer.certificate
    assert signer.not_valid_after_utc == NOW.replace(microsecond=0) + 2000 * HOUR
    assert found.again == (renewal(signer) - NOW).total_seconds()


def test_it_is_kept_until_its_renewal_and_replaced_then() -> None:
    trust, present = settled(TERMS, NOW)
    bundle = trust.bundle(NOW)
    due = renewal(trust.signer.certificate)
    moment = dt.timedelta(microseconds=1)
    for now in (NOW, NOW - DAY, due - moment):
        assert kept(look(present, bundle, TERMS, now), trust)
    found = look(present, bundle, TERMS, due)
    assert found.made == "most of the life of the one before was over"
    assert found.trust is not None
    assert found.trust.formers[0].certificate == trust.signer.certificate
    assert found.trust.chain(due) != b""


def test_a_clock_that_jumps_a_day_makes_at_most_one_more_and_loses_nothing() -> None:
    trust, present = settled(TERMS, NOW)
    due = renewal(trust.signer.certificate) - HOUR
    jumped, present = settled(TERMS, due + DAY, present, trust.bundle(due))
    back, again = settled(TERMS, due, present, jumped.bundle(due))
    assert back == jumped
    assert again == present
    assert back.signer.certificate.not_valid_before_utc <= due
    assert trust.signer.certificate in back.trusted(due)


def test_one_that_a_clock_made_that_was_ahead_is_replaced_and_leads_nowhere() -> None:
    trust, present = settled(TERMS, NOW)
    later = NOW + 1500 * HOUR
    ahead, present = settled(TERMS, later, present, trust.bundle(NOW))
    begins = ahead.signer.certificate.not_valid_before_utc
    assert kept(look(present, ahead.bundle(later), TERMS, begins), ahead)
    found = look(present, ahead.bundle(later), TERMS, NOW)
    assert "begins in the future" in found.made
    assert found.trust is not None
    assert found.problem is None
    # The first one's cross has not begun: what it signed is not to be replaced in a hurry.
    linked = [former.certificate for former in found.trust.linked(NOW)]
    assert linked == [ahead.signer.certificate]
    assert trust.signer.certificate in found.trust.trusted(NOW)
    assert found.trust.leads_since(NOW) == issued(found.trust.signer.certificate)
    # Nothing is thrown away: should it have been now that the clock was wrong, all lead on.
    assert len(found.trust.linked(later)) == 2
    assert found.trust.leads_since(later) is None


def test_what_was_lost_is_believed_as_long_as_its_last_leaf_may_live() -> None:
    trust, _ = settled(TERMS, NOW)
    bundle, old = trust.bundle(NOW), trust.signer.certificate
    for longest, until in (
        (None, old.not_valid_after_utc + SLACK),
        (400 * HOUR, NOW.replace(microsecond=0) + SECOND + 400 * HOUR + 2 * SLACK),
    ):
        found = look(None, bundle, TERMS, NOW, longest)
        assert found.trust is not None
        assert found.trust.longest == (longest or TERMS.leaf)
        present = secret(found.data or {}, found.annotations or {})
        assert read(present, NAME) == found.trust
        assert old in found.trust.trusted(until - SECOND)
        assert found.trust.trusted(until) == (found.trust.signer.certificate,)
        assert until in [*found.trust.changes(NOW)]
        assert found.trust.leads_since(NOW) == issued(found.trust.signer.certificate)


def test_lost_ones_are_not_forgotten_for_another_that_is_lost_later() -> None:
    trust, _ = settled(TERMS, NOW)
    first = look(None, trust.bundle(NOW), TERMS, NOW, 300 * HOUR).trust
    assert first is not None
    later = NOW + 200 * HOUR
    second = look(None, first.bundle(later), TERMS, later, 300 * HOUR).trust
    assert second is not None
    assert len(second.trusted(later + 340 * HOUR)) == 3
    assert len(second.trusted(later + 351 * HOUR)) == 1


def test_a_backup_counts_what_came_after_it_as_lost() -> None:
    old, backup = settled(TERMS, NOW - HOUR)
    newer, _ = settled(replace(TERMS, token="a"), NOW, backup, old.bundle(NOW))
    found = look(backup, newer.bundle(NOW), TERMS, NOW, 400 * HOUR).trust
    assert found is not None
    assert newer.signer.certificate in found.trusted(NOW + 449 * HOUR)
    assert newer.signer.certificate not in found.trusted(NOW + 451 * HOUR)
    # Who was lost before that, nobody knows for how long, is believed to its end.
    lost, present = settled(TERMS, NOW, None, old.bundle(NOW))
    after, _ = settled(replace(TERMS, token="b"), NOW, present, lost.bundle(NOW))
    found = look(present, after.bundle(NOW), TERMS, NOW, 400 * HOUR).trust
    assert found is not None
    assert found.unlinked_until is None


def test_a_token_counts_once() -> None:
    trust, present = settled(TERMS, NOW)
    asked = replace(TERMS, token="please")
    found = look(present, trust.bundle(NOW), asked, NOW)
    assert found.made == "the annotation etcd.xmudrii.com/rotate asks for it"
    assert found.trust is not None
    present = secret(found.data or {}, found.annotations or {})
    bundle = found.trust.bundle(NOW)
    for terms in (asked, TERMS):
        assert kept(look(present, bundle, terms, NOW), found.trust)
    # Nor when the annotation was away while another one was made for its age.
    due = renewal(found.trust.signer.certificate)
    older, present = settled(TERMS, due, present, bundle)
    assert kept(look(present, older.bundle(due), asked, due), older)


def test_tokens_without_end_are_put_off_and_nothing_else_is() -> None:
    trust, present = rotated(TERMS, NOW, *[dt.timedelta(minutes=1)] * MAX_FORMERS)
    found = look(present, trust.bundle(NOW), replace(TERMS, token="more"), NOW)
    assert (found.trust, found.made) == (trust, "")
    assert found.problem is not None
    assert found.problem.reason == PUT_OFF
    assert found.problem.passes
    later = NOW + dt.timedelta(seconds=found.again or 0)
    found = look(present, trust.bundle(NOW), replace(TERMS, token="more"), later)
    assert found.made
    assert found.problem is None


def test_other_names_of_the_service_need_another_authority() -> None:
    trust, present = settled(TERMS, NOW)
    found = look(present, trust.bundle(NOW), replace(TERMS, dns=("etcd-name.other",)), NOW)
    assert found.made == "the one before was made for other names"


def test_one_that_expired_while_nobody_looked_is_replaced() -> None:
    trust, present = settled(TERMS, NOW)
    late = NOW + 3000 * HOUR
    found = look(present, trust.bundle(NOW), TERMS, late)
    assert found.made == "the one before had expired"
    assert found.trust is not None
    assert found.trust.trusted(late) == (found.trust.signer.certificate,)
    assert found.trust.chain(late) == b""


def test_the_longest_life_of_a_leaf_only_grows() -> None:
    trust, present = settled(TERMS, NOW)
    grown, present = settled(replace(TERMS, leaf=500 * HOUR), NOW, present, trust.bundle(NOW))
    assert grown.longest == 500 * HOUR
    shrunk, again = settled(replace(TERMS, leaf=HOUR), NOW, present, trust.bundle(NOW))
    assert (shrunk, again) == (grown, present)


# Somebody else's hand.


def test_one_that_was_deleted_stays_believed_and_is_not_linked() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    bundle = trust.bundle(NOW)
    found = look(None, bundle, TERMS, NOW)
    assert found.made == "the one before was deleted"
    assert found.trust is not None
    assert found.trust.bundle(NOW).endswith(bundle)
    assert [former.cross for former in found.trust.formers] == [None, None]
    present = secret(found.data or {}, found.annotations or {})
    for delivered in (bundle, found.trust.bundle(NOW)):
        assert kept(look(present, delivered, TERMS, NOW), found.trust)


@pytest.mark.parametrize("bundle", [b"spoilt", "cut off", "another's"])
def test_without_it_and_what_was_delivered_nobody_is_made(bundle: Any) -> None:
    trust, _ = settled(TERMS, NOW)
    another, _ = settled(replace(TERMS, storage="another"), NOW)
    bundles = {"cut off": trust.bundle(NOW)[:-40], "another's": another.bundle(NOW)}
    message = unusable(look(None, bundles.get(bundle, bundle), TERMS, NOW))
    assert message.startswith("Secret etcd-ca-name: is missing, and the bundle")


def test_one_that_is_not_what_is_delivered_signs_nothing() -> None:
    trust, _ = settled(TERMS, NOW)
    _, namesake = settled(TERMS, NOW)
    message = unusable(look(namesake, trust.bundle(NOW), TERMS, NOW))
    assert "tls.crt is none of the authorities that are delivered" in message
    assert "restore it, or delete it" in message
    # After a stop between the two writes what is delivered is the bundle before.
    newer, present = rotated(TERMS, NOW, HOUR)
    delivered = dump([newer.formers[0].certificate])
    assert kept(look(present, delivered, TERMS, NOW), newer)


def test_spoilt_and_foreign_parts_of_a_bundle_are_mended_not_believed() -> None:
    trust, present = settled(TERMS, NOW)
    foreign, _ = settled(replace(TERMS, storage="another"), NOW)
    for bundle in (b"spoilt", foreign.bundle(NOW), trust.bundle(NOW) + foreign.bundle(NOW)):
        assert kept(look(present, bundle, TERMS, NOW), trust)


def test_an_old_one_that_is_restored_goes_on_and_forgets_nobody() -> None:
    old, backup = settled(TERMS, NOW - HOUR)
    newer, _ = settled(replace(TERMS, token="a"), NOW, backup, old.bundle(NOW))
    found = look(backup, newer.bundle(NOW), TERMS, NOW)
    assert (found.problem, found.made) == (None, "")
    assert found.trust is not None
    assert found.trust.signer == old.signer
    assert {*found.trust.trusted(NOW)} == {*newer.trusted(NOW)}
    assert found.trust.linked(NOW) == ()


@pytest.mark.parametrize("lost", [True, False])
def test_one_that_signed_again_stays_when_its_successor_is_restored(*, lost: bool) -> None:
    """Two backups are restored, one long after the other."""
    old, first = settled(TERMS, NOW)
    bundle = old.bundle(NOW)
    if lost:
        made = look(None, bundle, TERMS, NOW, 300 * HOUR)
        new, second = made.trust, secret(made.data or {}, made.annotations or {})
    else:
        new, second = settled(replace(TERMS, token="a"), NOW, first, bundle)
    assert new is not None
    terms = replace(TERMS, token=new.token)
    later = NOW + 200 * HOUR
    between = look(first, new.bundle(later), TERMS, later, 300 * HOUR).trust
    assert between is not None
    assert between.signer == old.signer
    at = later + 200 * HOUR
    found = look(second, between.bundle(at), terms, at, 300 * HOUR)
    assert (found.problem, found.made) == (None, "")
    assert found.trust is not None
    assert found.trust.signer == new.signer
    # What it signed just now may live so long.
    assert old.signer.certificate in found.trust.trusted(at + 349 * HOUR)
    assert old.signer.certificate not in found.trust.trusted(at + 351 * HOUR)
    assert (found.trust.linked(at) == ()) == lost
    # It is known at every look that follows, and no sooner written again than it has to be.
    present = secret(found.data or {}, found.annotations or {}, second)
    for served in (between, found.trust):
        again = look(present, served.bundle(at), terms, at + 20 * HOUR, 300 * HOUR)
        assert again.trust == found.trust


def test_a_rotation_that_was_not_delivered_yet_leaves_nobody_any_longer_than_it_has_to() -> None:
    old, present = settled(TERMS, NOW)
    new, present = settled(replace(TERMS, token="a"), NOW + HOUR, present, old.bundle(NOW))
    found = look(present, old.bundle(NOW), replace(TERMS, token="a"), NOW + 20 * HOUR, 300 * HOUR)
    assert kept(found, new)
    assert "etcd.xmudrii.com/formers-until" not in (found.annotations or {})


def test_formers_that_are_taken_away_are_missed() -> None:
    trust, present = rotated(TERMS, NOW, HOUR)
    present = {**present, "data": {**present["data"], "former.crt": ""}}
    message = unusable(look(present, trust.bundle(NOW), TERMS, NOW))
    assert "former.crt lacks authorities that are delivered" in message


@pytest.mark.parametrize("data", [None, {}, {"tls.crt": "", "tls.key": ""}, {"tls.crt": "eA=="}])
def test_one_that_is_emptied_is_left_to_a_person(data: Any) -> None:
    trust, present = settled(TERMS, NOW)
    assert unusable(look({**present, "data": data}, trust.bundle(NOW), TERMS, NOW))


def test_who_is_over_but_still_delivered_is_known_until_it_is_not() -> None:
    trust, present = rotated(TERMS, NOW, 500 * HOUR)
    over = trust.formers[0].certificate.not_valid_after_utc + SLACK
    both = trust.bundle(NOW)
    late = replace(TERMS, signing=9000 * HOUR)
    # The clock was right or it was not: if it goes back, nothing is unknown.
    after, written = settled(late, over, present, both)
    assert look(written, both, late, over - HOUR).problem is None
    # Once that is delivered, it is forgotten.
    assert trust.formers[0].certificate not in after.trusted(over)
    later, _ = settled(late, over, written, after.bundle(over))
    assert [former.certificate for former in later.formers] == [trust.signer.certificate]


def test_neither_the_look_nor_its_problem_shows_a_key() -> None:
    found = look(None, b"", TERMS, NOW)
    assert found.data is not None
    encoded = found.data["tls.key"]
    key = base64.b64decode(encoded).decode().split("\n")[1]
    _, other = settled(TERMS, NOW)
    data = {**found.data, "tls.key": other["data"]["tls.key"]}
    spoilt = look({"data": data}, b"", TERMS, NOW)
    for shown in (repr(found), repr(spoilt), str(spoilt.problem)):
        assert encoded[50:90] not in shown
        assert key not in shown
