"""The benchmark runner: rows as they are finished, none twice; and every case is runnable."""

import os
import re
import shlex
import subprocess
from contextlib import nullcontext
from importlib import import_module

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from benchmarks import (
    gains,
    gpu,
    outside,
    readme,
    runner,
    several,
    speech_arabic,
    spoken,
    steps,
    strokes,
)
from benchmarks.__main__ import COMMANDS, NAMES, main, parser
from benchmarks.autoencoders import Autoencoder
from benchmarks.runner import COLUMNS, OUT, RESULTS, Case, NoMatch, read, run_cases
from repkit import VAE, BiGAN, InfoGAN, TripleGAN, __version__
from repkit.datasets import make_sprites
from repkit.engine import replay
from repkit.speech import blend_source, match_moments


def go(path, cases, **options):
    options = {"preset": "cpu", "seeds": 3, "device": "cpu", "echo": lambda line: None, **options}
    return run_cases("toy", cases, out=path, **options)


def test_rows_are_written_skipped_and_redone(tmp_path):
    calls = []

    def run(seed):
        calls.append(seed)
        return {"accuracy": 0.5 + 0.1 * seed, ("a part", "accuracy"): 1.0}

    case = Case("task", "It's a System", "plain", run, {"accuracy": (0.7, "Somebody 2000")})
    rows = go(tmp_path, [case])
    assert list(read(tmp_path / "toy-cpu.csv").columns) == COLUMNS
    row = rows[rows.task == "task"].iloc[0]
    assert (row["mean"], row["std"], row["seeds"]) == (0.6, 0.1, 3)
    assert (row["published"], row["source"]) == ("0.7", "Somebody 2000")
    assert row["values"] == "0.5000 0.6000 0.7000"
    assert row["command"].endswith("--device cpu --only 'task/It'\"'\"'s a System/plain'")
    go(tmp_path, [case])
    assert calls == [0, 1, 2]
    go(tmp_path, [case], seeds=4)
    assert calls == [0, 1, 2, 0, 1, 2, 3]
    go(tmp_path, [case], redo=True)
    assert len(calls) == 10
    assert len(read(tmp_path / "toy-cpu.csv")) == 2


def test_a_failure_keeps_the_rows_before_it(tmp_path):
    def fail(seed):
        raise RuntimeError("out of memory")

    cases = [
        Case("task", "System", "good", lambda seed: {"accuracy": 1.0}),
        Case("task", "System", "bad", fail),
    ]
    with pytest.raises(RuntimeError, match="out of memory"):
        go(tmp_path, cases)
    assert list(read(tmp_path / "toy-cpu.csv").variant) == ["good"]
    assert len(go(tmp_path, cases, only="good")) == 1


def test_only_a_part_of_a_name_or_the_whole(tmp_path):
    calls = []
    cases = [
        Case("task", "System", name, lambda seed, name=name: calls.append(name) or {"a": 1.0})
        for name in ("joint", "joint + more", "other")
    ]
    go(tmp_path, cases, seeds=1, only="joint")
    assert calls == ["joint", "joint + more"]
    go(tmp_path, cases, seeds=1, only="task/System/joint", redo=True)
    assert calls == ["joint", "joint + more", "joint"]


