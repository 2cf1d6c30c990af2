from collections import Counter
from fractions import Fraction
from zlib import crc32

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st

from fusion_lab.data.mixing import Draw, EqualShares, MixedBatches, Proportional, Shares, Temperature
from fusion_lab.errors import FusionLabError

TASKS = ["ivf", "mff", "mef", "mif"]
SIZES = st.dictionaries(st.sampled_from(TASKS), st.integers(1, 30), min_size=1)
BY_HAND = st.fixed_dictionaries({task: st.floats(0.1, 1) for task in TASKS})
BATCH = st.integers(1, 5)
RANKS = st.integers(1, 4)
SEED = st.integers(0, 2**31 - 1)
QUICK = settings(max_examples=60, deadline=None)


class ByHand(Shares):
    """`Shares` of whichever tasks there are."""

    def shares(self, sizes):
        return Shares({task: self.given[task] for task in sizes}).shares(sizes)


MIXINGS = st.one_of(
    st.just(EqualShares()),
    st.just(Proportional()),
    st.builds(Temperature, st.floats(0.8, 20)),
    st.builds(ByHand, BY_HAND),
)


def mixed(sizes, batch_size=2, seed=0, rank=0, world_size=1, mixing=None):
    return MixedBatches(sizes, (mixing or EqualShares()).shares(sizes), batch_size, seed, rank, world_size)


def every_rank(sizes, batch_size, seed, world_size, mixing):
    """The samplers of all ranks, where no task is so small that it would never be seen."""
    try:
        return [mixed(sizes, batch_size, seed, rank, world_size, mixing) for rank in range(world_size)]
    except FusionLabError:
        assume(False)


def batches(sampler, epoch=0):
    sampler.set_epoch(epoch)
    return list(sampler)


def counts(batch):
    return Counter(draw.task for draw in batch)


def shown(found, task):
    return [draw.index for batch in found for draw in batch if draw.task == task]


def plain_equal_batches(sizes, batch_size, seed, epoch, rank, world_size):
    """What equal shares mean, written plainly: the order of TITA's release, cut into slices by rank."""
    together = batch_size * world_size
    number = max(1, max(sizes.values()) // together)
    found = [[] for _ in range(number)]
    for task, size in sizes.items():
        generator = np.random.default_rng([seed, epoch, crc32(task.encode())])
        order = []
        for _ in range(-(-number * together // size)):
            order += generator.permutation(size).tolist()
        seeds = generator.integers(2**31, size=number * together).tolist()
        for batch in range(number):
            for place in range(batch * together + rank * batch_size, batch * together + (rank + 1) * batch_size):
                found[batch].append(Draw(task, order[place], seeds[place]))
    return found


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 3), RANKS, st.floats(0.01, 100))
def test_equal_shares_are_dealt_as_the_release_does(sizes, batch_size, seed, epoch, world_size, share):
    for rank in range(world_size):
        plain = plain_equal_batches(sizes, batch_size, seed, epoch, rank, world_size)
        for mixing in (EqualShares(), ByHand(dict.fromkeys(TASKS, share))):
            assert batches(mixed(sizes, batch_size, seed, rank, world_size, mixing), epoch) == plain
    assert all(counts(batch) == dict.fromkeys(sizes, batch_size) for batch in plain)


@QUICK
@given(SIZES, BATCH, SEED, RANKS, st.integers(0, 2))
def test_ranks_with_equal_shares_cut_the_batches_of_one_process(sizes, batch_size, seed, world_size, epoch):
    whole = batches(mixed(sizes, batch_size * world_size, seed), epoch)
    ranks = [batches(mixed(sizes, batch_size, seed, rank, world_size), epoch) for rank in range(world_size)]
    assert {len(rank) for rank in ranks} == {len(whole)}
    for number, batch in enumerate(whole):
        for task in sizes:
            slices = [draw for rank in ranks for draw in rank[number] if draw.task == task]
            assert slices == [draw for draw in batch if draw.task == task]


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 3), RANKS, MIXINGS)
def test_batches_are_of_one_size_and_alike_on_every_rank(sizes, batch_size, seed, epoch, world_size, mixing):
    samplers = every_rank(sizes, batch_size, seed, world_size, mixing)
    ranks = [batches(sampler, epoch) for sampler in samplers]
    assert {len(rank) for rank in ranks} == {len(samplers[0])}
    for together in zip(*ranks, strict=True):
        assert {len(batch) for batch in together} == {batch_size * len(sizes)}
        assert all(counts(batch) == counts(together[0]) for batch in together)
    # Batch by batch, the ranks' parts of a task make up its order: each pass shows every pair before any comes again.
    for task, size in sizes.items():
        order = [i for together in zip(*ranks, strict=True) for batch in together for i in shown([batch], task)]
        assert order
        for start in range(0, len(order), size):
            one_pass = order[start : start + size]
            assert len(set(one_pass)) == len(one_pass)
            assert set(one_pass) <= set(range(size))


