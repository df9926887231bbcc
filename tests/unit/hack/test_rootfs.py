import io
import tarfile
from pathlib import Path

import pytest

from hack.cluster import command, rootfs

SIMULATION = """\
'http://deb.example/libc6_2.36-9_amd64.deb' libc6_2.36-9_amd64.deb 2759320 MD5Sum:ab
'http://deb.example/dpkg_1.21.22_amd64.deb' dpkg_1.21.22_amd64.deb 1567804 MD5Sum:cd
'http://deb.example/zlib1g_1.2.13_amd64.deb' zlib1g_1%3a1.2.13_amd64.deb 86684 SHA256:ef
W: a warning
"""


def a_package(*members: tuple[str, bytes | str]) -> bytes:
    """Return the tar inside a package: bytes are files, a text is where a link leads."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        for name, content in members:
            entry = tarfile.TarInfo(f"./{name}")
            if isinstance(content, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, content
                tar.addfile(entry)
            else:
                entry.size, entry.mode = len(content), 0o755
                tar.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """Stand in for dpkg-deb, which only Debian has."""
    contents: dict[str, bytes] = {}
    monkeypatch.setattr(rootfs, "run", lambda argv: contents[str(argv[-1])])
    return contents


def files(folder: Path) -> set[str]:
    found = (p for p in folder.rglob("*") if p.is_file() or p.is_symlink())
    return {str(p.relative_to(folder)) for p in found}


def test_the_closure_is_sorted_and_without_what_only_scripts_use() -> None:
    assert rootfs.parse_closure(SIMULATION) == [
        rootfs.Package("libc6", "libc6_2.36-9_amd64.deb"),
        rootfs.Package("zlib1g", "zlib1g_1%3a1.2.13_amd64.deb"),
    ]


def test_old_places_lead_into_usr(tmp_path: Path, packages: dict[str, bytes]) -> None:
    packages["libc6"] = a_package(("lib/x86_64-linux-gnu/libc.so.6", b"c"), ("bin/sh", b"s"))
    packages["other"] = a_package(("usr/lib/x86_64-linux-gnu/libz.so.1", b"z"))
    rootfs.unpack([Path("libc6"), Path("other")], tmp_path)
    assert (tmp_path / "lib").readlink() == Path("usr/lib")
    libraries = tmp_path / "usr/lib/x86_64-linux-gnu"
    assert {p.name for p in libraries.iterdir()} == {"libc.so.6", "libz.so.1"}
    assert (tmp_path / "usr/bin/sh").read_bytes() == b"s"


def test_what_no_program_reads_is_dropped(tmp_path: Path, packages: dict[str, bytes]) -> None:
    packages["p"] = a_package(
        ("usr/share/doc/p/copyright", b""),
        ("usr/share/man/man1/p.1.gz", b""),
        ("usr/share/locale/de/LC_MESSAGES/p.mo", b""),
        ("usr/lib/x86_64-linux-gnu/gconv/IBM037.so", b""),
        ("usr/share/docking", b""),
        ("usr/bin/p", b""),
    )
    rootfs.unpack([Path("p")], tmp_path)
    links = {"bin", "lib", "lib64", "sbin"}
    assert files(tmp_path) - links == {"usr/share/docking", "usr/bin/p"}


def test_an_absolute_link_is_kept_as_it_is(tmp_path: Path, packages: dict[str, bytes]) -> None:
    packages["libc6"] = a_package(("lib64/ld-linux-x86-64.so.2", "/lib/x86_64-linux-gnu/ld.so"))
    rootfs.unpack([Path("libc6")], tmp_path)
    link = tmp_path / "usr/lib64/ld-linux-x86-64.so.2"
    assert link.readlink() == Path("/lib/x86_64-linux-gnu/ld.so")


def test_which_python_it_is(tmp_path: Path) -> None:
    (tmp_path / "usr/bin").mkdir(parents=True)
    (tmp_path / "usr/bin/python3").symlink_to("python3.13")
    assert rootfs.Rootfs(tmp_path).python == "python3.13"


def test_no_package_lists(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: object) -> bytes:
        raise command.CommandError("E: Unable to locate package python3")

    monkeypatch.setattr(rootfs, "run", fail)
    with pytest.raises(rootfs.RootfsError, match="try: apt-get update\nE: Unable to locate"):
        rootfs.ensure(tmp_path)