def test_only_without_a_match_says_what_there_is(tmp_path, capsys):
    cases = [Case("task", "System", name, lambda seed: {"a": 1.0}) for name in ("one", "two")]
    with pytest.raises(NoMatch, match="'three'") as error:
        go(tmp_path, cases, only="three")
    assert "task/System/one\n  task/System/two" in str(error.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(SystemExit) as stopped:
        main(["digits_domains", "--only", "jont", "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert "  MNIST->USPS/DANN/joint\n" in capsys.readouterr().err


def test_rows_that_were_not_run_are_marked(tmp_path):
    cases = [Case("task", "System", name, lambda seed: {"a": 1.0}) for name in ("one", "two")]
    lines = []
    go(tmp_path, cases[:1], seeds=1, echo=lines.append)
    assert "earlier" not in "\n".join(lines)
    made = read(tmp_path / "toy-cpu.csv").commit[0]
    lines.clear()
    go(tmp_path, cases, seeds=1, echo=lines.append)
    assert any(line.startswith("1 of 2 cases stood in ") for line in lines)
    one, two = lines[-1].splitlines()[-2:]
    assert one.endswith(f"earlier ({made})")
    assert two.endswith("now")


def test_rows_have_the_commit_that_made_them(tmp_path, monkeypatch):
    def git(*arguments):
        name = ["-c", "user.name=a", "-c", "user.email=a@b"]
        done = subprocess.run(
            ["git", "-C", tmp_path, *name, *arguments], check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit():
        runner.commit.cache_clear()
        return runner.commit()

    results = tmp_path / "benchmarks" / "results"
    results.mkdir(parents=True)
    monkeypatch.setattr(runner, "RESULTS", results)
    try:
        assert commit() == __version__  # no repository
        git("init")
        assert commit() == __version__  # no commit
        (tmp_path / "a.py").write_text("")
        git("add", ".")
        git("commit", "-m", "a")
        clean = git("rev-parse", "--short=7", "HEAD")
        (results / "toy-cpu.csv").write_text("a row that was just made")
        assert commit() == clean
        (tmp_path / "a.py").write_text("changed")
        assert commit() == f"{clean}+"
        go(tmp_path / "out", [Case("task", "System", "", lambda seed: {"a": 1.0})])
        assert list(read(tmp_path / "out" / "toy-cpu.csv").commit) == [f"{clean}+"]
        monkeypatch.setattr(runner, "RESULTS", results / "copy" / "results")
        (results / "copy").mkdir()
        assert commit() == __version__  # inside another repository
    finally:
        runner.commit.cache_clear()


def test_by_default_nothing_is_written_beside_the_committed_results():
    assert parser().parse_args([]).out == OUT != RESULTS


def test_help_has_a_line_for_each_benchmark(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    lines = capsys.readouterr().out.splitlines()
    for name, about in COMMANDS.items():
        assert f"  {name:<18}{about}" in lines


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["nope"], "no benchmark 'nope'; there are quick,"), (["--seeds", "0"], "at least 1")],
)
def test_wrong_arguments_are_named(arguments, message, capsys):
    with pytest.raises(SystemExit):
        main(arguments)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("preset", ["cpu", "paper"])
def test_cases_are_distinct_and_need_no_data_to_be_listed(name, preset):
    cases = import_module(f"benchmarks.{name}").cases(preset, "cpu")
    assert len({case.name for case in cases}) == len(cases)


def test_the_paper_preset_trains(data_home):
    """Not run whole without a GPU: a few steps show that it can be."""
    digits, images = (import_module(f"benchmarks.{name}") for name in ("digits_domains", "images"))
    paper, rows = digits.settings_of("MNIST->USPS", "paper")
    few = {**paper, "max_epochs": 1, "steps_per_epoch": 2, "batch_size": 64}
    data = images.Data(*(v if v is None else v[:200] for v in digits.load("MNIST->USPS")))
    found = images.fit(lambda: data, rows["joint + augment + pseudo"], few, "cpu", 0)
    assert set(found) == {"accuracy_last", "accuracy_selected"}


FEW = {"max_epochs": 1, "steps_per_epoch": 1, "batch_size": 8}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_paper_presets_of_the_encoders_train():
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28)).astype(np.uint8)
    recipes = import_module("benchmarks.gan_recipes")
    assert BiGAN(**{**recipes.BIGAN_PAPER, **FEW}).fit(images).width == 1024
    assert InfoGAN(**{**recipes.INFOGAN_PAPER, **FEW}).fit(images).width == 1024
    sprites = {**recipes.SPRITES_PAPER, **FEW}
    sprites.pop("n_train", None)
    images = make_sprites(16, random_state=0).X
    assert InfoGAN(**sprites).fit(images).sample(2).shape == (2, 64, 64)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_paper_presets_of_the_generators_train():
    images = np.random.default_rng(0).integers(0, 256, (16, 1, 28, 28)).astype(np.uint8)
    settings = import_module("benchmarks.vaegan_mnist")
    for system, recipe in settings.SETTINGS["MNIST"].items():
        model = settings.SYSTEMS[system](**{**recipe, **settings.PAPER, **FEW})
        assert model.fit(images).width == 1024
    settings = import_module("benchmarks.triplegan_mnist")
    model = TripleGAN(**{**settings.MNIST, **settings.PAPER, **FEW, "batch_size": (4, 8)})
    assert model.fit(images, np.arange(16) % 3 - 1).width == 512