@QUICK
@given(st.lists(st.one_of(st.integers(1, 3), st.integers(1, 90)), min_size=1, max_size=9), BATCH)
@example([92] + [1] * 8, 1)
def test_places_are_dealt_by_sainte_lague(numbers, batch_size):
    """Each place goes to the task with the smallest (had + 1/2) / share, in exact fractions."""
    tasks = [f"task{number}" for number in range(len(numbers))]
    had = dict.fromkeys(tasks, 0)
    # In the example the epoch ends where the large task is ahead of its share.
    sizes = {task: max(1, 146 * number // sum(numbers)) for task, number in zip(tasks, numbers, strict=True)}
    for batch in mixed(sizes, batch_size, mixing=Shares(dict(zip(tasks, numbers, strict=True)))):
        before = dict(had)
        for _ in range(batch_size * len(tasks)):
            winner = min(tasks, key=lambda task: Fraction(2 * had[task] + 1, numbers[tasks.index(task)]))
            had[winner] += 1
        assert counts(batch) == Counter(had) - Counter(before)


@QUICK
@given(SIZES, BATCH, MIXINGS)
def test_shares_are_kept_at_any_time(sizes, batch_size, mixing):
    shares = mixing.shares(sizes)
    seen = Counter()
    for number, batch in enumerate(every_rank(sizes, batch_size, 0, 1, mixing)[0], start=1):
        seen += counts(batch)
        for task, share in shares.items():
            assert abs(seen[task] - share * number * batch_size * len(sizes)) <= (1 + share * len(sizes)) / 2 + 1e-6


@QUICK
@given(SIZES, BATCH, SEED)
def test_one_pool_is_passed_once(sizes, batch_size, seed):
    total, batch = sum(sizes.values()), batch_size * len(sizes)
    assume(total >= batch)
    (sampler,) = every_rank(sizes, batch_size, seed, 1, Proportional())
    pairs = [(draw.task, draw.index) for batch in sampler for draw in batch]
    assert len(set(pairs)) == len(pairs) > total - batch


@QUICK
@given(SIZES, BATCH, SEED, RANKS)
@example({"ivf": 4, "mff": 4, "mef": 28}, 1, 0, 3)
def test_one_pool_is_passed_once_by_all_ranks_but_for_rounding(sizes, batch_size, seed, world_size):
    assume(sum(sizes.values()) >= batch_size * len(sizes) * world_size)
    samplers = every_rank(sizes, batch_size, seed, world_size, Proportional())
    pairs = Counter((draw.task, draw.index) for sampler in samplers for batch in sampler for draw in batch)
    for task in sizes:
        again = sum(count - 1 for pair, count in pairs.items() if pair[0] == task)
        # Every rank shows as many, so that what a rank has too many counts once for each.
        assert again <= world_size * (1 + sizes[task] / sum(sizes.values()) * len(sizes)) / 2


@QUICK
@given(SIZES, BATCH, BY_HAND)
def test_epoch_passes_once_over_the_task_that_needs_longest(sizes, batch_size, by_hand):
    shares = ByHand(by_hand).shares(sizes)
    needed = max(size / shares[task] for task, size in sizes.items())
    assert len(mixed(sizes, batch_size, mixing=ByHand(by_hand))) == max(1, round(needed) // (batch_size * len(sizes)))


def test_small_task_is_absent_from_some_batches():
    found = list(mixed({"ivf": 36, "mff": 4}, 2, mixing=Proportional()))
    assert [dict(counts(batch)) for batch in found] == [
        {"ivf": 4}, {"ivf": 3, "mff": 1}, {"ivf": 4}, {"ivf": 3, "mff": 1}, {"ivf": 4},
        {"ivf": 4}, {"ivf": 3, "mff": 1}, {"ivf": 4}, {"ivf": 3, "mff": 1}, {"ivf": 4},
    ]  # fmt: skip


def test_temperatures_one_and_infinite_give_the_batches_of_one_pool_and_of_equal_shares():
    for sizes in ({"ivf": 30, "mff": 10, "mef": 10}, {"ivf": 121, "mff": 77, "mef": 11}):
        for temperature, other in ((1, Proportional()), (float("inf"), EqualShares()), (1e12, EqualShares())):
            assert list(mixed(sizes, 3, mixing=Temperature(temperature))) == list(mixed(sizes, 3, mixing=other))


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 5), MIXINGS)
def test_order_is_a_function_of_seed_and_epoch(sizes, batch_size, seed, epoch, mixing):
    fresh, used = (every_rank(sizes, batch_size, seed, 1, mixing)[0] for _ in range(2))
    for earlier in range(epoch):
        batches(used, earlier)
    assert batches(used, epoch) == batches(fresh, epoch)


@QUICK
@given(SIZES, BATCH, SEED)
def test_order_of_a_task_does_not_feel_the_others(sizes, batch_size, seed):
    more = batches(mixed({**sizes, "pan": 1}, batch_size, seed))
    # As long as they do not lengthen the epoch.
    assert [[d for d in b if d.task != "pan"] for b in more] == batches(mixed(sizes, batch_size, seed))


def test_epochs_seeds_and_tasks_differ():
    sizes = {"ivf": 40, "mff": 40}
    orders = {
        (seed, epoch, task): tuple(shown(batches(mixed(sizes, 4, seed), epoch), task))
        for seed in (0, 1)
        for epoch in (0, 1)
        for task in sizes
    }
    assert len(set(orders.values())) == len(orders)


@pytest.mark.parametrize("mixing", [EqualShares(), Proportional()])
def test_every_draw_has_randomness_of_its_own(mixing):
    sampler = mixed({"ivf": 200, "mff": 3}, 4, mixing=mixing)
    seeds = [draw.seed for epoch in (0, 1) for batch in batches(sampler, epoch) for draw in batch]
    assert len(set(seeds)) == len(seeds) == 2 * 8 * len(sampler)


@QUICK
@given(SIZES, BATCH, SEED, st.integers(0, 4), RANKS, MIXINGS, st.data())
def test_resuming_in_an_epoch_gives_exactly_the_rest(sizes, batch_size, seed, epoch, world_size, mixing, data):
    sampler = every_rank(sizes, batch_size, seed, world_size, mixing)[-1]
    whole, following = batches(sampler, epoch), batches(sampler, epoch + 1)
    done = data.draw(st.integers(0, len(whole) - 1))
    resumed = every_rank(sizes, batch_size, seed, world_size, mixing)[-1]
    resumed.resume(epoch, done)
    assert batches(resumed, epoch) == whole[done:]
    # The next pass, of whatever epoch, is whole again.
    assert batches(resumed, epoch) == whole
    assert batches(resumed, epoch + 1) == following


def test_setting_another_epoch_forgets_the_place_of_resuming():
    sampler = mixed({"ivf": 12})
    sampler.resume(3, 4)
    assert len(batches(sampler, 4)) == 6


def test_place_is_taken_when_the_pass_begins():
    sampler = mixed({"ivf": 12})
    sampler.resume(0, 4)
    iterator = iter(sampler)
    sampler.resume(0, 1)
    assert len(list(iterator)) == 2
    assert len(list(sampler)) == 5


def test_task_smaller_than_the_batch_repeats_its_pairs():
    (batch,) = mixed({"mff": 2}, 5)
    assert Counter(draw.index for draw in batch).most_common() in ([(0, 3), (1, 2)], [(1, 3), (0, 2)])


def test_epoch_without_end_is_told():
    sizes = {"ivf": 12025, "mff": 500}
    with pytest.raises(FusionLabError, match=r"The share of task 'mff', .*, is too small: .* Raise it in `data"):
        mixed(sizes, mixing=Temperature(0.1))
    with pytest.raises(FusionLabError, match=r"The share of task 'mff', 0, is too small"):
        mixed(sizes, mixing=Temperature(1e-5))


def test_task_that_would_never_be_seen_is_told():
    with pytest.raises(FusionLabError, match=r"Task 'mff' would never be seen: .* in an epoch of 2 batches"):
        mixed({"ivf": 160, "mff": 1}, 5, world_size=8, mixing=Proportional())
