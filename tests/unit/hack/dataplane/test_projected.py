from pathlib import Path

from hack.dataplane import projected


def shown(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.startswith("..")}


def test_files_are_links_into_one_folder(tmp_path: Path) -> None:
    projected.write(tmp_path / "core", {"ca.pem": b"ca", "tls.crt": b"cert"})
    assert shown(tmp_path / "core") == {"ca.pem": b"ca", "tls.crt": b"cert"}
    assert (tmp_path / "core" / "ca.pem").readlink() == Path("..data/ca.pem")
    assert (tmp_path / "core" / "..data").is_symlink()


def test_a_change_moves_the_folder_and_no_file(tmp_path: Path) -> None:
    projected.write(tmp_path, {"a": b"1", "b": b"1"})
    first = (tmp_path / "..data").resolve()
    link = (tmp_path / "a").lstat().st_ino
    with (first / "a").open("rb") as held:
        projected.write(tmp_path, {"a": b"2", "b": b"2"})
        assert held.read() == b"1"
    assert shown(tmp_path) == {"a": b"2", "b": b"2"}
    assert (tmp_path / "a").lstat().st_ino == link
    assert (tmp_path / "..data").resolve() != first
    assert not first.exists()


def test_what_is_no_longer_given_is_gone(tmp_path: Path) -> None:
    projected.write(tmp_path, {"a": b"1", "b": b"1"})
    projected.write(tmp_path, {"b": b"2", "c": b"2"})
    assert shown(tmp_path) == {"b": b"2", "c": b"2"}
