from hack.bench.table import Row, kilobytes, mebibytes, per_second, render, seconds


def test_columns_are_as_wide_as_what_is_in_them() -> None:
    rows = [Row("start", "0.50 s", "0.60 s", "0.35 s", "4.40 s"), Row("much longer", "7")]
    assert render(rows).splitlines() == [
        "figure         ours  budget  client-go  Python",
        "start        0.50 s  0.60 s     0.35 s  4.40 s",
        "much longer       7",
    ]


def test_units() -> None:
    assert seconds(0.456) == "0.46 s"
    assert mebibytes(3.4 * 2**20) == "3 MiB"
    assert per_second(12345.6) == "12,346/s"
    assert kilobytes(4688) == "4.69 kB"
