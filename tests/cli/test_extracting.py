"""`repkit extract`: order, ids, shards, files left out, and memory."""

import json
import os
from pathlib import Path

import click
import numpy as np
import pandas as pd
import pytest

import repkit
from repkit.cli import sources
from repkit.cli.extracting import LAUNCHERS, ShardType
from repkit.cli.outputs import OUTPUTS

parquet = pytest.importorskip("pyarrow.parquet")


def read(path):
    return parquet.read_table(path).to_pandas()


def test_a_table_row_by_row_whatever_the_blocks(run, files, models, monkeypatch):
    frame = pd.read_csv("target.csv")
    frame[["b", "kind", "a"]].to_parquet("target.parquet")  # another order, one column more
    expected = repkit.load(models / "dann").transform(frame[["a", "b"]])
    for k, data in enumerate(["target.csv", "target.parquet"]):
        assert run("extract", models / "dann", data, "--out", f"{k}.parquet")[0] == 0
        found = read(f"{k}.parquet")
        assert found["index"].tolist() == list(range(40))
        np.testing.assert_array_equal(found.iloc[:, 1:], expected)
        assert list(found.columns[1:3]) == ["dann0", "dann1"]


def test_shards_are_the_whole_in_order(run, files, models):
    for data, model in (("target.csv", "dann"), ("images", "vae"), ("wavs", "speech")):
        args = ["extract", models / model, data, "--out"]
        assert run(*args, f"{model}.parquet")[0] == 0
        for k in (1, 2, 3):
            assert run(*args, f"{model}.parquet", "--shard", f"{k}/3")[0] == 0
        parts = pd.concat([read(f"{model}-{k}-of-3.parquet") for k in (1, 2, 3)])
        pd.testing.assert_frame_equal(
            parts.reset_index(drop=True), read(f"{model}.parquet"), check_exact=True
        )


@pytest.mark.parametrize(
    ("given", "shard"),
    [
        ({"RANK": "1", "WORLD_SIZE": "3"}, (2, 3)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, (1, 4)),
        (
            {"SLURM_ARRAY_TASK_ID": "7", "SLURM_ARRAY_TASK_COUNT": "5", "SLURM_ARRAY_TASK_MIN": "4"}
            | {"SLURM_PROCID": "0", "SLURM_NTASKS": "1"},
            (4, 5),
        ),
        ({}, "this process was not started by torchrun or SLURM"),
        ({"RANK": "3", "WORLD_SIZE": "3"}, "RANK=3 and WORLD_SIZE=3 are no place"),
        ({"RANK": "a", "WORLD_SIZE": "3"}, "RANK=a and WORLD_SIZE=3 are no place"),
    ],
)
def test_launchers_say_which_shard_it_is(monkeypatch, given, shard):
    for names in LAUNCHERS:
        for name in filter(None, names):
            monkeypatch.delenv(name, raising=False)
    for name, text in given.items():
        monkeypatch.setenv(name, text)
    if isinstance(shard, tuple):
        assert ShardType().convert("auto", None, None) == shard
    else:
        with pytest.raises(click.BadParameter, match=shard):
            ShardType().convert("auto", None, None)


def test_what_is_finished_is_not_done_again(run, files, models):
    args = ["extract", models / "vae", "images", "--out", "f.parquet"]
    assert run(*args)[0] == 0
    before = os.stat("f.parquet").st_mtime_ns
    code, _, err = run(*args)
    assert (code, err) == (0, "f.parquet is finished already\n")  # and torch was not needed
    assert os.stat("f.parquet").st_mtime_ns == before
    other = ["extract", models / "bigan", "images", "--out", "f.parquet"]
    code, _, err = run(*other)
    assert (code, "f.parquet is there already, of another model, output or DATA" in err) == (2, 1)
    assert run(*other, "--force")[0] == 0
    assert "bigan0" in read("f.parquet")
    Path("f.parquet").write_bytes(b"torn")
    assert run(*args)[0] == 2
    assert not list(Path().glob("*.part"))


