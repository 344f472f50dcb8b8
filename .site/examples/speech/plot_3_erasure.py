"""Taking the speaker out of any features
======================================

Features of a pretrained encoder hold who speaks as well as what is said. `SpeakerErasure
<repkit.speech.SpeakerErasure>` takes the speaker out by a linear map that is found in one go. It
works on features of any origin. Here they are log-mel statistics of made words.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.signal import stft

from repkit.datasets import make_speech
from repkit.metrics import mean_std, probe_report
from repkit.speech import SpeakerErasure, SpeakerScaler

# %%
# Vectors of 80 numbers: mean and deviation of each band over a recording.


def bands(wave, n=40):
    """Logarithms of the energy in bands that widen with the frequency, one row a frame."""
    power = np.abs(stft(wave, 8000, nperseg=200, noverlap=120, nfft=512)[2].T) ** 2
    edges = np.unique(np.geomspace(2, power.shape[1], n + 1).astype(int))
    return np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)


speech = make_speech(n_speakers=8, n_words=8, n_takes=8, random_state=0)
features = mean_std([bands(wave) for wave in speech.data])
train = speech.take >= 2

# %%
# ``subspace`` needs the speakers at fit. ``leace`` makes the least change after which no linear
# probe reads the speakers of ``fit``. At use neither needs a label. `SpeakerScaler
# <repkit.speech.SpeakerScaler>` has to know which rows are of one person, of whom ``fit`` need not
# have heard. There are 64 rows of each here, enough to trust them alone.

found = {"as they are": features}
for method in ("subspace", "leace"):
    eraser = SpeakerErasure(method).fit(features[train], speech.speaker[train])
    found[method] = eraser.transform(features)
scaler = SpeakerScaler(relevance=0.0).fit(features[train], speaker=speech.speaker[train])
found["by speaker"] = scaler.transform(features, speaker=speech.speaker)


def judge(vectors):
    """What probes still read: the speaker should fall, the word should stay."""
    rows = {"word": speech.word, "speaker": speech.speaker}
    return {
        f"{name}, {kind}": probe_report(
            vectors[train], labels[train], vectors[~train], labels[~train]
        )[kind]
        for name, labels in rows.items()
        for kind in ("linear", "mlp")
    }


table = pd.DataFrame({name: judge(vectors) for name, vectors in found.items()})
print(table.round(3).to_string())

# %%
ax = table.plot.bar(rot=0, figsize=(8, 3.8))
ax.axhline(1 / 8, color="0.4", lw=1, ls=":")
ax.set(ylabel="accuracy of a probe", ylim=(0, 1.05), title="dotted: chance")
ax.legend(ncols=4, loc="upper center", bbox_to_anchor=(0.5, -0.1), frameon=False)
plt.tight_layout()

# %%
# **What to take from it.** A linear map deceives linear probes. An MLP still finds some of the
# speaker: measure it, and say which probe you used.
