"""Whom to believe, and by which crosses, as time goes on."""

import datetime as dt
from dataclasses import replace

from cryptography import x509

from controller.pki.lifetime import SLACK, issued
from controller.pki.pem import is_signed_by, read_certificates
from controller.pki.rotation import Terms
from controller.pki.trust import MAX_FORMERS, Former, Trust
from tests.support.pkiworld import DNS, HOUR, NAME, rotated, settled

NOW = dt.datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=dt.UTC)
MADE = NOW.replace(microsecond=0)
TERMS = Terms(NAME, (DNS, "etcd-name"), 2000 * HOUR, 300 * HOUR)
MOMENT = dt.timedelta(seconds=1)


def crosses(trust: Trust, now: dt.datetime = NOW) -> tuple[x509.Certificate, ...]:
    chain = trust.chain(now)
    return read_certificates(chain) if chain else ()


def certificates(trust: Trust) -> list[x509.Certificate]:
    return [trust.signer.certificate, *(former.certificate for former in trust.formers)]


def test_the_first_one_is_believed_alone_and_needs_no_cross() -> None:
    trust, _ = settled(TERMS, NOW)
    assert read_certificates(trust.bundle(NOW)) == (trust.signer.certificate,)
    assert trust.chain(NOW) == b""
    assert [*trust.changes(NOW)] == []


def test_each_cross_leads_from_one_to_the_one_before() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR, HOUR)
    third, second, first = certificates(trust)
    by_second, by_first = crosses(trust)
    for cross, of, by in ((by_second, third, second), (by_first, second, first)):
        assert cross.subject == of.subject
        assert cross.public_key() == of.public_key()
        assert is_signed_by(cross, by)
        assert cross.not_valid_after_utc == by.not_valid_after_utc
        bounds = (x509.NameConstraints, x509.BasicConstraints, x509.SubjectKeyIdentifier)
        for kind in bounds:
            found = (c.extensions.get_extension_for_class(kind) for c in (cross, of))
            assert len({(ext.critical, ext.value) for ext in found}) == 1
    assert {*read_certificates(trust.bundle(NOW))} == {first, second, third}


def test_a_former_is_believed_as_long_as_a_leaf_of_it_may_live_by_two_wrong_clocks() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    until = MADE + 300 * HOUR + 2 * SLACK
    assert len(trust.trusted(until - MOMENT)) == 2
    assert trust.trusted(until) == (trust.signer.certificate,)
    assert until in [*trust.changes(NOW)]
    # Whoever believes the former alone is still led to the new one.
    assert len(crosses(trust, until)) == 1


def test_nobody_is_believed_after_their_end_whatever_a_leaf_was_given() -> None:
    terms = replace(TERMS, leaf=1900 * HOUR)
    trust, _ = rotated(terms, NOW, 1000 * HOUR)
    end = trust.formers[0].certificate.not_valid_after_utc + SLACK
    assert len(trust.trusted(end - MOMENT)) == 2
    assert len(trust.trusted(end)) == 1
    assert (len(crosses(trust, end - MOMENT)), crosses(trust, end)) == (1, ())


def test_an_older_one_that_lives_longer_is_reached_through_one_that_is_over() -> None:
    first, present = settled(TERMS, NOW)
    short = replace(TERMS, signing=20 * HOUR, leaf=20 * HOUR)
    then = NOW + HOUR
    second, present = settled(replace(short, token="a"), then, present, first.bundle(then))
    third, _ = settled(replace(short, token="b"), then, present, second.bundle(then))
    late = third.formers[0].certificate.not_valid_after_utc + SLACK + MOMENT
    found = crosses(third, late)
    assert len(found) == 2
    assert is_signed_by(found[-1], first.signer.certificate)
    for cross in found:
        assert cross.not_valid_after_utc == first.signer.certificate.not_valid_after_utc
    assert third.without_the_useless(late, ()).linked(late) == third.linked(late)


def test_who_serves_nobody_is_forgotten_but_not_while_it_is_delivered() -> None:
    trust, _ = rotated(TERMS, NOW, 10 * HOUR)
    former = trust.formers[0].certificate
    over = former.not_valid_after_utc + SLACK
    assert trust.without_the_useless(over - MOMENT, ()) == trust
    assert trust.without_the_useless(over, ()).formers == ()
    assert trust.without_the_useless(over, {former}) == trust


def test_without_a_cross_one_is_believed_to_its_end() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    lost = replace(trust, formers=(Former(trust.formers[0].certificate, None),))
    end = lost.formers[0].certificate.not_valid_after_utc
    assert len(lost.trusted(end)) == 2
    assert len(lost.trusted(end + SLACK)) == 1
    assert lost.chain(NOW) == b""
    assert lost.linked(NOW) == ()


def test_there_are_not_ever_more_crosses() -> None:
    trust, _ = rotated(replace(TERMS, leaf=HOUR), NOW, *[100 * HOUR] * (MAX_FORMERS + 3))
    assert len(trust.formers) == len(crosses(trust)) == MAX_FORMERS


