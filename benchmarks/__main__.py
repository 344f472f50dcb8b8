"""The command line: ``python -m benchmarks [NAMES] [OPTIONS]``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

from benchmarks import readme
from benchmarks.runner import OUT, NoMatch, device_label, run_cases

ABOUT = {
    "quick": "all systems on embedded data, with figures, in about ten minutes",
    "digits_domains": "MNIST to MNIST-M, MNIST to USPS, USPS to MNIST",
    "meter_digits": "photographed counters: from one kind of meter to another",
    "arabic_commands": "words of speakers without labels; speakers are domains",
    "amazon": "Amazon reviews, twelve pairs of domains",
    "office_caltech": "Office-Caltech SURF, twelve pairs of domains",
    "gas_drift": "gas sensors of 36 months, batch 1 to each later one",
    "pacs_deep": "PACS as deep features, twelve pairs of styles, and three to one",
    "choosing": "label-free scorers: how good the candidate is that each picks",
    "unknown_class": "rows of a class that no source row has",
    "guarding": "a twin without adaptation: what the guard gives and takes",
    "defaults": "what each class gives without a setting, beside its recipe",
    "bigan_mnist": "features and reconstructions of MNIST and of small digits",
    "infogan_mnist": "categories and continuous codes of the same",
    "sprites": "disentanglement of shape, scale, orientation and position",
    "vaegan_mnist": "samples and reconstructions of VAE-GAN beside those of a VAE",
    "triplegan_mnist": "digits from 20 to 200 labels",
    "speech_fsdd": "spoken digits: what was said, and who said it",
    "speech_arabic": "forty words of speakers who were never heard",
    "speech_frames": "phones of speakers who were never heard, from vectors of frames",
    "speech_synthetic": "the same of made words",
    "speed": "paired step and fit times; import time",
}
NAMES = tuple(ABOUT)
COMMANDS = {**ABOUT, "readme": "write the tables of benchmarks/README.md from benchmarks/results"}


def name(text: str) -> str:
    """One of the benchmarks."""
    if text not in COMMANDS:
        raise argparse.ArgumentTypeError(f"no benchmark {text!r}; there are {', '.join(COMMANDS)}")
    return text


def count(text: str) -> int:
    """An integer of at least 1."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"must be an integer of at least 1, not {text!r}")
    return int(text)


def parser() -> argparse.ArgumentParser:
    """The options."""
    listed = "\n".join(f"  {key:<18}{about}" for key, about in COMMANDS.items())
    made = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Run benchmarks by name. Each row is written as soon as it is finished.\n\n"
        f"benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("names", nargs="*", type=name, help="default: quick", metavar="NAME")
    made.add_argument(
        "--preset", choices=["quick", "cpu", "paper"], default="cpu", help="default: cpu"
    )
    made.add_argument("--seeds", type=count, default=3, help="default: 3")
    made.add_argument("--device", default="auto", help="a torch device; default: auto")
    made.add_argument(
        "--out",
        type=Path,
        default=OUT,
        help="folder of tables and figures; default: benchmarks/out. "
        "To commit the rows: --out benchmarks/results",
    )
    made.add_argument(
        "--only", default="", help="run the cases whose task/system/variant holds this"
    )
    made.add_argument(
        "--redo", action="store_true", help="run also the cases whose rows stand already"
    )
    made.add_argument("--threads", type=count, help="CPU threads of torch; default: torch's choice")
    return made


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = parser().parse_args(arguments)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    for benchmark in options.names or ("quick",):
        if benchmark == "readme":
            readme.update()
            continue
        started = time.perf_counter()
        module = import_module(f"benchmarks.{benchmark}")
        preset = "quick" if benchmark == "quick" else options.preset
        try:
            run_cases(
                benchmark,
                module.cases(preset, options.device),
                preset=preset,
                seeds=options.seeds,
                device=options.device,
                out=options.out,
                only=options.only,
                redo=options.redo or benchmark == "quick",
            )
        except NoMatch as error:
            parser().exit(2, f"{error}\n")
        if hasattr(module, "figures"):
            for path in module.figures(options.out, options.device):
                print(f"figure: {path}")
        print(
            f"{benchmark}: {time.perf_counter() - started:.0f} s on {device_label(options.device)}"
        )


if __name__ == "__main__":
    main()
