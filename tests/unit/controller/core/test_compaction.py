from controller.core.compaction import NOTE, PROBLEM, RETENTION, WRITES, History

DAYS = int(RETENTION / NOTE)
"""Notes until the first is old."""


def noted(*revisions: int) -> History:
    """Return a history of one note an hour."""
    history = History()
    for hour, revision in enumerate(revisions):
        history.note(hour * NOTE, revision)
    return history


def busy(hours: int) -> History:
    return noted(*((hour + 1) * (WRITES + 1) for hour in range(hours)))


def test_a_young_core_is_no_suspect() -> None:
    assert busy(DAYS).suspect(RETENTION - 1) is None


def test_what_is_older_than_any_retention_is_one() -> None:
    history = busy(DAYS)
    assert history.suspect(RETENTION) is None  # all that is newer may still be kept
    assert history.suspect(RETENTION + NOTE) == WRITES + 1


def test_the_latest_revision_of_an_idle_core_is_none() -> None:
    # All of the writes are younger than three days: a compaction leaves the old one readable.
    assert noted(*([5] * 100), 10**9).suspect(100 * NOTE + RETENTION - NOTE / 2) is None
    assert noted(*([5] * 200)).suspect(1000 * NOTE) is None


def test_few_writes_are_no_history() -> None:
    assert noted(*range(1, 200)).suspect(300 * NOTE) is None


def test_what_is_compacted_is_forgotten() -> None:
    history = busy(100)
    late = 100 * NOTE + RETENTION
    suspect = history.suspect(late)
    assert suspect
    history.compacted(suspect)
    assert history.suspect(late) is None


def test_notes_are_an_hour_apart() -> None:
    history = History()
    for second in range(1000):
        history.note(float(second), second * WRITES)
    assert history.suspect(10 * RETENTION) is None


def test_a_backup_begins_anew() -> None:
    history = busy(100)
    history.note(100 * NOTE, 7)
    assert history.suspect(100 * NOTE + RETENTION) is None


def test_the_problem_names_the_flags() -> None:
    assert PROBLEM.reason == "CoreNotCompacted"
    assert "--auto-compaction-mode=periodic" in PROBLEM.message
    assert "--auto-compaction-retention=5m" in PROBLEM.message
