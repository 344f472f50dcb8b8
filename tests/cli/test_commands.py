"""What all commands share: errors on one line with their exit codes, help, completion, start."""

import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.shell_completion import ShellComplete

from repkit.cli import commands
from repkit.cli.app import app

ROOT = Path(__file__).parents[2]
FIT = ("fit", "vae", "source.csv", "--drop", "kind", "--out", "m")
DANN = ("fit", "dann", "source.csv", "--out", "m")

# Commands, their exit codes, and what the one line says.
BAD = [
    # the command and its arguments
    (["fly"], 2, "No such command 'fly'"),
    (["fit"], 2, "Missing argument 'SYSTEM'"),
    (["fit", "vae"], 2, "Missing argument 'DATA'"),
    (["fit", "gan", "digits", "--out", "m"], 2, "'gan' is not one of 'dann'"),
    (["fit", "vae", "digits"], 2, "Missing option '--out'"),
    ([*FIT, "--colour"], 2, "No such option"),
    # where the model goes
    (["fit", "vae", "digits", "--out", "no/m"], 2, "--out no/m: there is no folder 'no'"),
    (["fit", "vae", "digits", "--out", "table.npy"], 2, "table.npy is there already; give --force"),
    (["fit", "vae", "digits", "--out", "images"], 2, "'images' is a directory"),
    # DATA
    (["fit", "vae", "digit", "--out", "m"], 2, "'digit'; did you mean the data set digits?"),
    (["fit", "vae", "digits:west", "--out", "m"], 2, "digits has no part 'west'; it has none"),
    (["fit", "vae", "moons:west", "--out", "m"], 2, "no part 'west'; it has source, target"),
    (["fit", "vae", "speech", "--out", "m"], 2, "data set speech is speech, and images or a table"),
    (["fit", "speech", "digits", "--out", "m"], 2, "digits is images or a table, and speech"),
    (["fit", "vae", "notes.md", "--out", "m"], 2, "notes.md is no .csv, .tsv, .parquet, .npy"),
    (["fit", "speech", "notes.md", "--out", "m"], 2, "notes.md is no audio file, nor a list"),
    (["fit", "speech", "source.csv", "--out", "m"], 1, "source.csv has no column 'path'"),
    (["fit", "vae", "wavs", "--out", "m"], 1, "wavs has no image file"),
    (["fit", "speech", "images", "--out", "m"], 1, "images has no audio file"),
    (["fit", "vae", "torn.npz", "--out", "m"], 1, "torn.npz cannot be read as arrays"),
    (["fit", "vae", "source.csv", "--out", "m"], 1, "column 'kind' holds 'down' in row 1"),
    (["fit", "vae", "holes.csv", "--out", "m"], 1, "holes.csv: column 'b' is empty in row 2"),
    (["fit", "vae", "plain.csv", "--out", "m"], 1, "plain.csv has no names of columns"),
    # columns and labels
    ([*FIT, "--drop", "c"], 2, "source.csv has no column 'c'; it has a, b, kind"),
    ([*FIT, "--drop", "a", "--drop", "b"], 2, "source.csv has no column of data beside kind, a, b"),
    (DANN, 2, "dann learns from classes: give --label; source.csv has the columns a, b, kind"),
    ([*DANN, "--label", "kin"], 2, "no column 'kin'; did you mean 'kind'?"),
    (["fit", "dann", "table.npz", "--label", "z", "--out", "m"], 2, "has the arrays X, y"),
    (["fit", "dann", "table.npy", "--label", "z", "--out", "m"], 2, "--label z: beside a .npy"),
    (["fit", "dann", "images", "--label", "(", "--out", "m"], 2, "'(' is no regular expression"),
    (
        ["fit", "dann", "images", "--label", "x+", "--out", "m"],
        2,
        "'x+' does not match thin/00.png",
    ),
    # the target
    ([*FIT, "--target", "target.csv"], 2, "--target goes with dann and dann-regressor, not with"),
    ([*DANN, "--label", "kind", "--target", "no.csv"], 2, "no file, folder or data set 'no.csv'"),
    ([*DANN, "--label", "kind", "--target", "images"], 2, "images is of another kind"),
    (
        [*DANN, "--label", "b", "--drop", "kind", "--target", "narrow.csv"],
        2,
        "no column 'a', which",
    ),
    # parameters
    ([*FIT, "--set", "width"], 2, "--set width: give NAME=VALUE"),
    ([*FIT, "--set", "widht=3"], 2, "vae has no parameter 'widht'; did you mean 'width'?"),
    ([*FIT, "--set", "lam=3"], 2, "vae has no parameter 'lam'"),
    ([*FIT, "--set", "width=0"], 2, "--set width must be an integer of at least 1, not 0"),
    ([*FIT, "--set", "width=big"], 2, "width must be an integer of at least 1, not 'big'"),
    ([*FIT, "--set", "optimizer__momentum=2"], 2, "optimizer__momentum must be a number of at"),
    ([*FIT, "--set", "checkpoint=a"], 2, "checkpoint is not for --set: checkpoints lie beside"),
    ([*FIT, "--set", "augment=Affine(3)"], 2, "--set augment: 'Affine(3)' is none of RandomAffine"),
    ([*FIT, "--set", "augment=RandomAffine(x=3)"], 2, "unexpected keyword argument 'x'"),
    ([*FIT, "--set", "device=abacus"], 2, "device must be 'auto', 'cpu' or another torch device"),
    ([*FIT, "--config", "no.toml"], 2, "File 'no.toml' does not exist"),
    ([*FIT, "--config", "notes.md"], 2, "--config notes.md: "),
    ([*FIT, "--config", "bad.toml"], 2, "--config bad.toml: vae has no parameter 'colour'"),
    ([*FIT, "--size", "0"], 2, "'0' is no size: give 32, or 32x48"),
    # models
    (["info", "no.model"], 2, "File 'no.model' does not exist"),
    (["info", "source.csv"], 1, "source.csv is no model file of repkit"),
    (["extract", "source.csv", "images", "--out", "f.parquet"], 1, "source.csv is no model file"),
    (["evaluate", "table.npz", "images"], 1, "table.npz is no model file"),
    (["plot", "table.npz", "--kind", "history", "--out", "h.png"], 1, "is no model file"),
    (["sample", "table.npz", "--out", "s.npy"], 1, "table.npz is no model file"),
    (["convert", "table.npz", "notes.md", "--voice", "notes.md", "--out", "c.wav"], 1, "no model"),
    # data sets
    (
        ["data", "get", "digit"],
        2,
        "there is no data set 'digit'; did you mean the data set digits?",
    ),
    (["data", "get", "digits", "--out", "images"], 2, "--out images is there already"),
    (["data", "get", "digits", "--out", "d.csv"], 2, "images into a folder or a .npz file"),
    (["data", "get", "moons", "--out", "moons"], 2, "tables go into a .csv, .parquet or .npz file"),
    (["completion", "tcsh"], 2, "'tcsh' is not one of 'bash', 'zsh', 'fish'"),
]


