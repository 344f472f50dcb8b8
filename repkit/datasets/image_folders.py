"""Images of your own: a folder of files as one array."""

from __future__ import annotations

from pathlib import Path

from sklearn.utils import Bunch

from repkit._arguments import choice
from repkit._arguments import path as path_of
from repkit.datasets._images import find_images, height_and_width, read_images
from repkit.datasets._mapped import checked

__all__ = ["load_image_folder"]


def load_image_folder(
    path: str | Path,
    size: int | tuple[int, int] | None = None,
    *,
    color: bool | None = None,
    on_error: str = "raise",
    memory_map: str | Path | None = None,
) -> Bunch:
    """Load the images below a folder.

    Parameters
    ----------
    path : str or Path
        A folder of images, or of a sub-folder for each class. Hidden files and folders are left
        out, links to folders are followed.
    size : int or (int, int), optional
        Height and width to which images are resized, bilinearly; an int is both. By default, all
        images must be of one size.
    color : bool, optional
        Whether to read three channels. By default, where any image has colors.
    on_error : {"raise", "skip"}, default="raise"
        "skip" leaves out files that cannot be read, and lists them in ``skipped``.
    memory_map : str or Path, optional
        A ``.npy`` file to write, for a folder larger than memory. Files are read and written one
        after the other, and ``data`` is a memory map of the file, of which estimators read what a
        batch needs.

    Returns
    -------
    data : Bunch
        ``data`` uint8 (n, height, width), or (n, 3, height, width) in color, in the order of the
        paths; ``target``, the class of each image, str (n,): the name of the sub-folder in which
        it lies, where the paths first part; "-1", no label, for an image beside the sub-folders.
        ``target`` is None if there are no sub-folders. ``target_names``, a sorted tuple of the
        classes; ``paths``, a list of str; ``skipped``, a list of (path, reason).

    Raises
    ------
    NotADirectoryError
        If `path` is not a folder.
    ValueError
        If the folder holds no image, an image cannot be read or has more than 8 bits a pixel, or
        images differ in size and `size` is not given.
    ImportError
        If Pillow is missing: install the extra `data`.

    Notes
    -----
    Transparency is dropped, and photographs are turned as the camera says.
    """
    from repkit.audio.reading import folder_speakers  # loads torch

    folder = path_of(path, "path", "a folder")
    if not folder.is_dir():
        raise NotADirectoryError(f"path must be a folder, not {str(path)!r}")
    wanted = height_and_width(size)
    choice(color, "color", (None, False, True))
    choice(on_error, "on_error", ("raise", "skip"))
    files = find_images(folder)
    mapped = checked(memory_map)
    read = read_images(files, wanted, color, skip=on_error == "skip", memory_map=mapped)
    if read.data is None:
        first = read.skipped[0]
        raise ValueError(f"none of {len(files)} images can be used; {first[0]}: {first[1]}")
    target = folder_speakers(files)  # the same rule as of speech
    target = None if target is None else target[read.kept]
    return Bunch(
        data=read.data,
        target=target,
        target_names=() if target is None else tuple(sorted(set(target.tolist()) - {"-1"})),
        paths=[str(files[k]) for k in read.kept],
        skipped=[(str(file), reason) for file, reason in read.skipped],
    )
