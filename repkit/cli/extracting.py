"""Internal. `repkit extract`: features of any number of samples, in bounded memory."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from typing import Any

import click
import numpy as np

from repkit._optional import need
from repkit.cli.commands import (
    check_out,
    command,
    data_argument,
    drop_option,
    model_argument,
    open_model,
    out_path,
    say,
    skip_option,
)
from repkit.cli.header import read_header
from repkit.cli.outputs import ALL, Found, Output, output_of
from repkit.cli.sources import Block, Source, Wanted, open_source

KEY = b"repkit"  # in the metadata of a Parquet file


# Where a launcher says which of how many processes this one is, and what it counts from.
LAUNCHERS = (
    ("RANK", "WORLD_SIZE", None),
    ("SLURM_ARRAY_TASK_ID", "SLURM_ARRAY_TASK_COUNT", "SLURM_ARRAY_TASK_MIN"),
    ("SLURM_PROCID", "SLURM_NTASKS", None),
)


class ShardType(click.ParamType):
    """I/N, counted from 1, or "auto": what torchrun or SLURM says."""

    name = "i/n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        if value == "auto":
            return self._launched(param, ctx)
        one, mark, all_of = value.partition("/")
        if not (mark and one.isdecimal() and all_of.isdecimal() and 1 <= int(one) <= int(all_of)):
            self.fail(f"{value!r} is no shard: give 1/8 to 8/8, say, or auto", param, ctx)
        return int(one), int(all_of)

    def _launched(self, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        for rank, size, first in LAUNCHERS:
            if rank in os.environ and size in os.environ:
                before = os.environ[rank], os.environ[size], os.environ.get(first or "", "0")
                if all(text.isdecimal() for text in before):
                    number, count, start = map(int, before)
                    if 0 <= number - start < count:
                        return number - start + 1, count
                said = f"{rank}={before[0]} and {size}={before[1]}"
                self.fail(f"auto: {said} are no place among processes", param, ctx)
        known = ", ".join(rank for rank, *_ in LAUNCHERS)
        self.fail(f"auto: this process was not started by torchrun or SLURM ({known})", param, ctx)


@command(
    "extract",
    short_help="Write the features of DATA.",
    example="""\
