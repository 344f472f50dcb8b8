"""Without a network: clusters of frames, and another voice
========================================================

Two things need no training of an encoder, and ask only which recordings are whose.
`FramePosteriors <repkit.speech.FramePosteriors>` turns frames into probabilities of clusters that
are alike across speakers, `match_voice <repkit.speech.match_voice>` says words in another voice.
"""

import matplotlib.pyplot as plt
import numpy as np

from repkit.audio import FrontEnd, as_utterances, extract
from repkit.datasets import make_speech
from repkit.metrics import abx_error
from repkit.speech import FramePosteriors, match_voice

speech = make_speech(n_speakers=12, n_words=10, n_takes=4, random_state=0)
sound = as_utterances(speech.data, sample_rate=8000)
mfcc = extract(sound, FrontEnd("mfcc", sample_rate=8000, n_mels=20)).frames
train = np.flatnonzero(speech.speaker < 8)  # four others are to be compared
test = np.flatnonzero(speech.speaker >= 8)

model = FramePosteriors(32, random_state=0)
model.fit([mfcc[k] for k in train], speaker=speech.speaker[train])
found = model.transform([mfcc[k] for k in test], speaker=speech.speaker[test])

# %%
# The middle of a word as one vector: the error of telling same words from others, across speakers
# of whom the clusters know nothing. Probabilities are compared by the square roots of their means.


def middle(x):
    return x[len(x) // 4 : max(1, 3 * len(x) // 4)].mean(0)


before = np.stack([middle(mfcc[k]) for k in test])
after = np.sqrt([middle(x) for x in found])
for name, vectors in (("MFCC", before - before.mean(0)), ("posteriors", after)):
    error = abx_error(vectors, speech.word[test], speech.speaker[test], mode="across")["error"]
    print(f"{name}: {error:.3f}")

# %%
# Two people say the same word; darker is more probable. Clusters of the last round.

same = [k for k in range(len(test)) if speech.word[test[k]] == 3 and speech.take[test[k]] == 0]
fig, axes = plt.subplots(1, 2, figsize=(9, 3.6), sharey=True, layout="constrained")
for ax, k in zip(axes, same[:2], strict=True):
    ax.imshow(found[k][:, -32:].T, aspect="auto", origin="lower", cmap="Greys")
    ax.set(title=f"speaker {speech.speaker[test[k]]}", xlabel="frame of 10 ms")
axes[0].set_ylabel("cluster")

# %%
# The word of one in the voice of the other, from log-mel frames of other words.
# `to_waveform <repkit.audio.to_waveform>` makes them sound.

logmel = extract(sound, FrontEnd(sample_rate=8000)).frames
row, voice = test[same[0]], speech.speaker[test[same[1]]]
(said,) = match_voice(
    logmel[row],
    [logmel[k] for k in np.flatnonzero((speech.speaker == voice) & (speech.word != 3))],
    source=[logmel[k] for k in np.flatnonzero(speech.speaker == speech.speaker[row])],
)
fig, axes = plt.subplots(1, 3, figsize=(9, 3), sharey=True, layout="constrained")
pictures = {
    "as it was said": logmel[row],
    "converted": said,
    "the voice itself": logmel[test[same[1]]],
}
for ax, (title, x) in zip(axes, pictures.items(), strict=True):
    ax.imshow(x.T, aspect="auto", origin="lower")
    ax.set(title=title, xlabel="frame of 10 ms")
axes[0].set_ylabel("mel band")
