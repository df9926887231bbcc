"""The pages for the kubelet: which checks are asked, and in what words they answer."""

import pytest
from structlog.testing import capture_logs

from controller.health import Check, Checks, Probes
from controller.httpserver import Request


class Part:
    """Something that may be ill; asked by calling it."""

    def __init__(self) -> None:
        self.ill: str | None = None

    def __call__(self) -> str | None:
        return self.ill


def checks(**given: Check) -> Checks:
    found = Checks("livez")
    found.add(given)
    return found


def ask(asked: Checks, **query: list[str]) -> tuple[int, str]:
    page = asked.page(Request(query=query))
    assert page.content_type == "text/plain; charset=utf-8"
    return page.code, page.body.decode()


def test_all_well_is_one_word_and_a_list_on_request() -> None:
    well = checks(workers=Part(), queue=Part())
    assert ask(well) == (200, "ok")
    told = "[+]workers ok\n[+]queue ok\nlivez check passed\n"
    assert ask(well, verbose=[""]) == (200, told)
    assert ask(Checks("readyz")) == (200, "ok")


def test_a_failure_is_named_with_what_is_wrong() -> None:
    worker = Part()
    asked = checks(workers=worker, queue=Part())
    worker.ill = "worker-1"
    told = "[-]workers failed: worker-1\n[+]queue ok\nlivez check failed\n"
    assert ask(asked) == ask(asked, verbose=[""]) == (503, told)
    worker.ill = None
    assert ask(asked) == (200, "ok")


def test_what_is_excluded_is_not_asked() -> None:
    asked = checks(workers=lambda: "dead", queue=Part())
    assert ask(asked, exclude=["workers"]) == (200, "ok")
    told = "[+]queue ok\n[+]workers excluded: ok\nlivez check passed\n"
    assert ask(asked, exclude=["workers", "none"], verbose=[""]) == (200, told)


def test_a_check_that_breaks_is_a_failure_without_its_words() -> None:
    def broken() -> str | None:
        raise KeyError("private detail")

    code, told = ask(checks(core=broken, queue=Part()))
    assert code == 503
    assert told.startswith("[-]core failed: the check broke: KeyError\n[+]queue ok\n")


def test_a_failure_is_logged_once_however_often_somebody_asks() -> None:
    worker, queue = Part(), Part()
    asked = checks(workers=worker, queue=queue)
    with capture_logs() as logs:
        ask(asked)
        worker.ill = "worker-1"
        for _ in range(3):
            ask(asked)
        # Whoever leaves it out has not seen it get well.
        ask(asked, exclude=["workers"])
        queue.ill = "a for 601 s"
        ask(asked)
        queue.ill = None
        ask(asked)
        worker.ill = None
        ask(asked)
        ask(asked)
    assert [(log["event"], log.get("checks")) for log in logs] == [
        ("unhealthy", {"workers": "worker-1"}),
        ("unhealthy", {"workers": "worker-1", "queue": "a for 601 s"}),
        ("healthy_again", None),
    ]


@pytest.mark.parametrize(("path", "ill"), [("/healthz", 0), ("/livez", 0), ("/readyz", 1)])
def test_the_pages_ask_their_own_checks(path: str, ill: int) -> None:
    probes = Probes()
    sides = (probes.live, probes.ready)
    sides[ill].add({"part": lambda: "ill"})
    sides[1 - ill].add({"other": Part()})
    page = probes.pages()[path](Request())
    assert (page.code, b"[-]part failed: ill" in page.body) == (503, True)
