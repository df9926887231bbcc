from hack.bench.authchurn import Felt, render


def test_a_run_is_a_line_with_its_quantiles() -> None:
    puts = [n / 1000 for n in range(1, 201)]
    title, line = render([Felt("paced", 1000, 12.34, puts, 7)]).splitlines()
    assert title.split() == ["run", "users", "s", "puts", "again", "p50,", "p99,", "max", "ms"]
    assert line.split() == ["paced", "1000", "12.3", "200", "7", "100.5,", "199.0,", "200.0"]
