"""The command line: ``python -m benchmarks [NAMES] [OPTIONS]``."""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path

from benchmarks import own, readme
from benchmarks.runner import OUT, Case, NoMatch, chosen, device_label, run_cases, stands

ABOUT = {
    "quick": "all systems on embedded data: small tables, sentences, pictures, a page",
    "digits_domains": "MNIST to MNIST-M, MNIST to USPS, USPS to MNIST",
    "meter_digits": "photographed counters: from one kind of meter to another",
    "arabic_commands": "words of speakers without labels; speakers are domains",
    "amazon": "Amazon reviews, twelve pairs of domains",
    "office_caltech": "Office-Caltech SURF, twelve pairs of domains",
    "gas_drift": "gas sensors of 36 months, batch 1 to each later one",
    "pacs_deep": "PACS as deep features, twelve pairs of styles, and three to one",
    "choosing": "label-free scorers: how good the candidate is that each picks",
    "unknown_class": "rows of a class that no source row has",
    "guarding": "what the guard of an adaptation, and the search between several, give and take",
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
    "memory": "a table and a folder of images that are larger than the memory taken for them",
    "speed": "paired step and fit times; import time",
    "gpu": "a step as one launch against step by step, its share of the peak; paper presets",
}
NAMES = tuple(ABOUT)
COMMANDS = {**ABOUT, "readme": "write the tables of benchmarks/README.md from benchmarks/results"}


def name(text: str) -> str:
    """One of the benchmarks, or a file with a benchmark of your own."""
    if text.endswith(".py"):
        if not Path(text).is_file():
            raise argparse.ArgumentTypeError(f"no file {text!r}")
        if Path(text).stem in COMMANDS:
            raise argparse.ArgumentTypeError(
                f"{text!r} has the name of a benchmark that is here already; rename the file"
            )
    elif text not in COMMANDS:
        raise argparse.ArgumentTypeError(
            f"no benchmark {text!r}; there are {', '.join(COMMANDS)}, or give a file my_file.py"
        )
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
        description="Run benchmarks by name, or a file of your own with a function cases (see "
        "benchmarks/README.md).\nEach row is written as soon as it is finished.\n\n"
        f"benchmarks:\n{listed}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument(
        "names",
        nargs="*",
        type=name,
        help="a benchmark, or a file my_file.py; default: quick",
        metavar="NAME",
    )
    made.add_argument(
        "--list", action="store_true", help="list benchmarks, or the cases of NAME; run nothing"
    )
    made.add_argument(
        "--preset", choices=["quick", "cpu", "paper"], default="cpu", help="default: cpu"
    )
    made.add_argument(
        "--seeds",
        type=count,
        help="default: 3, or what a case has; of quick, 2 for most cases. A case that has fewer "
        "runs those",
    )
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
    made.add_argument(
        "--minutes",
        type=count,
        default=25,
        help="of gpu: after so many what still runs is ended; default: 25",
    )
    made.add_argument("--threads", type=count, help="CPU threads of torch; default: torch's choice")
    return made


def cases_of(benchmark: str, preset: str, device: str, seeds: int | None = None) -> list[Case]:
    """The cases of a benchmark, or of a file, with no more than so many seeds each."""
    if benchmark.endswith(".py"):
        cases = own.read_cases(Path(benchmark), preset, device)
    else:
        cases = list(import_module(f"benchmarks.{benchmark}").cases(preset, device))
    if seeds is None:
        return cases
    return [replace(c, seeds=min(c.seeds, seeds)) if c.seeds else c for c in cases]


def show_list(benchmark: str, options: argparse.Namespace) -> None:
    """Print the names of the cases, and whether their rows stand."""
    preset, seeds = (options.preset, 3)
    if benchmark == "quick":
        preset, seeds = "quick", import_module("benchmarks.quick").SEEDS
    cases = chosen(
        benchmark, cases_of(benchmark, preset, options.device, options.seeds), options.only
    )
    path = options.out / f"{Path(benchmark).stem}-{device_label(options.device)}.csv"
    there = [stands(path, case, preset, case.seeds or options.seeds or seeds) for case in cases]
    print(f"{benchmark}: {len(cases)} cases, {sum(there)} of them in {path}")
    for case, stood in zip(cases, there, strict=True):
        print(f"  {case.name}{'  (stands)' if stood else ''}")


def run(benchmark: str, options: argparse.Namespace) -> None:
    """Run the cases of a benchmark, or of a file, whose rows do not stand yet."""
    from benchmarks.watching import Watch

    name, path = Path(benchmark).stem, Path(benchmark)
    cases = cases_of(benchmark, options.preset, options.device, options.seeds)
    seeds = options.seeds or 3
    runs = sum(case.seeds or seeds for case in chosen(name, cases, options.only))
    with Watch(name, runs) as watch:
        run_cases(
            name,
            cases,
            preset=options.preset,
            seeds=seeds,
            device=options.device,
            out=options.out,
            only=options.only,
            redo=options.redo,
            began=watch.began,
            called=benchmark,
            version=own.version(path) if benchmark.endswith(".py") else "",
        )


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what the command line asks for."""
    options = parser().parse_args(arguments)
    if options.threads:
        import torch

        torch.set_num_threads(options.threads)
    if options.list and not options.names:
        print("\n".join(f"{key:<18}{about}" for key, about in ABOUT.items()))
        return
    for benchmark in options.names or ("quick",):
        if benchmark == "readme":
            readme.update()
            continue
        started, began = time.perf_counter(), time.monotonic()
        try:
            if options.list:
                show_list(benchmark, options)
                continue
            if benchmark == "quick":
                import_module("benchmarks.quick").run(
                    seeds=options.seeds, device=options.device, out=options.out, only=options.only
                )
                continue
            run(benchmark, options)
            if benchmark == "gpu" and not options.only:
                import_module("benchmarks.presets").run(
                    began + 60 * options.minutes,
                    device=options.device,
                    out=options.out,
                    label=device_label(options.device),
                )
        except (NoMatch, own.NoBenchmark) as error:
            parser().exit(2, f"{error}\n")
        print(
            f"{benchmark}: {time.perf_counter() - started:.0f} s on {device_label(options.device)}"
        )


if __name__ == "__main__":
    main()
