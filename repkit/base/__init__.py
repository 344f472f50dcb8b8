"""What all estimators share. One word, one idea: all constructor parameters, with their defaults.

A parameter that takes a part (see `parameters.Part`) also takes the value of the part's first
field. Where a default differs from class to class, the classes are named. What is said of DANN
holds for DANNRegressor, too, which has no class_weight, conditional, consistency and entropy. Sizes
have upper bounds, by which an absurd one is refused before memory or time is taken: 10,000 units of
a layer or a code, 100,000 rows in a step, a million epochs, or steps in one.

In every class
--------------
batch_size : 64 in DANN, VAE, VAEGAN; 128 in BiGAN, InfoGAN; (32, 128) in TripleGAN; (6, 12) in
        Speech
    Rows in a step; labeled and unlabeled ones; speakers and utterances of each.
callbacks : None
    Called after every epoch with its row of ``history_`` as a dict.
checkpoint : None
    A folder for checkpoints, from which a later fit of the same data and parameters, or with a
    larger ``max_epochs``, goes on.
compile : False
    Whether to compile the networks with ``torch.compile``, which takes seconds to minutes in the
    first steps. On a CPU it has never paid: steps of compiled networks are not recorded there, and
    before any were, on one thread, steps of convolutions took as long as without, and those of
    small fully connected networks twice as long. On a GPU what is compiled is recorded in the CUDA
    graph: a step was 1.09 to 1.25 times as quick for small networks, .89 to 1.17 times for
    convolutions on images of 64 pixels. Penalties of a slope (``r1``, the critic of
    "wasserstein") take the networks as they are, for what is compiled has no second derivative.
device : 'auto'
    Where to train.
learning_rate : 0.001 in DANN, VAE, VAEGAN; 0.0005 in BiGAN; None in InfoGAN, TripleGAN; 0.002 in
        Speech
    Learning rate.
learning_rate_schedule : 'constant' in DANN, InfoGAN; 'half' in BiGAN; 'cosine' in VAE, VAEGAN,
        TripleGAN, Speech
    Factor of the learning rate, as a function of the progress p from 0 to 1.
max_epochs : 50 in DANN, BiGAN, InfoGAN, VAE, VAEGAN, TripleGAN; 32 in Speech
    Length of the training.
optimizer : 'adam' in DANN, VAE; Optimizer(...) in BiGAN, InfoGAN, VAEGAN, TripleGAN, Speech
    How gradients become steps.
precision : 'auto'
    Precision of the training.
random_state : None
    Seed of everything random.
steps_per_epoch : None
    Steps in an epoch.
verbose : 0
    Above 0, a bar is shown on a terminal or in a notebook, and elsewhere a line an epoch, which
    goes to the logger "repkit" if somebody listens to it.
warm_start : False
    Whether to start from the networks of the fit before.
width : 128 in DANN; 1024 in InfoGAN; 512 in BiGAN, VAE, VAEGAN; 256 in TripleGAN; 96 in Speech
    Width of the networks that are given by name: of fully connected layers, of the features
    of DANN.

In several
----------
augment : None (DANN, BiGAN, InfoGAN, VAE, VAEGAN, TripleGAN)
    Maps a float batch to one of the same shape, while training.
beta : 1.0 (VAE, VAEGAN)
    Weight of the divergence.
class_weight : None (DANN, TripleGAN)
    Weights of the classes in the label loss, by label.
consistency : 0.0 in DANN; 1.0 in TripleGAN
    Weight of the pseudo-labels of the averaged network.
data_range : None (BiGAN, InfoGAN, VAE, VAEGAN, TripleGAN)
    Range of X, which is mapped to [0, 1] for the networks.
discriminator : 'auto' (BiGAN, InfoGAN, VAEGAN, TripleGAN)
    The network that plays against the generator, its loss and its penalty.
discriminator_norm : 'batch' in InfoGAN; 'spectral' in VAEGAN
    How the discriminator is normalized.
ema : 0.0 in DANN, InfoGAN, VAE, VAEGAN; 0.99 in BiGAN, TripleGAN
    Decay of the averaged weights, from 0 to below 1.
encoder : 'auto' in BiGAN, VAE, VAEGAN; 'conv' in Speech
    The network that reads a sample, up to a last linear layer.
entropy : 0.0 in DANN; 0.3 in TripleGAN
    Weight of certain predictions for unlabeled rows.
generator : 'auto' (BiGAN, InfoGAN, VAE, VAEGAN, TripleGAN)
    G without its last sigmoid.
latent_dim : 50 in BiGAN; 62 in InfoGAN; 32 in VAE, VAEGAN; 64 in TripleGAN
    Length of z: of a code, of the noise beside InfoGAN's codes or Triple-GAN's class.
output : 'latent' in BiGAN; 'both' in Speech
    What `transform` gives.
recalibrate : False in BiGAN, VAE, VAEGAN; True in InfoGAN
    Whether to take the running statistics of batch norm anew at the end: those of the encoder
    over X, those of the generator over the prior.
strong_augment : None (DANN, InfoGAN, TripleGAN)
    The stronger of two views.
updates : 'joint' in DANN; 'alternating' in InfoGAN
    Order in which the networks step.
validation_fraction : 0.05 (BiGAN, InfoGAN, VAE, VAEGAN)
    Share of the rows that is held back from training.

In DANN alone
-------------
backbone : 'auto'
    F, the feature extractor.
conditional : False
    Whether D reads the multilinear map of features and predicted probabilities (CDAN).
divergence : 'adversarial'
    What pulls the features of the domains together, with the weight lam: a domain classifier, a
    distance, a critic, a second label predictor, or nothing.
domain_norm : 'shared'
    Whether batch norm in the backbone has one set of statistics, or one for each domain.
heads : None
    C and D, from feature rows to logits.
lam : 'ramp'
    Weight of the divergence in F: the ramp of Ganin et al. 2016, a constant, or a function of
    progress.
select : None
    Keep the epoch with the greatest label-free score; the part also has the share of source rows
    that is held back for a scorer.
target_labels : False
    Whether to use the labels of target rows that have one (-1, None and NaN are none).

In BiGAN alone
--------------
data_cycle : 10.0
    Weight of ``|x - G(E(x))|^2`` in G and E (ALICE, Li et al. 2017).
latent_cycle : 0.0
    Weight of ``|z - E(G(z))|^2`` in E.
prior : 'uniform'
    Law of z: uniform on [-1, 1], or N(0, 1).
stochastic : False
    Whether E gives a mean and a variance, and z is drawn from them (ALI).
unary : False
    Whether D also judges x and z alone (BigBiGAN, Donahue and Simonyan 2019).

In InfoGAN alone
----------------
categorical : (10,)
    Number of values of each categorical code.
continuous : 2
    Number of continuous codes.
n_init : 1
    Whole trainings from different seeds.

In VAE alone
------------
likelihood : 'bernoulli'
    Law of a pixel, brought into [0, 1].

In VAEGAN alone
---------------
balanced_steps : False
    The rule of the authors' code: D does not step while one of its two costs is below .33
    nats, nor G while one is above 1.03.
discriminator_kind : 'two_way'
    D tells real samples from fakes, generated and reconstructed ones alike.
gamma : 5.0
    Weight of the likelihood in the generator.
pixel : 0.0
    Weight of half the squared error of pixels beside the likelihood.

In TripleGAN alone
------------------
adversary_start : 0.3
    Progress, from 0 to 1, before which C heeds neither G nor D.
alpha : 0.5
    Share of the pairs that the classifier makes among the fakes of the discriminator.
balance : 0.1
    Weight of the cross-entropy of C's mean prediction against equal shares of the classes.
classifier : 'auto'
    Hidden part of C, from samples to feature rows.
pseudo_discriminative : 0.1
    Weight of C's cross-entropy on generated samples, the pseudo-discriminative loss.

In SpeechAutoencoder alone
--------------------------
adversary : 'classifier'
    What looks for the speaker in p, how much it weighs, and when.
erase : None
    What takes the speaker out of the phonetic vectors after training: "leace", "subspace" or
    "regression".
front_end : 'logmel'
    What frames of sound hold.
max_frames : 400
    Training sees random pieces of this length of longer utterances.
n_mels : 40
    Mel bands of a frame.
on_error : 'raise'
    "skip" leaves out utterances that are empty, silent, not finite or not readable, and lists
    them in ``skipped_``.
perturb : 1.0
    How much the phonetic encoder reads other voices and speeds (of MFCC and of ready frames:
    speeds), from 0, not at all, to 3.
phonetic_dim : 32
    Length of the phonetic vector p.
prototypes : (20, 40)
    Numbers of clusters, balanced within each speaker, that phonetic vectors are pulled to.
sample_rate : 16000
    Sample rate in Hz of arrays, and to which files are resampled.
speaker_dim : 16
    Components of the speaker vector s, whose length is 1.
speaker_loss : 1.0
    Weight of the loss of speaker vectors, and its margin.
swap : True
    Whether an utterance is rebuilt with the speaker vector of another utterance of its
    speaker, and what the decoder learns from conversions.
"""

__all__: list[str] = []  # its modules are imported by name
