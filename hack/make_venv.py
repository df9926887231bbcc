"""Make the virtual environment that everything else runs in; needs Python and nothing more.

Says in one line what is missing and how it is had.
"""

import importlib.util
import subprocess
import sys
import venv
from pathlib import Path

from hack.cluster import preflight


def no_venv() -> "str | None":
    """Complain about a Python without venv, as Debian's is."""
    if importlib.util.find_spec("ensurepip"):
        return None
    return "this Python cannot make virtual environments: apt-get install -y python3-venv"


def main(folder: Path) -> int:
    """Make or bring up to date the environment in `folder`."""
    try:
        preflight.require(preflight.python(sys.version_info[:3]), no_venv())
    except preflight.PreflightError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    python = folder / "bin" / "python"
    # pip comes last: without it the making was broken off.
    if not python.with_name("pip").exists():
        venv.create(folder, with_pip=True)
    print("installing the packages that setup.cfg names ...", flush=True)
    pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    answer = subprocess.run([*pip, "--editable", ".[dev]"], check=False)
    if answer.returncode == 0:
        (folder / ".ready").touch()
    return answer.returncode


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
