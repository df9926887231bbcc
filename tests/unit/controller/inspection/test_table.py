from controller.inspection.table import line, shortened, widths


def test_columns_stand_below_each_other_and_no_blanks_end_a_line() -> None:
    rows = [("NAME", "KEYS"), ("a-long-name", "7")]
    assert [line(row, widths(rows)) for row in rows] == [
        "NAME          KEYS",
        "a-long-name   7",
    ]


def test_columns_never_get_narrower() -> None:
    assert widths([("a", "bcd")], (4, 2)) == (4, 3)


def test_a_long_text_is_cut_and_a_short_one_is_not() -> None:
    assert shortened("a\n b", 3) == "a b"
    assert shortened("abcdefgh", 6) == "abc..."
