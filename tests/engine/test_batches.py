import mmap
import threading
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy import sparse

from repkit.engine.batches import Batches, HostRows, passes, take, to_device, to_float

CPU = torch.device("cpu")


def batches(n=10, count=4, seed=0, extra=(), **options):
    streams = [(np.arange(n), count), *extra]
    total = max(int(rows.max()) for rows, _ in streams) + 1
    return Batches({"i": torch.arange(total)}, streams, seed=seed, device=CPU, **options)


def rows(b, steps):
    return torch.stack([b.rows(step) for step in steps])


def test_a_batch_depends_on_the_seed_and_the_step_only():
    forward = rows(batches(), range(12))
    assert torch.equal(rows(batches(), range(12)), forward)
    one = batches()
    order = [11, 0, 5, 5, 2, 9, 1, 3, 4, 6, 7, 8, 10]
    for step in order:  # in any order
        assert torch.equal(one.rows(step), forward[step])
        assert torch.equal(one.at(step).i, forward[step])
    torch.manual_seed(77)
    np.random.seed(77)
    assert torch.equal(rows(batches(), range(12)), forward)
    assert not torch.equal(rows(batches(seed=1), range(12)), forward)


def test_rows_are_drawn_to_one_place_and_a_batch_that_is_kept_has_its_own():
    b = batches(constants={"c": torch.ones(2)})
    kept = [b.at(step) for step in (0, 1)]
    drawn = [b.draw(step) for step in (0, 1)]
    assert drawn[0].rows is drawn[1].rows
    assert drawn[0].c is drawn[1].c
    for step, batch in enumerate(kept):
        assert torch.equal(batch.rows, b.rows(step))
        assert torch.equal(batch.i, batch.rows)
        assert batch.c.tolist() == [1, 1]
    assert torch.equal(drawn[1].rows, kept[1].rows)
    assert not torch.equal(kept[0].rows, kept[1].rows)


@pytest.mark.parametrize(("n", "count"), [(10, 4), (12, 4), (3, 8), (7, 7), (1, 3)])
def test_every_row_is_seen_once_a_pass(n, count):
    b = batches(n, count)
    passes = 7
    seen = rows(b, range(-(-n * passes // count))).flatten()[: n * passes].view(passes, n)
    for part in seen:
        assert part.sort().values.tolist() == list(range(n))
    if n >= 7:
        assert len({tuple(part.tolist()) for part in seen}) == passes  # each in its own order
    assert b.steps_per_epoch == -(-n // count)


def test_streams_do_not_depend_on_each_other():
    alone = rows(batches(10, 4), range(20))
    for extra in ((np.arange(10, 13), 2), (np.arange(10, 60), 3)):  # shorter, and longer
        both = batches(10, 4, extra=[extra])
        assert both.size == 4 + extra[1]
        together = rows(both, range(20))
        assert torch.equal(together[:, :4], alone)
        assert np.isin(together[:, 4:].numpy(), extra[0]).all()
    assert both.steps_per_epoch == 17
    twins = rows(batches(10, 4, extra=[(np.arange(10), 4)]), range(20))
    assert not torch.equal(twins[:, :4], twins[:, 4:])


def test_the_length_of_an_epoch_changes_no_batch():
    expected = rows(batches(), range(12))
    for steps in (1, 5, 12):
        b = batches(steps_per_epoch=steps)
        assert b.steps_per_epoch == steps
        assert torch.equal(rows(b, range(12)), expected)


def test_an_epoch_shows_every_row():
    b = batches(10, 4, extra=[(np.arange(10, 33), 3)])
    seen = rows(b, range(b.steps_per_epoch)).flatten()
    assert set(seen.tolist()) == set(range(33))


def host(array):
    return HostRows(array, np.asarray)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, ">f4", np.uint8, np.int64])
@pytest.mark.parametrize("shape", [(), (5,), (4, 4), (3, 4, 4)])
def test_rows_of_a_memory_map_equal_rows_in_memory(tmp_path, dtype, shape):
    array = np.random.default_rng(0).integers(0, 200, (20, *shape)).astype(dtype)
    np.save(tmp_path / "x.npy", array)
    disk = np.load(tmp_path / "x.npy", mmap_mode="r")
    streams = [(np.arange(20), 6)]
    stores = to_device(array, CPU), host(disk)
    made = [Batches({"x": x}, streams, seed=0, device=CPU) for x in stores]
    for step in range(8):
        ours, theirs = (b.at(step).x for b in made)
        assert torch.equal(ours, theirs)
        assert ours.dtype == theirs.dtype
        assert ours.stride() == theirs.stride()
        assert np.array_equal(ours.numpy(), array[made[0].rows(step).numpy()])


def test_only_the_rows_of_a_memory_map_are_read(tmp_path):
    class Spy(np.memmap):
        reads = []

        def __getitem__(self, key):
            self.reads.append(np.size(key))
            return super().__getitem__(key)

    np.zeros((100, 2), np.float32).tofile(tmp_path / "x")
    disk = Spy(tmp_path / "x", np.float32, "r", shape=(100, 2))
    b = Batches({"x": host(disk)}, [(np.arange(100), 5)], seed=0, device=CPU)
    b.at(0)
    b._reader.shutdown()  # the next step's rows, too, have been read by now
    assert Spy.reads == [5, 5]


def test_rows_of_a_sparse_table_are_converted_as_they_are_taken():
    dense = np.diag(np.arange(1.0, 9.0))
    given = []

    def convert(rows):
        given.append(rows.shape)
        return rows.toarray() + 1

    b = Batches(
        {"x": HostRows(sparse.csr_array(dense), convert)},
        [(np.arange(8), 3)],
        seed=0,
        device=CPU,
    )
    assert torch.equal(b.at(0).x, torch.from_numpy(dense + 1).float()[b.rows(0)])
    assert set(given) == {(3, 8)}  # those of the next step too, which are read ahead


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_images_are_channels_last(dtype):
    array = np.arange(6 * 3 * 4 * 5).reshape(6, 3, 4, 5).astype(dtype)
    store = to_device(array, CPU)
    part = take(store, torch.tensor([4, 1]))
    for x, expected in ((store, array), (part, array[[4, 1]])):
        assert x.is_contiguous(memory_format=torch.channels_last)
        assert np.array_equal(x.numpy(), expected)


@pytest.mark.parametrize("shape", [(5, 1, 4, 6), (5, 1, 1, 1), (5, 1, 4, 1), (1, 1, 3, 3)])
def test_one_channel_has_the_strides_of_a_conversion(shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    wanted = torch.from_numpy(array).to(memory_format=torch.channels_last)
    found = to_device(array, CPU)
    assert found.stride() == wanted.stride()
    assert torch.equal(found, wanted)


def test_the_device_holds_a_copy():
    for array in (np.zeros((3, 2), np.float32), np.zeros((3, 1, 2, 2), np.float32)):
        store = to_device(array, CPU)
        store.fill_(1)
        assert not array.any()
    array.flags.writeable = False
    to_device(array, CPU)  # without torch's warning of a read-only array


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        (np.float64, torch.float32),
        (np.float16, torch.float32),
        (np.int32, torch.float32),
        (np.uint8, torch.uint8),
        (np.int64, torch.int64),
    ],
)
def test_dtypes_on_the_device(given, kept):
    assert to_device(np.ones((2, 2), given), CPU).dtype == kept
    assert to_device(np.ones((4, 4), given)[::2, ::2], CPU).shape == (2, 2)


def test_to_float_scales_uint8_images_only():
    image = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 3)
    assert to_float(image).flatten().tolist() == pytest.approx([0, 0.2, 1])
    assert image.dtype == torch.uint8
    assert image.flatten().tolist() == [0, 51, 255]
    assert to_float(torch.tensor([[3, 200]], dtype=torch.uint8)).tolist() == [[3, 200]]
    floats = torch.rand(2, 3, 4)
    assert torch.equal(to_float(floats), floats)


