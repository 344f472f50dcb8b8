"""Make the picture of the README from those of the examples, after the site was built.

``python .site/picture.py`` writes ``.site/_static/readme.png``.
"""

from __future__ import annotations

from pathlib import Path

from PIL import Image

HERE = Path(__file__).parent
PARTS = (
    "adaptation/images/sphx_glr_plot_1_moons_001.png",
    "images/images/sphx_glr_plot_5_triplegan_001.png",
    "speech/images/sphx_glr_plot_1_words_and_voices_001.png",
)
HEIGHT, GAP, COLORS = 300, 16, 128


def picture() -> Image.Image:
    """The parts side by side, in few colors, so that the file is small."""
    parts = [Image.open(HERE / "gallery" / part).convert("RGB") for part in PARTS]
    parts = [part.resize((part.width * HEIGHT // part.height, HEIGHT)) for part in parts]
    whole = Image.new("RGB", (sum(part.width + GAP for part in parts) - GAP, HEIGHT), "white")
    left = 0
    for part in parts:
        whole.paste(part, (left, 0))
        left += part.width + GAP
    return whole.quantize(COLORS)


if __name__ == "__main__":
    picture().save(HERE / "_static" / "readme.png", optimize=True)
