"""A root file system with Python in it, from this machine's Debian packages and without root.

apt resolves the closure of `python3` for an empty system and fetches it; the packages are
unpacked side by side and none of their scripts run. The result depends on nothing but the
list of packages and versions, and on what is dropped, which is its key in the cache.
"""

import functools
import io
import shutil
import tarfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from hack.cluster import layers
from hack.cluster.command import CommandError, run
from hack.cluster.errors import ClusterError

# The library is what grpcio's own one is linked with.
PACKAGES = ("python3", "ca-certificates", "libstdc++6")

# Only maintainer scripts, which never run here, would call these.
_UNUSED_PACKAGES = frozenset(("debconf", "dpkg", "openssl", "perl-base", "tar"))
_DROPPED = (
    # What people read.
    "usr/share/doc/",
    "usr/share/info/",
    "usr/share/lintian/",
    "usr/share/locale/",
    "usr/share/man/",
    # iconv's tables: Python has its own.
    *(f"usr/lib/{machine}-linux-gnu/gconv/" for machine in ("x86_64", "aarch64")),
)
# Debian's /bin, /lib and so on are links into /usr; some packages still name the old places.
_MERGED = ("bin", "sbin", "lib", "lib64")


class RootfsError(ClusterError):
    """The packages cannot be had; the message names the command that mends it."""


@dataclass(frozen=True, slots=True)
class Package:
    """One binary package, as apt would install it."""

    name: str
    file: str
    """`name_version_architecture.deb`, colons escaped."""


@dataclass(frozen=True)
class Rootfs:
    """An unpacked root file system, to be read as files and to run its own Python from."""

    path: Path

    @cached_property
    def python(self) -> str:
        """Name of the interpreter, `python3.11`."""
        return (self.path / "usr/bin/python3").readlink().name

    @property
    def _library_folder(self) -> Path:
        return next(self.path.glob("usr/lib/*-linux-gnu"))

    def libraries(self, names: Iterable[str]) -> dict[str, Path]:
        """Return what a program takes that names these libraries, by its place in an image.

        The loader and the links that lead to it are among them.
        """
        folder = self._library_folder
        files = [*folder.glob("ld-linux-*"), *(next(folder.glob(f"{n}.so.*")) for n in names)]
        loaders = [*(self.path / "usr/lib64").glob("ld-linux-*"), *self.path.glob("usr/lib/ld-*")]
        links = [self.path / name for name in ("lib", "lib64")]
        return {str(path.relative_to(self.path)): path for path in [*links, *files, *loaders]}

    def run_python(self, *arguments: str | Path, search: Path) -> None:
        """Run the Python inside, without entering: its own loader finds its own libraries.

        So wheels are chosen by the very Python that will use them, whichever one runs us.
        `search` is put on its path. Raises CommandError.
        """
        libraries = self._library_folder
        loader = next(libraries.glob("ld-linux-*"))
        environment = {
            "PYTHONHOME": str(self.path / "usr"),
            "PYTHONDONTWRITEBYTECODE": "1",
            "PYTHONPATH": str(search),
        }
        interpreter = self.path / "usr/bin" / self.python
        run(
            [loader, "--library-path", libraries, interpreter, *arguments], environment=environment
        )


def ensure(cache: Path) -> Rootfs:
    """Return the root file system for the packages that apt knows now, built if need be."""
    packages = _closure(cache)
    target = cache / f"rootfs-{layers.key([*(package.file for package in packages), *_DROPPED])}"
    if not target.exists():
        _download(cache)
        for old in cache.glob("rootfs-*"):
            shutil.rmtree(old)
        partial = cache / "partial-rootfs"
        shutil.rmtree(partial, ignore_errors=True)
        unpack([_archives(cache) / package.file for package in packages], partial)
        _finish(partial)
        partial.rename(target)
    return Rootfs(target)


def unpack(debs: Sequence[Path], target: Path) -> None:
    """Lay the files of the packages into the folder `target`, dropping what no program reads."""
    for name in _MERGED:
        (target / "usr" / name).mkdir(parents=True)
        (target / name).symlink_to(f"usr/{name}")
    for deb in debs:
        content = io.BytesIO(run(["dpkg-deb", "--fsys-tarfile", deb]))
        with tarfile.open(fileobj=content) as tar:
            # Links may be absolute: they are meant for the image. Newer Pythons ask for this.
            tar.extraction_filter = _trust
            tar.extractall(target, members=_wanted(tar))  # noqa: S202 - Debian's own packages


def parse_closure(simulation: str) -> list[Package]:
    """Read `'URL' FILE SIZE HASH` lines, as `apt-get --print-uris` writes them."""
    files = [line.split()[1] for line in simulation.splitlines() if line.startswith("'")]
    packages = [Package(file.partition("_")[0], file) for file in sorted(files)]
    return [package for package in packages if package.name not in _UNUSED_PACKAGES]


def _trust(member: tarfile.TarInfo, _: str) -> tarfile.TarInfo:
    return member


def _wanted(tar: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for member in tar:
        member.name = member.name.removeprefix("./")
        if member.name.split("/")[0] in _MERGED:
            member.name = f"usr/{member.name}"
        if not f"{member.name}/".startswith(_DROPPED):
            yield member


def _finish(system: Path) -> None:
    """Do what the packages' scripts would have done, apart from byte code."""
    certificates = sorted((system / "usr/share/ca-certificates").rglob("*.crt"))
    bundle = system / "etc/ssl/certs/ca-certificates.crt"
    bundle.write_text("".join(certificate.read_text() for certificate in certificates))


@functools.cache
def _closure(cache: Path) -> list[Package]:
    # Of what lies in its archive folder apt would print no line, so it is shown an empty one.
    simulation = _apt(cache, "--print-uris", "-o", f"Dir::Cache::archives={cache / 'none'}")
    return parse_closure(simulation.decode())


def _download(cache: Path) -> None:
    _apt(cache, "--download-only")


def _archives(cache: Path) -> Path:
    return cache / "debs"


def _apt(cache: Path, *options: str) -> bytes:
    """Let apt install `PACKAGES` on an empty system, as far as `options` let it."""
    for folder in (_archives(cache) / "partial", cache / "none" / "partial"):
        folder.mkdir(parents=True, exist_ok=True)
    status = cache / "empty-dpkg-status"
    status.touch()
    settings = {
        "Dir::State::status": status,
        "Dir::Cache::archives": _archives(cache),
        # Asked again, apt answers in half the time.
        "Dir::Cache::pkgcache": cache / "apt-pkgcache.bin",
        "APT::Install-Recommends": "false",
        # The user running this owns the cache; apt's own user could not write to it.
        "APT::Sandbox::User": "root",
        "Debug::NoLocking": "true",
    }
    flags = [flag for name, value in settings.items() for flag in ("-o", f"{name}={value}")]
    try:
        return run(["apt-get", "-qq", "-y", *flags, *options, "install", *PACKAGES])
    except CommandError as error:
        raise RootfsError(f"no Debian packages to be had, try: apt-get update\n{error}") from error
