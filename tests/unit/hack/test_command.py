import pytest

from hack.cluster.command import CommandError, run


def test_what_it_prints_is_returned() -> None:
    assert run(["sh", "-c", "echo $WORD"], environment={"WORD": "hello"}) == b"hello\n"


def test_a_failure_tells_its_last_words() -> None:
    script = "i=0; while [ $i -lt 40 ]; do i=$((i + 1)); echo line $i >&2; done; exit 3"
    with pytest.raises(CommandError) as caught:
        run(["sh", "-c", script])
    first, *words = str(caught.value).splitlines()
    assert first.endswith("ended with code 3:")
    assert words == [f"line {i}" for i in range(26, 41)]


def test_a_silent_error_stream_leaves_the_other() -> None:
    with pytest.raises(CommandError, match="on the wrong stream"):
        run(["sh", "-c", "echo on the wrong stream; exit 1"])


def test_a_missing_program() -> None:
    with pytest.raises(CommandError, match="no-such-program: not installed"):
        run(["no-such-program"])
