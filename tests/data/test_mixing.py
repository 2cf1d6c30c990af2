from collections import Counter

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from fusion_lab.data.mixing import Draw, EqualMixing

SIZES = st.dictionaries(st.sampled_from(["ivf", "mff", "mef", "mif"]), st.integers(1, 30), min_size=1)
BATCH = st.integers(1, 5)
SEED = st.integers(0, 2**31 - 1)
QUICK = settings(max_examples=60, deadline=None)


def batches(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return list(sampler)


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 3))
def test_every_batch_has_an_equal_share_of_each_task(sizes, batch_size, seed, epoch):
    sampler = EqualMixing(sizes, batch_size, seed)
    found = batches(sampler, epoch)
    assert len(found) == len(sampler) == max(1, max(sizes.values()) // batch_size)
    for batch in found:
        assert Counter(draw.task for draw in batch) == dict.fromkeys(sizes, batch_size)
        assert all(0 <= draw.index < sizes[draw.task] for draw in batch)


@QUICK
@given(SIZES, BATCH, SEED)
def test_epoch_shows_no_pair_of_the_longest_task_twice(sizes, batch_size, seed):
    longest = max(sizes, key=sizes.get)
    assume(sizes[longest] >= batch_size)
    shown = [draw.index for batch in batches(EqualMixing(sizes, batch_size, seed)) for draw in batch]
    tasks = [draw.task for batch in batches(EqualMixing(sizes, batch_size, seed)) for draw in batch]
    of_longest = [index for index, task in zip(shown, tasks, strict=True) if task == longest]
    assert len(set(of_longest)) == len(of_longest)
    assert len(of_longest) > sizes[longest] - batch_size


@QUICK
@given(SIZES, BATCH, SEED)
def test_shorter_tasks_are_shown_as_evenly_as_can_be(sizes, batch_size, seed):
    """Each pass shows every pair once before any comes again."""
    found = batches(EqualMixing(sizes, batch_size, seed))
    for task, size in sizes.items():
        shown = [draw.index for batch in found for draw in batch if draw.task == task]
        for start in range(0, len(shown), size):
            one_pass = shown[start : start + size]
            assert len(set(one_pass)) == len(one_pass)


@QUICK
@given(SIZES, BATCH, SEED, st.integers(1, 4), st.integers(0, 2))
def test_ranks_cut_the_batches_of_one_process_into_slices(sizes, batch_size, seed, world_size, epoch):
    whole = batches(EqualMixing(sizes, batch_size * world_size, seed), epoch)
    ranks = [batches(EqualMixing(sizes, batch_size, seed, rank, world_size), epoch) for rank in range(world_size)]
    assert {len(rank) for rank in ranks} == {len(whole)}
    for number, batch in enumerate(whole):
        for task in sizes:
            slices = [draw for rank in ranks for draw in rank[number] if draw.task == task]
            assert slices == [draw for draw in batch if draw.task == task]


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 5))
def test_order_is_a_function_of_seed_and_epoch(sizes, batch_size, seed, epoch):
    fresh = EqualMixing(sizes, batch_size, seed)
    used = EqualMixing(sizes, batch_size, seed)
    for earlier in range(epoch):
        batches(used, earlier)
    assert batches(used, epoch) == batches(fresh, epoch)
    # A task's own order does not feel the other tasks, as long as they do not lengthen the epoch.
    more = EqualMixing({**sizes, "pan": 1}, batch_size, seed)
    assert [[d for d in b if d.task != "pan"] for b in batches(more, epoch)] == batches(fresh, epoch)


def test_epochs_seeds_and_tasks_differ():
    sizes = {"ivf": 40, "mff": 40}
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            for task in sizes:
                found = batches(EqualMixing(sizes, 4, seed), epoch)
                orders[seed, epoch, task] = tuple(d.index for b in found for d in b if d.task == task)
    assert len(set(orders.values())) == len(orders)


def test_every_draw_has_randomness_of_its_own():
    sampler = EqualMixing({"ivf": 200, "mff": 3}, 4)
    seeds = [draw.seed for epoch in (0, 1) for batch in batches(sampler, epoch) for draw in batch]
    assert len(set(seeds)) == len(seeds) == 800


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 4), st.data())
def test_resuming_in_an_epoch_gives_exactly_the_rest(sizes, batch_size, seed, epoch, data):
    sampler = EqualMixing(sizes, batch_size, seed)
    whole, following = batches(sampler, epoch), batches(sampler, epoch + 1)
    done = data.draw(st.integers(0, len(whole) - 1))
    resumed = EqualMixing(sizes, batch_size, seed)
    resumed.resume(epoch, done)
    assert batches(resumed, epoch) == whole[done:]
    # The next pass, of whatever epoch, is whole again.
    assert batches(resumed, epoch) == whole
    assert batches(resumed, epoch + 1) == following


def test_setting_another_epoch_forgets_the_place_of_resuming():
    sampler = EqualMixing({"ivf": 12}, 2)
    sampler.resume(3, 4)
    assert len(batches(sampler, 4)) == 6


def test_place_is_taken_when_the_pass_begins():
    sampler = EqualMixing({"ivf": 12}, 2)
    sampler.resume(0, 4)
    iterator = iter(sampler)
    sampler.resume(0, 1)
    assert len(list(iterator)) == 2
    assert len(list(sampler)) == 5


def test_task_smaller_than_the_batch_repeats_its_pairs():
    (batch,) = batches(EqualMixing({"mff": 2}, 5))
    assert Counter(draw.index for draw in batch).most_common() in ([(0, 3), (1, 2)], [(1, 3), (0, 2)])
    assert all(isinstance(draw, Draw) for draw in batch)