def test_few_labels_are_drawn_evenly_and_anew():
    few_labels = import_module("benchmarks.triplegan_mnist").few_labels
    _, y = few_labels("digits", 50, 0)
    assert np.bincount(y[y >= 0]).tolist() == [5] * 10
    assert (few_labels("digits", 50, 0)[1] == y).all()
    assert (few_labels("digits", 50, 1)[1] != y).any()


def test_auto_encoders_learn():
    digits = import_module("benchmarks.bigan_mnist").load("digits")[0]
    for beta in (None, 1.0):
        model = Autoencoder((1, 8, 8), "mlp", 8, 32, beta)
        before = np.square(model.reconstruct(digits) - digits).mean()
        model.fit(digits, steps=250, seed=0, device="cpu")
        assert np.square(model.reconstruct(digits) - digits).mean() < 0.7 * before
        assert model.hidden(digits).shape == (1400, 32)
        assert model.latent(digits).shape == (1400, 8)


def test_slant_and_width_of_strokes():
    rows, columns = np.indices((28, 28))
    for tangent in (-0.4, 0.0, 0.3):
        for thick in (2.0, 4.0):
            distance = np.abs(columns - 13.5 - tangent * (rows - 13.5))
            image = np.clip(thick / 2 + 0.5 - distance, 0, 1) * (np.abs(rows - 13.5) < 10)
            assert strokes.slant(image[None])[0] == pytest.approx(tangent, abs=0.03)
            across = thick / np.hypot(1, tangent)
            assert strokes.width(image[None])[0] == pytest.approx(across, rel=0.2)


def committed():
    return [(path, read(path)) for path in RESULTS.glob("*.csv")]


def test_committed_results_are_whole():
    for path, rows in committed():
        assert path.read_text(encoding="utf-8").splitlines()[0] == ",".join(COLUMNS)
        key = ["task", "system", "variant", "metric", "preset"]
        assert not rows.duplicated(key).any(), path.name
        assert rows.commit.str.fullmatch(r"[0-9a-f]{7}").all(), path.name


def test_published_figures_say_whether_they_were_read():
    for path, rows in committed():
        sources = rows.source[rows.published != ""]
        assert sources.str.contains(r"\((?:read|from memory)\)$").all(), path.name
        assert (rows.published[rows.source == ""] == "").all()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "quick"])
def test_the_commands_of_committed_rows_make_these_rows(name):
    module, known = import_module(f"benchmarks.{name}"), {}
    peers = ("skada", "pytorch-adapt", "pythae")  # not always installed
    rows = read(RESULTS / f"{name}-cpu.csv")
    for command, metrics in rows.groupby("command", sort=False):
        options = parser().parse_args(shlex.split(command)[3:])
        assert options.names == [name]
        if not any(peer in options.only for peer in peers):
            if options.preset not in known:
                cases = module.cases(options.preset, "cpu")
                known[options.preset] = {case.name: case for case in cases}
            case = known[options.preset][options.only]
            row = metrics[metrics.task == case.task].iloc[0]
            assert (row.system, row.variant) == (case.system, case.variant)
            published = {row.metric: row.published for row in metrics.itertuples() if row.source}
            assert published == {k: str(v) for k, (v, _) in case.published.items()}


def test_the_tables_of_the_readme_are_those_of_the_results(tmp_path):
    copy = tmp_path / "README.md"
    copy.write_text(readme.README.read_text(encoding="utf-8"), encoding="utf-8")
    readme.update(copy)
    assert copy.read_text(encoding="utf-8") == readme.README.read_text(encoding="utf-8")


def test_no_table_of_the_results_is_left_out():
    marks = {mark["name"] for mark in readme.MARK.finditer(readme.README.read_text("utf-8"))}
    results = {path.name.rpartition("-")[0] for path in RESULTS.glob("*.csv")}
    assert marks == results | readme.RECKONED.keys()


def test_figures_of_the_first_readme_are_in_the_results():
    text = (readme.README.parent.parent / "README.md").read_text(encoding="utf-8")
    figures = {
        f"{float(row['mean']):.3f} ± {float(row['std']):.3f}"
        for _, rows in committed()
        for row in rows[rows["std"] != ""].to_dict("records")
    }
    found = re.findall(r"\d+\.\d+ ± \d+\.\d+", text)
    assert len(found) >= 7
    assert set(found) <= figures