repkit extract vae.safetensors images/ --out codes.parquet
repkit extract speech.safetensors wavs/ --out words.parquet --output phonetic --on-error skip
repkit extract speech.safetensors wavs/ --out frames.parquet --output frames
repkit extract dann.safetensors all.csv --id name --out f.parquet
repkit extract dann.safetensors all.csv --out f.parquet --shard 3/8    (writes f-3-of-8.parquet)
torchrun --nproc-per-node 4 -m repkit extract vae.safetensors imgs/ --out f.parquet --shard auto""",
)
@model_argument
@data_argument
@click.option("--out", required=True, type=out_path(), metavar="FILE", help="A .parquet file.")
@click.option(
    "--output",
    type=click.Choice(ALL),
    help="What to write; which of these there are depends on the model. By default its features.",
)
@click.option(
    "--id", "id_column", metavar="COLUMN", help="The column of a table that names its rows."
)
@click.option(
    "--shard",
    type=ShardType(),
    help="The i-th of n equal parts, in a file of its own; auto: what torchrun or SLURM says.",
)
@click.option("--device", default="auto", show_default=True, help="Where to compute.")
@click.option("--force", is_flag=True, help="Write anew what is there already.")
@drop_option
@skip_option
def extract(
    model: Path,
    data: str,
    out: Path,
    output: str | None,
    id_column: str | None,
    shard: tuple[int, int] | None,
    device: str,
    force: bool,
    drop: tuple[str, ...],
    on_error: str,
) -> None:
    """Write the features of DATA, a row a sample, to a Parquet file.

    The column "path" or "index", or the one of --id, says which sample a row is of; the order is
    that of DATA. With --output frames, a recording has a row for every few frames, with the column
    "time": seconds, at the middle of what the row stands for. Samples are read as they are needed,
    so memory does not grow with DATA (a .npz file and an embedded set are read whole). Images are
    resized to what the model was fitted on.

    A file that is finished is not written again. With --on-error skip, what cannot be used is left
    out and listed in FILE with the ending .skipped.csv.
    """
    check_out(out, ".parquet", force=True)  # `_finished` looks
    header = read_header(model)
    need("pyarrow.parquet", "data")
    name, function = output_of(header.content["class"], output)
    if shard is not None:
        digits = len(str(shard[1]))
        out = out.with_name(f"{out.stem}-{shard[0]:0{digits}}-of-{shard[1]}{out.suffix}")
    wanted = Wanted(drop=drop, skip=on_error == "skip", id=id_column)
    speech = header.content["class"] == "SpeechAutoencoder"
    # Before torch is loaded: DATA that is not there, and work that is done.
    stamp = {"model": header.digest, "output": name, "shard": shard and list(shard)}
    if id_column is not None:
        stamp["id"] = id_column
    stamp |= open_source(data, wanted, speech=speech).stamp()
    if not force and _finished(out, stamp):
        say(f"{out} is finished already")
        return
    wanted.model = open_model(model, device)
    source = open_source(data, wanted, speech=speech)
    start, stop = 0, None
    if shard is not None:
        total = source.count()
        start, stop = (total * k // shard[1] for k in (shard[0] - 1, shard[0]))
    rows, skipped = _write(out, stamp, source, function, start, stop)
    listing = out.with_suffix(".skipped.csv")
    listing.unlink(missing_ok=True)
    if skipped:
        with listing.open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([(source.id_name, "reason"), *skipped])
        click.echo(f"skipped {len(skipped)} of {rows + len(skipped)}; see {listing}", err=True)
    say(f"{out}: {rows} rows")


def _finished(out: Path, stamp: dict[str, Any]) -> bool:
    """Whether a file holds just these features; a UsageError if it holds others."""
    if not out.exists():
        return False
    parquet = need("pyarrow.parquet", "data")
    try:
        found = json.loads(parquet.read_schema(out).metadata[KEY])
    except Exception:  # torn, or of another program
        found = None
    if found == stamp:
        return True
    raise click.UsageError(
        f"--out {out} is there already, of another model, output or DATA; give --force to replace "
        "it"
    )


def _write(
    out: Path,
    stamp: dict[str, Any],
    source: Source,
    function: Output,
    start: int,
    stop: int | None,
) -> tuple[int, list[tuple[Any, str]]]:
    """Write the features, whole or not at all; how many rows, and what was left out."""
    from repkit.cli.progress import Samples

    parquet = need("pyarrow.parquet", "data")
    partial = out.with_name(f"{out.name}-{os.getpid()}.part")
    rows, done, skipped, writer = 0, 0, [], None
    total = None if stop is None else stop - start
    try:
        with Samples("extract", total) as shown:
            for block in source.blocks(start, stop):
                found = _features(block, source, function)
                skipped += block.skipped
                if found is not None:
                    table = _table(source, block.ids, found, stamp)
                    if writer is None:
                        writer = parquet.ParquetWriter(partial, table.schema)
                    writer.write_table(table)
                    rows += len(table)
                    done += len(block.ids)
                shown.set(done + len(skipped))
        if writer is None:
            first = f"; the first, {skipped[0][0]}: {skipped[0][1]}" if skipped else ""
            raise ValueError(f"{source.given} has no sample to extract from{first}")
        writer.close()
        os.replace(partial, out)
    except BaseException:
        if writer is not None:
            writer.close()
        partial.unlink(missing_ok=True)
        raise
    return rows, skipped


def _table(source: Source, ids: list[Any], found: Found, stamp: Any) -> Any:
    pyarrow = need("pyarrow", "data")
    column = pyarrow.array(ids, source.id_type(), from_pandas=True)
    if found.counts is not None:
        column = column.take(pyarrow.array(np.repeat(np.arange(len(ids)), found.counts)))
    columns = {source.id_name: column}
    for k, name in enumerate(found.names):
        columns[name] = pyarrow.array(np.ascontiguousarray(found.values[:, k]))
    table = pyarrow.table(columns)
    return table.replace_schema_metadata({KEY: json.dumps(stamp)})


def _features(block: Block, source: Source, function: Output) -> Found | None:
    """Features of a block; of sound, what cannot be used is put with the skipped ones."""
    model, order = source.wanted.model, {name: k for k, name in enumerate(block.ids)}
    while len(block.ids):
        try:
            return function(model, block.X)
        except ValueError as error:
            place = getattr(error, "index", None)  # of an AudioError
            if place is None:
                raise ValueError(f"{source.given}, {_range(block)}: {error}") from error
            if not source.wanted.skip:
                name, reason = block.ids[place], getattr(error, "reason", error)
                where = name if name == source.given else f"{name} of {source.given}"
                raise ValueError(f"{where}: {reason}") from error
            block.skipped.append((block.ids.pop(place), error.reason))  # type: ignore[attr-defined]
            block.skipped.sort(key=lambda one: order[one[0]])
            block.X = [x for k, x in enumerate(block.X) if k != place]
    return None


def _range(block: Block) -> str:
    return f"{block.ids[0]} to {block.ids[-1]}"