@pytest.fixture(scope="module")
def bad_files(made, tmp_path_factory):
    """The files of a user, and files of which something is wrong."""
    import shutil

    folder = tmp_path_factory.mktemp("bad") / "files"
    shutil.copytree(made, folder)
    (folder / "notes.md").write_text("Neither a table nor sound.")
    (folder / "torn.npz").write_bytes((folder / "table.npz").read_bytes()[:100])
    (folder / "holes.csv").write_text("a,b\n1,2\n3,\n")
    (folder / "narrow.csv").write_text("b\n1\n2\n")
    (folder / "plain.csv").write_text("0.5,1\n2,3\n")
    (folder / "bad.toml").write_text("colour = 3\n")
    return folder


@pytest.mark.parametrize(("args", "code", "says"), BAD, ids=[" ".join(bad[0]) for bad in BAD])
def test_bad_use_is_told_on_one_line(run, bad_files, monkeypatch, args, code, says):
    monkeypatch.chdir(bad_files)
    before = {path.name for path in bad_files.iterdir()}
    found, out, err = run(*args)
    (line,) = [one for one in err.splitlines() if not one.startswith(("reading", "loading"))]
    assert line.startswith("error: ")
    assert says in line
    assert (found, out) == (code, "")
    assert {path.name for path in bad_files.iterdir()} == before