def test_the_file_that_cannot_be_used_is_named_once(run, files, models):
    Path("junk.wav").write_bytes(b"no sound")
    for data, told in (("junk.wav", "junk.wav:"), ("wavs", "speaker1/01_torn.wav of wavs:")):
        (files / "wavs" / "speaker1" / "01_torn.wav").write_bytes(b"no sound")
        code, _, err = run("extract", models / "speech", data, "--out", "f.parquet", "-q")
        assert (code, err.startswith(f"error: {told} it could not be read as audio")) == (1, True)


def test_the_name_of_rows_may_be_a_feature(run, files, models):
    frame = pd.read_csv("target.csv")
    frame.to_parquet("target.parquet")
    for data in ("target.csv", "target.parquet"):
        out = ["--out", f"{data}.of.parquet"]
        assert run("extract", models / "dann", data, "--id", "a", *out)[0] == 0
        found = read(out[1])
        assert found["a"].astype(float).tolist() == frame["a"].tolist()
        expected = repkit.load(models / "dann").transform(frame[["a", "b"]])
        np.testing.assert_allclose(found.iloc[:, 1:], expected, atol=1e-6)


def test_files_that_cannot_be_used(run, files, models):
    (files / "images" / "thin" / "07.png").write_bytes(b"no image")
    (files / "wavs" / "speaker1" / "01_torn.wav").write_bytes(b"no sound")
    for name in ("00_empty.wav", "99_empty.wav"):
        import soundfile

        soundfile.write(files / "wavs" / "speaker1" / name, np.zeros(800), 8000)
    text = (files / "target.csv").read_text().splitlines()
    text[3], text[5] = "0.5,,up", "high,0.5,up"
    (files / "target.csv").write_text("\n".join(text))
    cases = {
        ("images", "vae"): ["thin/07.png"],
        ("wavs", "speech"): [f"speaker1/{n}.wav" for n in ("00_empty", "01_torn", "99_empty")],
        ("target.csv", "dann"): ["2", "4"],
    }
    for (data, model), names in cases.items():
        out = f"{model}.parquet"
        code, _, err = run("extract", models / model, data, "--out", out)
        assert (code, err.splitlines()[-1].startswith("error: ")) == (1, True)
        assert any(name in err for name in names) or " in row 5" in err
        assert not Path(out).exists()
        args = ["extract", models / model, data, "--out", out, "--on-error", "skip"]
        code, _, err = run(*args)
        assert (code, f"skipped {len(names)} of " in err) == (0, True)
        listed = Path(f"{model}.skipped.csv").read_text().splitlines()
        assert [line.partition(",")[0] for line in listed[1:]] == names
        found = read(out)
        assert not set(map(str, found.iloc[:, 0])) & set(names)
        assert np.isfinite(found.iloc[:, 1:].to_numpy()).all()


@pytest.mark.parametrize(
    "model", ["dann", "dann-regressor", "bigan", "infogan", "triplegan", "speech"]
)
def test_every_output(run, files, models, model):
    data = {"infogan": "digits", "bigan": "images", "triplegan": "images", "speech": "wavs"}
    data = data.get(model, "target.csv")
    header = json.loads(run("info", models / model, "--json")[1])
    for output in OUTPUTS[header["class"]]:
        if output == "frames":
            continue  # of a model that has them
        args = ["--out", f"{output}.parquet", "--output", output, "-q"]
        assert run("extract", models / model, data, *args) == (0, "", "")
        assert read(f"{output}.parquet").shape[1] > 1
    if model == "dann":
        proba = read("proba.parquet")
        assert list(proba.columns) == ["index", "proba_down", "proba_up"]
        labels = np.array(["down", "up"])[proba.iloc[:, 1:].to_numpy().argmax(1)]
        assert read("label.parquet")["label"].tolist() == labels.tolist()