def rows_of(*cases):
    """Rows as the runner writes them: (task, system, variant, metric, mean, std, published)."""
    names = ("task", "system", "variant", "metric", "mean", "std", "published")
    common = {"seconds": 2.0, "device": "cpu", "preset": "cpu", "seeds": 3, "source": ""}
    common["commit"] = "abc1234"
    table = pd.DataFrame([{**common, **dict(zip(names, case, strict=True))} for case in cases])
    return table.reindex(columns=COLUMNS, fill_value="")


def test_a_table_has_the_tasks_and_metrics_asked_for_in_that_order(tmp_path, monkeypatch):
    monkeypatch.setattr(readme, "RESULTS", tmp_path)
    rows_of(
        ("ten", "A", "x", "error", 0.1, 0.01, 0.2),
        ("ten", "A", "x", "other", 0.5, "", ""),
        ("two", "A", "x", "error", 0.3, "", ""),
        ("six", "A", "x", "error", 0.9, "", ""),
    ).to_csv(tmp_path / "toy-cpu.csv", index=False)
    lines = readme.tables("toy", "error", "two;ten").splitlines()
    assert lines[0] == "| cpu, preset cpu | two | ten | seconds a run | commit |"
    assert lines[2] == "| A, x | 0.300 | 0.100 ± 0.010 (0.200) | 2 | abc1234 |"
    lines = readme.tables("toy", "other;error", "ten").splitlines()
    assert lines[0] == "| cpu, preset cpu | other | error | seconds a run | commit |"


def test_gains_are_recipe_less_source_and_of_the_worst_pair(tmp_path, monkeypatch):
    monkeypatch.setattr(gains, "RESULTS", tmp_path)
    rows = rows_of(
        *(
            (task, "DANN", variant, "accuracy_last", mean, "", "")
            for task, source, recipe in (
                ("all pairs", 0.5, 0.6),
                ("a->b", 0.4, 0.7),
                ("b->a", 0.6, 0.5),
                ("three to one", 0.5, 0.5),
                ("others->a", 0.5, 0.45),
                ("without a recipe", 0.5, None),
            )
            for variant, mean in (("source only + augment", source), ("whole recipe", recipe))
            if mean is not None
        ),
        ("all pairs", "DANN", "whole recipe, guarded", "accuracy_last", 0.45, "", ""),
        ("all pairs", "DANN", "whole recipe", "accuracy_selected", 0.9, "", ""),
        ("all pairs", "peer", "whole recipe", "accuracy_last", 0.9, "", ""),
    )
    rows.to_csv(tmp_path / "amazon-cpu.csv", index=False)
    lines = gains.table().splitlines()
    assert lines[2:] == [
        "| all pairs | cpu, cpu | 0.500 | 0.600 | +0.100 | -0.100 |  | -0.050 |",
        "| three to one | cpu, cpu | 0.500 | 0.500 | +0.000 | -0.050 |  |  |",
        "| **worst** |  |  |  | +0.000 | -0.100 |  | -0.050 |",
    ]


def test_no_task_is_worse_for_its_recipe():
    """By more than half a point, as the README says of the committed rows."""
    found = gains.gains()
    assert len(found) >= 20
    assert found["added"].min() >= -0.005


def test_systems_that_share_metrics_share_a_table():
    rows = rows_of(
        ("t", "A", "", "error", 0.1, "", ""),
        ("t", "B", "", "error", 0.2, "", ""),
        ("t", "B", "", "r", 0.3, "", ""),
        ("t", "C", "", "speed", 0.4, "", ""),
    )
    tables = []
    runner.print_tables("toy", rows, set(), tables.append)
    first, second = tables
    assert all(("0.2000" in first, "0.3000" in first, "0.4000" not in first))
    assert "0.4000" in second


# -------------------------------------------------------------------- of others

EXAMPLE = readme.README.parent.parent / ".site" / "my_benchmark.py"