def test_with_all_crosses_in_use_who_knows_only_older_ones_is_told_of() -> None:
    terms = replace(TERMS, leaf=HOUR)
    trust, _ = rotated(terms, NOW, *[100 * HOUR] * (MAX_FORMERS - 1))
    assert trust.leads_since(NOW) is None
    full, _ = rotated(terms, NOW, *[100 * HOUR] * (MAX_FORMERS + 3))
    assert full.leads_since(NOW) == issued(full.formers[-1].certificate)
    assert full.leads_since(NOW) == MADE - MAX_FORMERS * 100 * HOUR


def test_what_is_cut_off_by_that_is_believed_while_a_leaf_of_it_may_live() -> None:
    trust, _ = rotated(TERMS, NOW, *[dt.timedelta(minutes=1)] * MAX_FORMERS)
    older = settled(TERMS, NOW)[0].signer
    more = trust.succeeded(older, "x").without_the_useless(NOW, ())
    assert len(more.formers) == MAX_FORMERS + 1
    assert more.leads_since(NOW) == issued(certificates(more)[-2])
    assert len(crosses(more)) == MAX_FORMERS
    assert len(more.trusted(NOW)) == MAX_FORMERS + 2
    first, until = certificates(more)[-1], issued(certificates(more)[-2]) + 300 * HOUR + 2 * SLACK
    assert first in more.trusted(until - MOMENT)
    assert first not in more.trusted(until)
    assert first not in certificates(more.without_the_useless(until, ()))


def test_what_is_cut_off_does_not_come_back_for_being_in_the_delivered_bundle() -> None:
    trust, present = rotated(TERMS, NOW, *[dt.timedelta(minutes=1)] * MAX_FORMERS)
    first, bundle = certificates(trust)[-1], trust.bundle(NOW)
    over = issued(certificates(trust)[-2]) + 300 * HOUR + 2 * SLACK
    more, present = settled(replace(TERMS, token="more"), over, present, bundle)
    assert first in certificates(more)
    assert first not in more.trusted(over)
    # By a clock that was set back it counts as long as it did.
    assert first in more.trusted(over - MOMENT)
    after, _ = settled(replace(TERMS, token="more"), over, present, more.bundle(over))
    assert first not in certificates(after)


def test_one_that_is_needed_to_tell_when_an_older_one_ends_is_kept() -> None:
    first, present = settled(TERMS, NOW)
    short = replace(TERMS, signing=20 * HOUR, leaf=20 * HOUR)
    second, present = settled(replace(short, token="a"), NOW, present, first.bundle(NOW))
    lost, at = second.formers[0], NOW + 10 * HOUR
    trust = replace(second, formers=(lost,)).succeeded(settled(TERMS, at)[0].signer, "b")
    cut = replace(trust, formers=(replace(trust.formers[0], cross=None), lost))
    over = trust.formers[0].certificate.not_valid_after_utc + SLACK
    assert first.signer.certificate in cut.trusted(over)
    assert cut.without_the_useless(over, ()) == cut
    until = issued(second.signer.certificate) + 300 * HOUR + 2 * SLACK
    assert cut.without_the_useless(until, ()).formers == ()


def test_what_was_lost_before_and_what_is_cut_off_each_have_their_own_end() -> None:
    trust, _ = rotated(TERMS, NOW, *[dt.timedelta(minutes=1)] * MAX_FORMERS)
    lost = Former(settled(TERMS, NOW)[0].signer.certificate, None)
    trust = replace(trust, formers=(*trust.formers, lost), unlinked_until=NOW + HOUR)
    successor = settled(TERMS, NOW)[0].signer
    more = trust.succeeded(successor, "x").without_the_useless(NOW, ())
    assert len(more.trusted(NOW)) == MAX_FORMERS + 3
    assert more.unlinked_until == NOW + HOUR
    assert lost.certificate not in more.trusted(NOW + HOUR)
    assert len(more.trusted(NOW + HOUR)) == MAX_FORMERS + 2


def test_a_way_that_begins_in_the_future_is_a_change_to_come() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    (cross,) = crosses(trust)
    begins, earlier = cross.not_valid_before_utc, NOW - 100 * HOUR
    assert trust.linked(begins - MOMENT) == ()
    assert len(trust.linked(begins)) == 1
    assert begins in [*trust.changes(earlier)]


def test_by_a_clock_that_is_ahead_nothing_ends_sooner_than_by_the_right_one() -> None:
    trust, _ = settled(TERMS, NOW)
    late = trust.signer.certificate.not_valid_after_utc + 2 * SLACK
    successor = settled(TERMS, late)[0].signer
    assert replace(trust, unlinked_until=NOW).succeeded(successor, "").unlinked_until is None


def test_one_that_is_over_signs_nobody() -> None:
    trust, _ = settled(TERMS, NOW)
    late = trust.signer.certificate.not_valid_after_utc + 2 * SLACK
    successor = settled(TERMS, late)[0].signer
    assert trust.succeeded(successor, "").formers == (Former(trust.signer.certificate, None),)


def test_no_representation_shows_a_key() -> None:
    trust, _ = rotated(TERMS, NOW, HOUR)
    key = trust.signer.authority.pair.key_pem.decode().split("\n")[1]
    assert key not in repr(trust)
    assert "key_pem" not in repr(trust)