def test_blocks_are_small_and_of_every_kind(files, models, monkeypatch):
    """What is in memory at a time is a block, whatever the size of DATA."""
    monkeypatch.setattr(sources, "BYTES", 64)
    monkeypatch.setattr(sources, "PICTURES", 5)
    monkeypatch.setattr(sources, "FILES", 5)
    for data, model, n, most in (
        ("table.npy", "dann-regressor", 80, 4),
        ("table.npz", "dann-regressor", 80, 4),
        ("target.csv", "dann", 40, 64),
        ("images", "vae", 24, 5),
        ("wavs", "speech", 12, 5),
    ):
        wanted = sources.Wanted(model=repkit.load(models / model))
        source = sources.open_source(data, wanted, speech=model == "speech")
        assert source.count() == n
        blocks = list(source.blocks(1, n - 1))
        assert sum(len(block.ids) for block in blocks) == n - 2
        assert max(len(block.X) for block in blocks) <= most


def test_a_column_names_the_rows(run, files, models):
    frame = pd.read_csv("target.csv")
    frame["name"] = [f"{k:03}" for k in range(40)]  # texts, however they look
    frame.to_csv("named.csv", index=False)
    frame.assign(name=np.arange(40, dtype=np.int16) + 7).to_parquet("named.parquet")
    expected = repkit.load(models / "dann").transform(frame[["a", "b"]])
    for data, ids in (("named.csv", frame.name.tolist()), ("named.parquet", [*range(7, 47)])):
        out = f"{data}.out.parquet"
        assert run("extract", models / "dann", data, "--id", "name", "--out", out)[0] == 0
        found = read(out)
        assert (list(found.columns[:2]), found.name.tolist()) == (["name", "dann0"], ids)
        np.testing.assert_array_equal(found.iloc[:, 1:], expected)
        assert parquet.read_schema(out).field("name").type in ("string", "int16")
        code, _, err = run("extract", models / "dann", data, "--out", out)
        assert (code, "is there already" in err) == (2, True)
    text = (files / "named.csv").read_text().replace(",003\n", ",\n").splitlines()
    text[6] = "x" + text[6]
    (files / "named.csv").write_text("\n".join(text))
    args = ["named.csv", "--id", "name", "--out", "s.parquet", "--on-error", "skip"]
    assert run("extract", models / "dann", *args)[0] == 0
    assert (files / "s.skipped.csv").read_text().splitlines()[1].startswith("005,")
    found = read("s.parquet").name
    assert (found.isna().sum(), len(found)) == (1, 39)
    for args, said in (
        (["target.csv", "--id", "nam"], "has no column 'nam'"),
        (["table.npy", "--id", "name"], "--id name: table.npy is no table with columns"),
    ):
        code, _, err = run("extract", models / "dann", *args, "--out", "no.parquet")
        assert (code, said in err) == (2, True), err


def test_frames_have_times(run, files, models):
    made = ["fit", "speech", "wavs", "--set", "encoder__pooling=both", "--set", "max_epochs=1"]
    made += ["--set", "steps_per_epoch=1", "--set", "width=12", "--set", "adversary=none", "-q"]
    assert run(*made, "--set", "device=cpu", "--out", "frames")[0] == 0
    args = ["extract", "frames", "wavs", "--output", "frames", "--out"]
    assert run(*args, "f.parquet")[0] == 0
    found, model = read("f.parquet"), repkit.load("frames")
    paths = list(dict.fromkeys(found.path))
    assert len(paths) == 12
    vectors, times = model.transform_frames([f"wavs/{p}" for p in paths], return_times=True)
    assert list(found.columns[:3]) == ["path", "time", "phonetic0"]
    np.testing.assert_array_equal(found.path, np.repeat(paths, [len(v) for v in vectors]))
    np.testing.assert_allclose(found.time, np.concatenate(times), rtol=1e-6)
    np.testing.assert_array_equal(found.iloc[:, 2:], np.concatenate(vectors))
    (files / "wavs" / "speaker0" / "00_torn.wav").write_bytes(b"no sound")
    assert run(*args, "s.parquet", "--on-error", "skip")[0] == 0
    assert len(read("s.parquet")) == len(found)
    code, _, err = run(
        "extract", models / "speech", "wavs", "--output", "frames", "--out", "n.parquet"
    )
    assert (code, "the model gives no vectors of frames" in err) == (1, True)