def test_the_example_of_the_readme_is_the_file_and_runs(tmp_path, capsys):
    """Through the command, as somebody would who has read the section."""
    example = EXAMPLE.read_text(encoding="utf-8")
    assert f"```python\n{example}```" in readme.README.read_text(encoding="utf-8")
    own = tmp_path / "my_file.py"
    own.write_text(example.replace('"max_epochs": 10', '"max_epochs": 2'), encoding="utf-8")
    options = [str(own), "--seeds", "1", "--device", "cpu", "--out", str(tmp_path / "out")]
    main(options)
    assert "breast cancer  VAE     5 codes" in capsys.readouterr().out
    rows = read(tmp_path / "out" / "my_file-cpu.csv")
    assert list(rows.system) == ["VAE", "PCA"]
    assert (rows["mean"] > 0.6).all()
    assert rows.commit.str.contains(r" my_file\.py:[0-9a-f]{7}$").all()
    again = shlex.split(rows.command[0])
    assert again[:4] == ["python", "-m", "benchmarks", str(own)]
    main([*again[3:], "--out", str(tmp_path / "out")])  # that of one row
    said = capsys.readouterr().out
    assert "1 of 1 cases stood in" in said
    assert f"earlier ({rows.commit[0]})" in said
    main([*options, "--list"])
    listed = capsys.readouterr().out.splitlines()
    assert listed[0].endswith(f"2 cases, 2 of them in {tmp_path / 'out' / 'my_file-cpu.csv'}")
    assert listed[1:] == [f"  breast cancer/{name}/5 codes  (stands)" for name in ("VAE", "PCA")]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "must have a function cases(preset, device), and has none"),
        ("cases = lambda preset, device: []", "must give a list of benchmarks.runner.Case"),
        ("cases = lambda preset, device: ['a']", "must give a list of benchmarks.runner.Case"),
        (
            "from benchmarks.runner import Case\n"
            "cases = lambda preset, device: [Case('t', 's', 'v', print)] * 2",
            "must have cases of different names; twice: t/s/v",
        ),
    ],
)
def test_a_file_that_is_no_benchmark_is_told(text, message, tmp_path, capsys):
    path = tmp_path / "own_one.py"
    path.write_text(text)
    with pytest.raises(SystemExit) as stopped:
        main([str(path), "--out", str(tmp_path)])
    assert stopped.value.code == 2
    assert f"{path}" in (said := capsys.readouterr().err)
    assert message in said


def test_names_of_files_are_checked(tmp_path, capsys):
    (tmp_path / "amazon.py").write_text("")
    for name, message in (("none.py", "no file"), ("amazon.py", "that is here already; rename")):
        with pytest.raises(SystemExit):
            main([str(tmp_path / name)])
        assert message in capsys.readouterr().err


def test_the_list_of_all_benchmarks_runs_none(capsys):
    main(["--list"])
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == list(NAMES)


def test_the_bar_moves_within_a_case(tmp_path, monkeypatch):
    """By the epochs of fits, which stay as they are; where there is no terminal, by lines."""
    watching = import_module("benchmarks.watching")
    X = np.random.default_rng(0).random((20, 4))

    def run(seed):
        model = VAE(latent_dim=2, width=4, max_epochs=3, device="cpu", random_state=seed).fit(X)
        return {"sum": float(np.abs(model.transform(X)).sum())}

    case, lines, seen = Case("task", "VAE", "", run), [], []
    with watching.Watch("toy", 2, lines.append) as watch:
        alone = go(tmp_path / "alone", [case], seeds=2, began=watch.began)
    assert [line[9:] for line in lines] == ["task/VAE/"]

    monkeypatch.setattr(watching.Bar, "is_shown", True)
    monkeypatch.setattr(watching.Bar, "set", lambda bar, done, said: seen.append((done, said)))
    with watching.Watch("toy", 2, lines.append) as watch:
        watched = go(tmp_path / "watched", [case], seeds=2, began=watch.began)
    assert watched["values"].tolist() == alone["values"].tolist()
    assert len(lines) == 1
    assert [done for done, _ in seen] == [0, 0.25, 0.5, 0.75, 1, 1.25, 1.5, 1.75]
    assert seen[-1][1] == "task/VAE/, seed 1, epoch 3/3"


# -------------------------------------------------------------------- a GPU


def test_products_are_counted():
    """Multiplications and additions, also of gradients; of those that torch's formulas know."""
    linear, x = nn.Linear(5, 3, bias=False), torch.ones(4, 5, requires_grad=True)
    with gpu.Counter() as counter:
        linear(x).sum().backward()
        torch.ones(9).exp()
    assert counter.total == 3 * 2 * 4 * 5 * 3  # forward, and of the weights and of x


