"""Dockerfiles carried out by buildah, without a daemon, a registry or a network."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from hack.cluster.command import run
from hack.cluster.image import replacing


def build(target: Path, reference: str, project: Path, bases: Sequence[Path]) -> None:
    """Build the Dockerfile in the folder `project`, and write it as `docker save` does.

    `bases` are files of that kind, of all images that the Dockerfile names. The same
    instructions on the same files give the same image. Raises CommandError.
    """
    with tempfile.TemporaryDirectory(dir=target.parent, prefix="buildah-") as work:
        # Of the drivers, this one works on every file system, and for every user.
        storage = ("--root", f"{work}/root", "--runroot", f"{work}/run", "--storage-driver=vfs")
        for base in bases:
            run(["buildah", *storage, "pull", "--quiet", f"docker-archive:{base}"])
        # A chroot is all the isolation that is to be had inside a container.
        options = ("--isolation=chroot", "--pull-never", "--timestamp=0", f"--tag={reference}")
        run(["buildah", *storage, "build", "--quiet", *options, project])
        with replacing(target) as partial:
            where = f"docker-archive:{partial}:{reference}"
            run(["buildah", *storage, "push", "--quiet", reference, where])