def test_rows_on_the_disk_are_read_ahead(tmp_path):
    """In another thread, and none but those of the step after; an error comes with its step."""
    taken = []

    def convert(rows):
        taken.append((threading.current_thread() is threading.main_thread(), len(rows)))
        if (rows == 7).any():
            raise ValueError("a bad row")
        return np.asarray(rows, dtype=np.float32)

    x = np.arange(20.0)[:, None]
    np.save(tmp_path / "x.npy", x)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    cpu = torch.device("cpu")
    streams = [(np.arange(20), 5)]
    plain = Batches({"x": to_device(x, cpu)}, streams, seed=3, device=cpu)
    ahead = Batches({"x": HostRows(mapped, convert)}, streams, seed=3, device=cpu)
    bad = next(k for k in range(4) if (plain.at(k).x == 7).any())
    for step in (0, 1, 2, 3, 4, 2, 3):  # and a run that goes back
        if step % 4 == bad:
            with pytest.raises(ValueError, match="a bad row"):
                ahead.at(step)
        else:
            assert torch.equal(ahead.at(step).x, plain.at(step).x)
    assert any(main for main, _ in taken)
    assert any(not main for main, _ in taken)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED"), reason="memory cannot be given back")
@pytest.mark.parametrize("mode", ["r", "r+", "c"])
def test_what_was_read_of_a_memory_map_goes(tmp_path, mode, monkeypatch):
    monkeypatch.setattr("repkit.engine.batches.READ", 2**20)

    def resident():
        return int(Path("/proc/self/statm").read_text().split()[2]) * mmap.PAGESIZE

    np.save(tmp_path / "x.npy", np.ones((4096, 4096), dtype=np.uint8))
    x = np.load(tmp_path / "x.npy", mmap_mode=mode)
    if mode != "r":
        x[5] = 9
    before = resident()
    total = sum(int(block.sum()) for block in passes(x))
    assert total == 4096 * 4096 + (0 if mode == "r" else 8 * 4096)
    if mode != "c":  # of which what was written would be lost
        assert resident() - before < 2**22
    assert x[5, 0] == (1 if mode == "r" else 9)