@pytest.mark.filterwarnings("ignore")
def test_steps_are_timed_with_graphs_and_without(monkeypatch):
    seen = []
    monkeypatch.setattr(gpu, "STEPS", 2)
    monkeypatch.setattr(gpu, "EPOCHS", 1)
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: seen.append(replay.wanted()))
    monkeypatch.setenv("REPKIT_GRAPHS", "1")
    found = gpu.graph_ratio("DANN, MLP 20-128-128", "cpu")
    assert seen == 2 * (4 * [False] + 4 * [True])  # in turn, two epochs each, two steps of each
    assert found["times quicker"] > 0
    assert found["ms"] > 0
    assert found["ms, epoch's end"] >= 0
    assert os.environ["REPKIT_GRAPHS"] == "1"
    monkeypatch.setattr(gpu, "peak", lambda device: 1e9)
    found = gpu.share("DANN, MLP 20-128-128", "cpu")
    rows, products = 128, 20 * 128 + 128 * 128
    assert found["TFLOP a step"] * 1e12 > 4 * rows * products  # forward, and gradients of weights
    rate = found["TFLOP a step"] * 1e12 / (found["ms"] / 1000)
    np.testing.assert_allclose(found["share of peak"], rate / 1e9)


@pytest.mark.filterwarnings("ignore")
def test_what_of_a_step_is_not_in_operators(monkeypatch):
    monkeypatch.setattr(outside, "ROUNDS", 3)
    monkeypatch.setattr(outside, "STEPS", 12)
    monkeypatch.setattr(replay, "FEW", 0)
    found = outside.outside_share("DANN")
    assert found["share outside operators"] < 1  # beside other work it may be less than 0
    assert found["operators"] > 40
    with outside.operators_timed() as spent:
        outside.fit_of("VAE")(max_epochs=1, steps_per_epoch=13)
    # One warms up, two are recorded; every second one of the others is timed whole.
    assert len(spent.whole) == len(spent.inside) == (13 - 3) / 2
    (calls,) = {*spent.calls}
    assert calls > 80
    assert min(spent.inside) > 0
    assert 0 < outside.clock_seconds(100) < 1e-4
    assert {case.system for case in outside.cases()} == {*steps.SYSTEMS, "SpeechAutoencoder"}


def test_eight_fits_against_one(monkeypatch):
    monkeypatch.setattr(several, "ROUNDS", 1)
    now, jobs = [0.0], []

    def seconds(system, random_state):
        jobs.append((system, random_state))
        now[0] += 2.0
        return 2.0

    monkeypatch.setattr(several, "seconds", seconds)
    monkeypatch.setattr(several, "Parallel", lambda n_jobs: nullcontext(list))
    monkeypatch.setattr(several, "delayed", lambda f: f)
    monkeypatch.setattr(several.time, "perf_counter", lambda: now[0])
    assert several.eight("VAE", 0) == {"times one": 8.0, "s of one": 2.0}
    assert jobs == [("VAE", k) for k in (0, 1, *range(8), *range(8))]


def test_steps_and_ends_of_epochs_are_told_apart(monkeypatch):
    now = [0.0]
    clock = gpu.Clock(wait=lambda: None)
    monkeypatch.setattr(gpu.time, "perf_counter", lambda: now[0])
    for step in (50.0, 2.0, 4.0, 2.0):  # the first epoch makes what stays
        for done in (1, 2, 3):
            now[0] += step
            clock.on_step(done, 3)
        now[0] += 7.0
    assert clock.measured() == {"step": 2.0, "end": pytest.approx(7.0)}


@pytest.mark.parametrize(("graphs", "compile"), [(True, False), (False, True)])
def test_a_fit_is_measured_as_asked_for(graphs, compile, monkeypatch):
    seen = {}

    class Model:
        def set_params(self, **given):
            seen.update(given)
            return self

        def fit(self):
            seen["graphs"] = replay.wanted()
            for _ in range(seen["max_epochs"]):
                for done in (1, 2):
                    seen["callbacks"][0].on_step(done, 2)

    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(gpu, "fits", lambda name, device: (Model(), (), {}))
    assert gpu.measure("any", "cuda", graphs, compile)["step"] > 0
    assert (seen["graphs"], seen["compile"]) == (graphs, compile)


def test_what_is_compiled_is_told_from_what_is_not(monkeypatch):
    seen = []

    def measured(name, device, graphs=True, compile=False):
        seen.append((graphs, compile))
        return {"step": 0.001 if compile else 0.002, "end": 0.0}

    monkeypatch.setattr(gpu, "measure", measured)
    assert gpu.compiled_ratio("VAE, 28 px", "cuda") == {"times quicker": 2.0, "ms": 1.0}
    assert seen == gpu.ROUNDS * [(True, False), (True, True)]


