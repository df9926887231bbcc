"""The example in the package's docstring, and what the package may load."""

import doctest
import subprocess
import sys

import workqueue


def test_the_example_of_the_package_runs() -> None:
    result = doctest.testmod(workqueue)
    assert result.attempted > 10
    assert result.failed == 0


def test_the_queues_need_nothing_but_python() -> None:
    program = (
        "import sys; before = set(sys.modules); import workqueue; print(*sys.modules - before)"
    )
    program = program.replace("*sys.modules - before", "*(set(sys.modules) - before)")
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    tops = {module.partition(".")[0] for module in run.stdout.split()}
    assert tops - sys.stdlib_module_names == {"workqueue"}
