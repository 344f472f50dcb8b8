"""The command line: ``python -m benchmarks [NAMES] [OPTIONS]``."""

from __future__ import annotations

import time
from importlib import import_module
from pathlib import Path

import click
from rich.console import Console

from benchmarks import readme
from benchmarks.runner import RESULTS, device_label, run_cases

NAMES = (
    "quick",
    "digits_domains",
    "amazon",
    "office_caltech",
    "bigan_mnist",
    "infogan_mnist",
    "sprites",
    "vaegan_mnist",
    "triplegan_mnist",
    "speech_fsdd",
    "speech_synthetic",
    "speed",
)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("names", nargs=-1, type=click.Choice([*NAMES, "readme"]), metavar="[NAMES]...")
@click.option("--preset", type=click.Choice(["quick", "cpu", "paper"]), default="cpu")
@click.option("--seeds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--device", default="auto", show_default=True, help="A torch device.")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder for tables and figures. Default: benchmarks/results; benchmarks/out for quick.",
)
@click.option("--only", default="", help="Run the cases whose task/system/variant holds this.")
@click.option("--redo", is_flag=True, help="Run also the cases whose rows stand already.")
@click.option("--threads", type=int, help="CPU threads of torch; default: torch's own choice.")
def main(names, preset, seeds, device, out, only, redo, threads) -> None:
    """Run benchmarks by name (default: quick), each row written as it is finished.

    quick             all systems on embedded data, with figures, in under four minutes
    digits_domains    MNIST to MNIST-M, MNIST to USPS, USPS to MNIST
    amazon            Amazon reviews, twelve pairs of domains
    office_caltech    Office-Caltech SURF, twelve pairs of domains
    bigan_mnist       features and reconstructions of MNIST and of small digits
    infogan_mnist     categories and continuous codes of the same
    sprites           disentanglement of shape, scale, orientation and position
    vaegan_mnist      samples and reconstructions of VAE-GAN beside those of a VAE
    triplegan_mnist   digits from 20 to 200 labels
    speech_fsdd       spoken digits: what was said, and who said it
    speech_synthetic  the same of made words
    speed             paired step and fit times; import time
    readme            write the tables of README.md anew from benchmarks/results
    """
    console = Console(width=140)
    if threads:
        import torch

        torch.set_num_threads(threads)
    for name in names or ("quick",):
        if name == "readme":
            readme.update()
            continue
        started = time.perf_counter()
        module = import_module(f"benchmarks.{name}")
        used = "quick" if name == "quick" else preset
        folder = out or (RESULTS.parent / "out" if name == "quick" else RESULTS)
        cases = module.cases(used, device)
        run_cases(
            name,
            cases,
            preset=used,
            seeds=seeds,
            device=device,
            out=folder,
            only=only,
            redo=redo or name == "quick",
            console=console,
        )
        if hasattr(module, "figures"):
            for path in module.figures(folder, device):
                console.print(f"figure: {path}")
        console.print(
            f"{name}: {time.perf_counter() - started:.0f} s on {device_label(device)}", style="dim"
        )


if __name__ == "__main__":
    main()
