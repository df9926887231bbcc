from pathlib import Path

import pytest

from hack.cluster import layers
from hack.cluster.image import Layer, Tree


def test_a_key_depends_on_every_part(tmp_path: Path) -> None:
    for name, text in (("a", "1"), ("b", "2"), ("c", "1")):
        (tmp_path / name).write_text(text)
    a, b, c = layers.content([tmp_path / "a", tmp_path / "b", tmp_path / "c"])
    assert a == c != b
    assert len({layers.key(parts) for parts in ([a, b], [b, a], [a], [a + b])}) == 4


def test_files_and_folders_are_removed(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "file").touch()
    (tmp_path / "file").touch()
    layers.remove(tmp_path.iterdir())
    assert list(tmp_path.iterdir()) == []


def test_a_layer_is_built_once_for_each_key(tmp_path: Path) -> None:
    built: list[str] = []

    def layer(key: str) -> Layer:
        def tree(work: Path) -> Tree:
            assert work.is_dir()
            built.append(key)
            return {"a": key.encode()}

        return layers.ensure(tmp_path, "code", key, tree)

    first = layer("one")
    assert layer("one") == first
    second = layer("two")
    assert second.digest != first.digest
    assert built == ["one", "two"]
    # Layers of other keys would only fill the disk.
    assert list(tmp_path.iterdir()) == [second.path]


def test_a_layer_that_fails_leaves_nothing(tmp_path: Path) -> None:
    def tree(work: Path) -> Tree:
        (work / "half").touch()
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        layers.ensure(tmp_path, "code", "key", tree)
    assert list(tmp_path.iterdir()) == []
