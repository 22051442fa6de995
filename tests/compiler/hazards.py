"""Equations in which memory that is shared too early changes a number."""

from collections.abc import Callable
from typing import Any

import numpy as np

Equations = Callable[[Any, Any], Any]
HAZARDS: list[Equations] = []
# Whole numbers: sums and products are the same in any order.
P, Q = (np.rint(4.0 * np.random.default_rng(i).normal(size=(8, 8))) for i in (0, 1))


def hazard(function: Equations) -> Equations:
    """A row of HAZARDS: of leaves p and q; the rest is computed."""
    HAZARDS.append(function)
    return function


@hazard
def transposed_reader_of_what_dies(p, q):
    a = p @ q
    return a + a.T * 2.0


@hazard
def row_reader_of_what_dies(p, q):
    a = p @ q
    return a - q * a[:1]


@hazard
def reversed_reader_of_what_dies(p, q):
    a = p @ q
    return ((a[::-1] * q) * a) @ q


@hazard
def leaf_is_read_across_before_it_is_written(p, q):
    u = p.T * 2.0
    p[...] = q + u


@hazard
def row_of_the_leaf_is_read_before_it_is_written(p, q):
    u = q * p[:1]
    p[...] = u + 1.0


@hazard
def leaf_shifts_into_itself(p, q):
    u = q * 2.0
    p[1:] = p[:-1]
    return u


@hazard
def leaf_shifts_into_itself_beside_a_run(p, q):
    u = q[1:] * 2.0
    p[1:] = p[:-1]
    q[1:] = u + 1.0


@hazard
def leaf_is_transposed_into_itself(p, q):
    u = q * 2.0
    p[...] = p.T
    return u * 3.0


@hazard
def same_value_is_stored_twice(p, q):
    v = p * 2.0 + q
    p[...] = v
    q[...] = v
    q[:2] = 0.0
    return v + 1.0


@hazard
def stored_value_is_read_after_the_leaf_was_overwritten(p, q):
    v = q * 2.0
    p[...] = v
    p[...] = 0.0
    return v * 5.0


@hazard
def stored_value_is_read_after_another_was_stored_there(p, q):
    v = q * 2.0
    p[...] = v
    u = q * 3.0
    w = v * 5.0
    p[...] = u
    return w


@hazard
def stored_row_is_read_while_the_leaf_is_filled(p, q):
    row = q[:1] * 2.0
    p[:1] = row
    p[...] = row / (2.0 + q * q)


@hazard
def stored_value_is_read_by_a_run_that_stores_across(p, q):
    v = q * 2.0
    p[::-1] = v
    u = v * 0.5
    p[...] = q
    return u + 1.0


@hazard
def leaf_is_swapped(p, q):
    old = p.copy()
    p[...] = q
    q[...] = old


@hazard
def view_of_a_leaf_shows_what_is_stored_later(p, q):
    row = p[1]
    before = row * 1.0
    p[1] = q[2]
    return before - row


@hazard
def view_of_a_computed_value_in_a_run(p, q):
    v = p * 2.0 + q
    return v.T + v[::-1] * v


@hazard
def scalar_is_stored(p, q):
    p[...] = 0.5
    p[1:3] = 2
    q[:, 0] = True
    return p * q


@hazard
def broadcast_value_is_stored(p, q):
    p[...] = q.sum(axis=0)
    q[2:4] = p.mean(axis=1, keepdims=True)[:2]


@hazard
def in_place_operators(p, q):
    p += q
    q *= p[:1]
    p -= 0.5
    p /= 2.0
    q[1:3] += p[:2]
    return p * q


@hazard
def momentum(p, q):
    v = q[0:4] * 0.9 + p[0:4]
    q[0:4] = v
    p[0:4] = p[0:4] - 0.1 * v
    p[4:] = p[4:] - 0.1 * q[4:]


@hazard
def same_operand_twice(p, q):
    v = p + q
    return np.maximum(v * v, v) * np.where(v > 0.0, v, v)


@hazard
def where_over_its_own_operands(p, q):
    v, w = p * 2.0, q * 2.0
    a = np.where(v > w, v, w)
    return np.where(a > 0.5, 0.25, a) + np.where(p > 0.0, p, 1.0)


@hazard
def copy_is_not_its_leaf(p, q):
    old = p.copy()
    p[...] = q
    return old + 1.0


@hazard
def conversion_is_not_its_leaf(p, q):
    old = p.astype(p.dtype)
    p[...] = q
    return old + 1.0


@hazard
def reshaped_slice_shows_what_is_stored_later(p, q):
    rows = p[:4].reshape(-1)
    p[...] = q
    return rows + 1.0


@hazard
def repeated_expression_after_a_store(p, q):
    a = np.square(p).sum()
    p[...] = p - 0.5
    return a - np.square(p).sum()


@hazard
def leaf_is_multiplied_into_itself(p, q):
    p[...] = p @ q


@hazard
def leaf_is_chosen_first(p, q):
    p[...] = np.where(p > 0.0, p, q)


@hazard
def leaf_is_the_condition(p, q):
    mask = p > q
    p[...] = np.where(mask, q, p)
    q[...] = mask


@hazard
def row_is_read_again_after_its_leaf_was_stored(p, q):
    u = p * 2.0
    m = u.max(axis=-1, keepdims=True)
    p[...] = q
    return u - m
