"""What the figures of stacks share does what it says."""

from __future__ import annotations

import numpy as np
import pytest

from devnet.organization import organize_stack

STUDY = "raghavan2020_multilayer"


def small_stack(shared, learn: bool = True):
    spec = shared.stack_spec((12, 4, 3), mature_after=200, prune=0.5)
    return organize_stack(shared.square_sheet(12), spec, steps=2048, rng=0, learn=learn)


def test_frozen_projections_are_random_and_as_sparse_as_learned_ones(script) -> None:
    figure, shared = script(STUDY, "fig1_three_layers"), script(STUDY, "_stacks")
    learned = small_stack(shared)
    frozen = figure._as_drawn(learned, 0)
    drawn = small_stack(shared, learn=False)
    for ours, kept, first in zip(learned.layers, frozen.layers, drawn.layers, strict=True):
        assert np.array_equal(np.count_nonzero(kept.weights, axis=0), np.count_nonzero(ours.weights, axis=0))
        assert kept.weights.sum(axis=0) == pytest.approx(1.0)
        ratio = kept.weights / first.weights
        assert np.ptp(np.where(ratio > 0, ratio, ratio.max(axis=0)), axis=0).max() < 1e-9  # weights as drawn
    assert np.count_nonzero(learned.layers[0].weights) < learned.layers[0].weights.size
    assert not np.array_equal(frozen.layers[0].weights > 0, learned.layers[0].weights > 0)


def test_a_watch_says_from_where_on_nothing_changes(script) -> None:
    figure, shared = script(STUDY, "fig1_three_layers"), script(STUDY, "_stacks")
    watch = figure._Watch(small_stack(shared, learn=False), figure.CHUNK)
    values = [0.5, 0.501, 0.8, 0.9, 0.905, 0.9]
    watch.looks = [(100 * n, float(n), np.array([1.0, value])) for n, value in enumerate(values, start=1)]
    assert watch.settled() == (400, 4.0)  # at 200 it seemed so too
    watch.looks = watch.looks[:1]
    assert watch.settled() == (100, 1.0)


def test_watching_leaves_a_stack_as_it_is(script) -> None:
    figure, shared = script(STUDY, "fig1_three_layers"), script(STUDY, "_stacks")
    sheet, spec = shared.square_sheet(12), shared.stack_spec((12, 4, 3), mature_after=200)
    watch = figure._Watch(organize_stack(sheet, spec, steps=1, rng=0, learn=False), figure.CHUNK)
    seen = organize_stack(sheet, spec, steps=4096, rng=0, checkpoint=watch)
    alone = organize_stack(sheet, spec, steps=4096, rng=0)
    assert [step for step, *_ in watch.looks] == [1024, 2048, 3072]
    for a, b in zip(seen.layers, alone.layers, strict=True):
        assert np.array_equal(a.weights, b.weights)


def test_images_are_frames_of_the_first_sheet_and_teach_a_copy(script) -> None:
    figure, shared = script(STUDY, "fig5_rules_on"), script(STUDY, "_stacks")
    images = np.zeros((2, 12, 12), np.float32)
    images[0, 3:6, 3:7], images[1, 8:11, 2:8] = 1.0, 0.7
    frames = list(figure.frames_of(images))
    assert len(frames) == 2 * (figure.SHOWN + figure.PAUSE)
    for step, cells in enumerate(frames):
        image, at = divmod(step, figure.SHOWN + figure.PAUSE)
        expected = np.flatnonzero(images[image]) if at < figure.SHOWN else []
        assert cells.tolist() == list(expected)
    stack = small_stack(shared)
    before = stack.weights(2).copy()
    later = figure.after_images(stack, np.tile(images, (200, 1, 1)))
    assert np.array_equal(stack.weights(2), before)
    on = images.any(axis=0).ravel()
    assert later.weights(2)[on].sum() > before[on].sum() + 1.0
    assert later.weights(2).sum(axis=0) == pytest.approx(1.0)
    fired = figure.firing(later, images)
    assert fired.shape == (2, 16 + 9)
    assert 0 < fired.max() <= (figure.SHOWN + figure.PAUSE) / figure.SHOWN


def test_closed_forms_of_windows_tell_a_wrong_law(script) -> None:
    figure = script(STUDY, "fig9_rules")
    measured, closed = figure._train("triplet", 20, figure.APART)
    assert measured == pytest.approx(closed, rel=1e-12)
    wrong = figure._closed(figure.TRIPLET.replace(tau_y=120.0), np.arange(0, 200, 20), np.arange(10, 210, 20))
    right = figure._closed(figure.TRIPLET, np.arange(0, 200, 20), np.arange(10, 210, 20))
    assert wrong != pytest.approx(right, rel=1e-3)
