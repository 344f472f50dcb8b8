"""Your own folder of images
=========================

A folder with a sub-folder for each class, images of any size, and from there to features in a
table. Here the folder is made from scikit-learn's digits; put your own in its place.
"""

import tempfile
from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from repkit import VAE, EmbeddingDisplay
from repkit.datasets import load_image_folder

folder = Path(tempfile.mkdtemp(), "digits")
digits = load_digits()
for k, (image, name) in enumerate(zip(digits.images, digits.target, strict=True)):
    path = folder / f"digit-{name}" / f"{k:04d}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray((image * 15.9).astype(np.uint8)).save(path)

# %%
# ``size`` brings all images to one size. The order is that of the sorted paths.

images = load_image_folder(folder, size=16)
paths = [Path(path).relative_to(folder).as_posix() for path in images.paths]
print(images.data.shape, images.data.dtype, paths[0])

# %%
# Colors and sizes may differ from file to file; ``on_error="skip"`` leaves out what cannot be read.
# uint8 images stay bytes until they are on the device.

model = VAE(latent_dim=16, width=128, max_epochs=8, random_state=0).fit(images.data)
features = model.set_output(transform="pandas").transform(images.data)
features.insert(0, "path", paths)
features.to_csv(folder.parent / "features.csv", index=False)
print(features.iloc[:3, :5].round(2).to_string())

# %%
# The features in the plane, by sub-folder. No label was used.

points = PCA(2, random_state=0).fit_transform(features.iloc[:, 1:])
EmbeddingDisplay(points, images.target).plot()
