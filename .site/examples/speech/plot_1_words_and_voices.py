"""Words apart from voices
=======================

Six invented speakers say eight words. `SpeechAutoencoder` is told who speaks, and never what is
said. It gives two vectors for each recording: one for what was said, and one for who said it.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.manifold import TSNE

from repkit import SpectrogramDisplay, SpeechAutoencoder, SpeechVectorsDisplay
from repkit.datasets import make_speech
from repkit.metrics import disentanglement_report

speech = make_speech(n_speakers=6, n_words=8, n_takes=6, random_state=0)
test = speech.take == 0
model = SpeechAutoencoder(
    sample_rate=8000, adversary=None, max_epochs=7, steps_per_epoch=15, random_state=0
)
model.fit([speech.data[k] for k in np.flatnonzero(~test)], speech.speaker[~test])
phonetic = model.transform_phonetic(speech.data)
voice = model.transform_speaker(speech.data)

# %%
# How well a linear probe reads the word and an MLP the speaker from each vector, beside
# chance. ``ap_across`` says whether recordings of
# one word by *different* speakers are the nearest ones.

report = disentanglement_report(phonetic, voice, speech.word, speech.speaker, test)
print(report.loc[["phonetic", "speaker", "chance"], ["word_linear", "speaker_mlp", "ap_across"]])

# %%
# The vectors in the plane. They are compared by their angle, so the map is made from angles, too.


def plane(vectors):
    """A map that keeps neighbors."""
    return TSNE(metric="cosine", init="random", random_state=0).fit_transform(vectors)


SpeechVectorsDisplay(
    {"phonetic vector": plane(phonetic), "speaker vector": plane(voice)},
    {"word": speech.word, "speaker": speech.speaker},
).plot()

# %%
# The words of one recording in the voice of another speaker.

word, other = speech.data[0], speech.data[-1]
SpectrogramDisplay(
    {
        "a recording": model.reconstruct([word])[0],
        "its words, another voice": model.convert([word], [other])[0],
        "the other speaker": model.reconstruct([other])[0],
    }
).plot()
plt.show()