def test_nothing_at_all_shows_the_help(run):
    code, _, err = run()
    assert code == 2
    assert "repkit fit vae digits" in err


@pytest.mark.parametrize("path", [(n,) for n in app.commands] + [("data", "get"), ("data", "list")])
def test_every_command_has_help_with_an_example(run, path):
    code, out, _ = run(*path, "--help")
    assert code == 0
    assert path == ("data",) or f"  repkit {' '.join(path)}" in out.partition("Example")[2] + out
    assert path == ("data",) or "Example" in out


def test_a_trace_is_shown_when_it_is_asked_for(files):
    with pytest.raises(ValueError, match="is no model file"):
        app.main(["info", "source.csv", "--debug"])
    with pytest.raises(SystemExit):  # wrong use has none
        app.main(["info", "no", "--debug"])


def test_interrupts_and_other_ends(capsys):
    assert commands.tell(KeyboardInterrupt()) == 130
    assert commands.tell(MemoryError()) == 1
    assert commands.tell(FileNotFoundError(2, "No such file", "a.csv")) == 1
    assert commands.tell(SystemExit(3)) == 3
    assert commands.tell(ValueError("two\n  lines")) == 1
    assert capsys.readouterr().err.splitlines() == [
        "interrupted",
        "error: there is not enough memory",
        "error: a.csv: No such file",
        "error: two lines",
    ]


def complete(*args):
    shell = ShellComplete(app, {}, "repkit", "_REPKIT_COMPLETE")
    return [item.value for item in shell.get_completions(list(args[:-1]), args[-1])]


def test_completion(run):
    assert complete("ex") == ["export", "extract"]
    assert complete("fit", "va") == ["vae", "vaegan"]
    assert complete("fit", "vae", "mnist") == ["mnist", "mnist-m", "mnist"]  # and files
    assert complete("fit", "vae", "digits", "--set", "max") == ["max_epochs="]
    assert "consistency__threshold=" in complete("fit", "dann", "a.csv", "--set", "consistency")
    assert complete("plot", "m", "--kind", "s") == ["samples"]
    for shell in ("bash", "zsh", "fish"):
        code, out, _ = run("completion", shell)
        assert (code, "_REPKIT_COMPLETE" in out) == (0, True)


START = """
import sys
from repkit.cli.app import app
wrong = ["fit", "vae", "no", "--out", "m"]
for args in (["--help"], ["fit", "dann", "--help"], ["data", "list"], wrong):
    try:
        app(args)
    except SystemExit:
        pass
print("slow:", *sorted({"torch", "sklearn", "pandas", "scipy"} & set(sys.modules)))
"""


def test_help_and_wrong_use_wait_for_nothing_slow():
    done = subprocess.run(
        [sys.executable, "-c", START], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.splitlines()[-1] == "slow:"
    assert "consistency__threshold" in done.stdout


def test_without_click_a_line_says_what_to_install():
    code = """
import sys
class Missing:
    def find_spec(self, name, path=None, target=None):
        if name == "click":
            raise ModuleNotFoundError("No module named 'click'", name="click")
sys.meta_path.insert(0, Missing())
import runpy
runpy.run_module("repkit", run_name="__main__")
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "error: the command line needs click: python -m pip install 'repkit[cli]'\n"
    )


def test_messages_can_be_turned_off():
    with click.Context(app) as context:
        assert not commands.is_quiet()
        context.meta[commands.QUIET] = True
        assert commands.is_quiet()
    assert not commands.is_quiet()
