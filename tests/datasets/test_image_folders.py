"""Folders of images of a user: classes, sizes, colors, and files that cannot be read."""

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

from repkit.datasets import load_image_folder

RNG = np.random.default_rng(0)


def save(path, shape=(6, 4), **more):
    path.parent.mkdir(parents=True, exist_ok=True)
    array = RNG.integers(0, 256, shape).astype(np.uint8)
    Image.fromarray(array).save(path, **more)
    return array


def test_a_flat_folder(tmp_path):
    arrays = [save(tmp_path / f"{name}.png") for name in "ab"]
    save(tmp_path / ".hidden.png")
    save(tmp_path / ".cache" / "c.png")
    (tmp_path / "notes.txt").write_text("no image")
    found = load_image_folder(tmp_path)
    np.testing.assert_array_equal(found.data, arrays)
    assert found.data.dtype == np.uint8
    assert (found.target, found.target_names, found.skipped) == (None, (), [])
    assert found.paths == [str(tmp_path / "a.png"), str(tmp_path / "b.png")]


def test_sub_folders_are_classes(tmp_path):
    for name in ("top", "cat/1", "cat/deep/2", "dog/3"):
        save(tmp_path / f"{name}.png")
    found = load_image_folder(tmp_path)
    assert found.target.tolist() == ["cat", "cat", "dog", "-1"]
    assert found.target_names == ("cat", "dog")


def test_colors_are_kept_where_there_are_any(tmp_path):
    gray = save(tmp_path / "a.png")
    color = save(tmp_path / "b.png", (6, 4, 3))
    found = load_image_folder(tmp_path)
    np.testing.assert_array_equal(found.data[0], np.stack([gray] * 3))
    np.testing.assert_array_equal(found.data[1], color.transpose(2, 0, 1))
    assert load_image_folder(tmp_path, color=False).data.shape == (2, 6, 4)


def test_sizes(tmp_path):
    save(tmp_path / "a.png")
    save(tmp_path / "b.png", (8, 8))
    with pytest.raises(ValueError, match=r"a.png has 6x4 pixels and .*b.png has 8x8; give size=6"):
        load_image_folder(tmp_path)
    assert load_image_folder(tmp_path, 5).data.shape == (2, 5, 5)
    assert load_image_folder(tmp_path, (5, 7)).data.shape == (2, 5, 7)
    flat = tmp_path / "flat"
    flat.mkdir()
    Image.new("L", (9, 9), 77).save(flat / "a.png")
    assert (load_image_folder(flat, 4).data == 77).all()
    for size in (0, (3,), "8", (3, -1), 2.5):
        with pytest.raises((TypeError, ValueError), match="size"):
            load_image_folder(tmp_path, size)


def test_files_that_cannot_be_used(tmp_path):
    save(tmp_path / "good.png")
    (tmp_path / "text.jpg").write_text("no image")
    whole = tmp_path / "torn.png"
    save(whole, (64, 64))
    whole.write_bytes(whole.read_bytes()[:300])
    Image.fromarray(np.zeros((6, 4), dtype=np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"deep.png cannot be used: it has more than 8 bits"):
        load_image_folder(tmp_path)
    found = load_image_folder(tmp_path, on_error="skip")
    assert len(found.data) == 1
    reasons = {path.rpartition("/")[2]: reason for path, reason in found.skipped}
    assert set(reasons) == {"deep.png", "text.jpg", "torn.png"}
    assert reasons["text.jpg"] == "it is not an image"
    (tmp_path / "good.png").unlink()
    with pytest.raises(ValueError, match="none of 3 images can be used"):
        load_image_folder(tmp_path, on_error="skip")


def test_photographs_stand_upright(tmp_path):
    turned = Image.Exif()
    turned[274] = 6  # a quarter turn
    save(tmp_path / "a.jpg", (6, 4), exif=turned)
    assert load_image_folder(tmp_path).data.shape == (1, 4, 6)


def test_folders(tmp_path):
    with pytest.raises(NotADirectoryError, match="path must be a folder"):
        load_image_folder(tmp_path / "no")
    with pytest.raises(ValueError, match="has no image file"):
        load_image_folder(tmp_path)
    save(tmp_path / "real" / "a.png")
    (tmp_path / "all").mkdir()
    for link, to in (("all/x", "real"), ("real/back", "all")):
        (tmp_path / link).symlink_to(tmp_path / to)
    assert load_image_folder(tmp_path / "all").paths == [str(tmp_path / "all" / "x" / "a.png")]
