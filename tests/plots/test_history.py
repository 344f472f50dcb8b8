"""`HistoryDisplay`: which columns are drawn, where and how."""

import numpy as np
import pandas as pd
import pytest
from sklearn.exceptions import NotFittedError

from repkit import DANN, BiGAN, HistoryDisplay
from repkit.datasets import make_domains

EPOCHS = np.arange(1, 5)


def history(**columns):
    return pd.DataFrame({"epoch": EPOCHS, "step": 10 * EPOCHS, "seconds": 0.1 * EPOCHS, **columns})


def rising(start=0.1):
    return start + 0.1 * EPOCHS


def lines(display):
    """For each panel, the lines with a name."""
    return {
        axes.get_title(): {
            line.get_label(): line for line in axes.get_lines() if line.get_label()[0] != "_"
        }
        for axes in display.ax_
    }


def test_history_of_a_dann(plt):
    data = make_domains(n_samples=60, random_state=0)
    model = DANN(max_epochs=8, width=2, select="infomax", random_state=0)
    model.fit(data.X, data.y, sample_domain=data.sample_domain)
    display = HistoryDisplay.from_estimator(model)
    drawn = lines(display)
    assert {title: list(names) for title, names in drawn.items()} == {
        "losses": ["loss of net", "label loss", "domain loss"],
        "adversary": ["accuracy of D on domains", "chance", "weight of the adversary"],
        "label-free scores, scaled to [0, 1]": [
            "minus entropy",
            "mutual information",
            "soft neighborhood density",
            "nuclear norm",
            "norm of the logits",
        ],
    }
    accuracy = drawn["adversary"]["accuracy of D on domains"].get_ydata()
    np.testing.assert_array_equal(accuracy, model.history_["domain_accuracy"])
    score = drawn["label-free scores, scaled to [0, 1]"]["mutual information"].get_ydata()
    assert (score.min(), score.max()) == (0.0, 1.0)
    marked = [line for line in display.ax_[0].get_lines() if line.get_label()[0] == "_"]
    assert [line.get_xdata()[0] for line in marked] == [model.selected_epoch_]


def test_history_of_a_bigan(plt):
    rows = history(
        loss_D=rising(),
        loss_GE=rising(1),
        adversarial_loss=rising(1),
        d_real=rising(),
        d_fake=rising(),
        reconstruction_ratio=[0.9, 0.8, 0.7, 0.6],
    )
    display = HistoryDisplay(rows).plot()
    drawn = lines(display)
    assert {title: list(names) for title, names in drawn.items()} == {
        "losses": ["loss of D", "loss of GE"],  # the third is the second
        "share that D calls real": ["real"],
        "reconstruction ratio": ["reconstruction ratio"],
    }
    low, high = display.ax_[2].get_ylim()
    assert low < 0.0  # the whole range of the ratio, and the line of 1 within
    assert high > 1.0
    reference = [line for line in display.ax_[2].get_lines() if line.get_label()[0] == "_"]
    assert [list(line.get_ydata()) for line in reference] == [[1.0, 1.0]]


def test_history_of_an_infogan_names_the_codes_alike(plt):
    codes = ("category0", "continuous0", "continuous1")
    columns = {f"{k}_{code}": rising(i + j) for i, code in enumerate(codes) for j, k in
               enumerate(("information", "accuracy"))}  # fmt: skip
    rows = history(
        loss_D=rising(),
        information_loss=rising(2),
        usage_category0=rising(),
        score=rising(3),
        **columns,
    )
    drawn = lines(HistoryDisplay(rows).plot())
    assert list(drawn) == [
        "losses",
        "information of codes, nats",
        "accuracy of codes",
        "usage of categories",
        "label-free scores",
    ]
    assert list(drawn["losses"]) == ["loss of D", "information loss"]
    information, accuracy = drawn["information of codes, nats"], drawn["accuracy of codes"]
    assert tuple(information) == tuple(accuracy) == ("category 0", "continuous 0", "continuous 1")
    for code, column in zip(information, codes, strict=True):
        assert information[code].get_color() == accuracy[code].get_color()
        np.testing.assert_array_equal(accuracy[code].get_ydata(), rows[f"accuracy_{column}"])
    # one score alone keeps its values
    np.testing.assert_array_equal(drawn["label-free scores"]["score"].get_ydata(), rows["score"])


