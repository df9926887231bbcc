from controller.inspection.finding import Finding, Level, failed


def test_only_what_is_wrong_beyond_doubt_counts() -> None:
    found = [Finding(level, "a", "b") for level in (*Level, Level.FAIL)]
    assert failed(found) == 2


def test_json_has_all_four_parts() -> None:
    told = Finding(Level.WARN, "clock", "it is late", "set it").as_json()
    assert told == {"level": "WARN", "check": "clock", "what": "it is late", "todo": "set it"}
