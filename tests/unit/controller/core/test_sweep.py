import pytest

from controller.core.sweep import advanced, begin, removal


def test_a_storage_without_a_key_is_done_after_one_look() -> None:
    assert advanced(begin("a"), ()).done


def test_pages_follow_each_other_and_are_looked_at_again_from_the_start() -> None:
    sweep = begin("a")
    assert (sweep.start, sweep.range_end) == (b"/a/", b"/a0")
    for page, then in (((b"/a/1", b"/a/2"), b"/a/2\0"), ((b"/a/3",), b"/a/3\0"), ((), b"/a/")):
        sweep = advanced(sweep, page)
        assert sweep.start == then
        assert not sweep.done
    assert sweep.passes == 1
    assert advanced(sweep, ()).done


def test_what_is_written_behind_a_page_takes_one_more_pass() -> None:
    sweep = advanced(advanced(begin("a"), (b"/a/1",)), ())
    sweep = advanced(sweep, (b"/a/0",))
    sweep = advanced(sweep, ())
    assert (sweep.done, sweep.passes) == (False, 2)
    assert advanced(sweep, ()).done


def test_a_page_is_removed_up_to_its_last_key_and_from_where_it_begins() -> None:
    sweep = begin("a")
    assert removal(sweep, ()) is None
    page = (b"/a/1", b"/a/2")
    assert removal(sweep, page) == (b"/a/", b"/a/2\0")
    assert removal(advanced(sweep, page), (b"/a/9",)) == (b"/a/2\0", b"/a/9\0")


@pytest.mark.parametrize("foreign", [b"/a", b"/a0", b"/aa/1", b"/b/1", b"", b"/a-b/1"])
def test_keys_that_were_not_asked_for_are_never_removed(foreign: bytes) -> None:
    with pytest.raises(ValueError, match="outside"):
        removal(begin("a"), (b"/a/1", foreign))


@pytest.mark.parametrize("name", ["", "/", "a/b", "a/"])
def test_a_name_that_would_reach_further_is_no_name(name: str) -> None:
    with pytest.raises(ValueError, match="no storage"):
        begin(name)