def test_a_real_history_has_its_panels(plt):
    X = np.random.default_rng(0).random((40, 3, 2))
    model = BiGAN(latent_dim=2, width=4, max_epochs=2, random_state=0)
    with pytest.warns(UserWarning, match="not linked"):
        model.fit(X)
    drawn = lines(HistoryDisplay.from_estimator(model))
    assert list(drawn) == ["losses", "share that D calls real", "reconstruction ratio"]


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        ([10.0, 1.0, 0.1, 0.01], "log"),
        ([1.0, 0.5, 0.4, 0.3], "linear"),
        ([10.0, 1.0, 0.1, -0.01], "linear"),
        ([10.0, np.nan, 0.1, 0.01], "log"),
    ],
)
def test_losses_are_drawn_on_a_logarithmic_scale_where_it_helps(plt, values, scale):
    display = HistoryDisplay(history(loss_D=values, accuracy_c=values)).plot()
    assert [axes.get_yscale() for axes in display.ax_] == [scale, "linear"]


def test_a_column_with_gaps_is_one_line(plt):
    rows = history(loss_D=rising(), r1=[np.nan, 0.2, np.nan, 0.3], failed_term=["", "", "", "D"])
    drawn = lines(HistoryDisplay(rows).plot())["losses"]
    assert list(drawn) == ["loss of D", "R1 penalty"]
    np.testing.assert_array_equal(drawn["R1 penalty"].get_xdata(), [2, 4])
    np.testing.assert_array_equal(drawn["R1 penalty"].get_ydata(), [0.2, 0.3])


def test_a_single_epoch_can_be_seen(plt):
    display = HistoryDisplay(pd.DataFrame({"epoch": [1], "label_loss": [2.0]})).plot()
    assert display.ax_[0].get_lines()[0].get_marker() == "o"


def test_many_names_stand_beside_the_lines_and_none_looks_like_another(plt):
    rows = history(**{f"accuracy_continuous{k}": rising(k) for k in range(15)})
    display = HistoryDisplay(rows).plot()
    display.figure_.canvas.draw()
    axes = display.ax_[0]
    assert axes.get_legend().get_window_extent().x0 >= axes.get_window_extent().x1
    styles = [(line.get_color(), line.get_linestyle()) for line in axes.get_lines()]
    assert len(set(styles)) == 15


def test_history_leaves_out_what_is_not_there(plt):
    rows = pd.DataFrame({"epoch": [1, 2], "label_loss": [2.0, 1.0], "d_real": [np.nan] * 2})
    assert list(lines(HistoryDisplay(rows).plot())) == ["losses"]


def test_panels_of_ones_own(plt):
    rows = history(my_a=rising(), my_b=rising(1), score=rising(2), loss_D=rising(3))
    figure, axes = plt.subplots(1, 2)
    display = HistoryDisplay(rows, panels={"mine": ["my_*", "score"], "time": ["seconds"]})
    display.plot(ax=axes)
    assert {title: list(names) for title, names in lines(display).items()} == {
        "mine": ["my_a", "my_b", "score"],
        "time": ["seconds"],
    }
    assert display.figure_ is figure


def test_history_refuses(plt):
    with pytest.raises(ValueError, match=r"history, \['epoch', 'step', 'seconds'\]: pass panels="):
        HistoryDisplay(history()).plot()
    with pytest.raises(ValueError, match="ax must hold 2 Axes, one for each panel"):
        HistoryDisplay(history(loss_D=rising(), d_real=rising())).plot(ax=plt.figure().subplots())
    with pytest.raises(NotFittedError):
        HistoryDisplay.from_estimator(BiGAN())


def test_the_accuracy_of_the_speech_adversary_is_drawn(plt):
    accuracies = {"d_accuracy": rising(), "frame_d_accuracy": rising(0.5)}
    rows = history(loss_D=rising(), **accuracies, lam=rising(0.3))
    drawn = lines(HistoryDisplay(rows).plot())["adversary"]
    assert list(drawn) == ["accuracy of D", "accuracy of D on frames", "weight of the adversary"]
    np.testing.assert_array_equal(drawn["accuracy of D"].get_ydata(), rows["d_accuracy"])


def test_forty_lines_look_different(plt):
    rows = history(**{f"accuracy_continuous{k}": rising(k) for k in range(40)})
    drawn = HistoryDisplay(rows).plot().ax_[0].get_lines()
    assert len({(line.get_color(), line.get_linestyle()) for line in drawn}) == 40