def test_every_fit_of_the_gpu_can_be_made():
    for name in (*gpu.SMALL, *gpu.LARGE):
        model, given, _ = gpu.fits(name, "cpu")
        assert type(model).__name__ == name.split(",")[0]
        assert len(given[0]) >= 200 or "Speech" in name


# -------------------------------------------------------------------- conversions


def test_moments_are_those_of_other_words_of_the_voice(monkeypatch):
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(5, 3)).astype(np.float32) for _ in range(6)]
    corpus = {
        "frames": frames,
        "waves": list(range(6)),
        "speaker": np.array([0, 0, 0, 1, 1, 1]),
        "word": np.array([0, 1, 2, 0, 1, 2]),
        "part": np.repeat("test", 6),
    }
    monkeypatch.setattr(speech_arabic, "corpus", lambda: corpus)
    calls = []

    class Model:
        def convert(self, X, reference):
            calls.append((X, reference))
            return [2 * frames[k] for k in X]

    rows, voices = speech_arabic.test_conversions(0)
    found = speech_arabic.moved(Model(), [2 * x for x in frames], rows, voices, 0)
    ((said, others),) = calls
    assert said == list(range(6))
    assert all(
        corpus["speaker"][a] != corpus["speaker"][b] for a, b in zip(said, others, strict=True)
    )
    for x, row, voice, y in zip(frames, rows, voices, found, strict=True):
        (made, real) = (
            [k for k in range(6) if corpus["word"][k] != corpus["word"][row] and who[k] == own]
            for who, own in (
                (corpus["speaker"][others], corpus["speaker"][voice]),
                (corpus["speaker"], corpus["speaker"][voice]),
            )
        )
        wanted = match_moments(2 * x, [2 * frames[k] for k in made], [frames[k] for k in real])
        np.testing.assert_allclose(y, wanted[0])


def test_moments_of_known_voices_are_those_of_the_training(monkeypatch):
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(6, 2)).astype(np.float32) for _ in range(12)]
    speaker, test = np.arange(12) % 2, np.arange(12) < 4
    c = spoken.Corpus(list(range(12)), np.arange(12) // 2, speaker, test, frames)

    class Model:
        def convert(self, X, reference):
            return [0.5 * frames[k] for k in X]

    rows, voices = spoken.conversions(c)
    found = spoken.moved(c, Model(), [0.5 * frames[k] for k in rows])
    partners = np.random.default_rng(1).permutation(np.arange(4, 12))
    for x, row, voice in zip(found, rows, voices, strict=True):
        made = [0.5 * frames[k + 4] for k in range(8) if speaker[partners[k]] == speaker[voice]]
        real = [frames[k] for k in range(4, 12) if speaker[k] == speaker[voice]]
        np.testing.assert_allclose(x, match_moments(0.5 * frames[row], made, real)[0])


def test_what_was_said_is_scaled_by_the_training():
    rng = np.random.default_rng(0)
    frames = [rng.normal(size=(6, 8)).astype(np.float32) for _ in range(12)]
    speaker, test = np.arange(12) % 2, np.arange(12) < 4
    c = spoken.Corpus(list(range(12)), np.arange(12) // 2, speaker, test, frames)
    rows, voices = spoken.conversions(c)
    found = spoken.blended(c, [0.5 * frames[k] for k in rows])
    for x, row, voice in zip(found, rows, voices, strict=True):
        source, reference = (
            [frames[k] for k in range(4, 12) if speaker[k] == speaker[who]] for who in (row, voice)
        )
        wanted = blend_source(0.5 * frames[row], frames[row], reference, source=source)
        np.testing.assert_allclose(x, wanted[0])


def test_matched_frames_are_of_other_words_of_the_voice(monkeypatch):
    frames = [np.full((3, 2), [k + 1.0, (k + 1.0) ** 2], np.float32) for k in range(6)]
    corpus = {
        "frames": frames,
        "speaker": np.array([0, 0, 0, 1, 1, 1]),
        "word": np.array([0, 1, 2, 0, 1, 2]),
    }
    monkeypatch.setattr(speech_arabic, "corpus", lambda: corpus)
    (found,) = speech_arabic.matched([frames[0]], np.array([0]), np.array([4]))
    # Of the second speaker, but not the word that is said; the nearest by cosine come first.
    own = [frames[4][0], frames[5][0]]
    for row in found:
        assert min(own, key=lambda y: np.abs(y - row).sum()) is own[0]
        assert own[0][0] <= row[0] <= own[1][0]
