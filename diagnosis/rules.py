"""From measurements to words: what each illness looks like, and what to try."""

from collections.abc import Iterator

import numpy as np

from xpnet.diagnosis.rate_rules import LEARNT, LOOKS, TINY, RateFindings
from xpnet.diagnosis.report import Diagnosis, Finding, median
from xpnet.diagnosis.score import Score
from xpnet.diagnosis.thresholds import THRESHOLDS

FEW = 20  # samples below which nothing is said of units that are idle for all of them
MUCH = 0.25  # of what there is to gain in training: some of it should hold elsewhere
RARE = 0.75  # share of one class, from which on the others are rare


class Findings:
    """What `diagnosis` shows, illness by illness; causes come before effects."""

    def __init__(self, diagnosis: Diagnosis) -> None:
        self._seen, self._names = diagnosis, diagnosis.names
        self._layers, self._rate = diagnosis.layers, RateFindings(diagnosis)

    def all(self) -> list[Finding]:
        """Every illness that is there."""
        scale, flow = [*self._scale()], [*self._flow()]
        idle = [*self._idle("dead"), *self._idle("saturated")]
        explained = scale or any(f.illness == "exploding δ" for f in flow)
        ask = bool(self._seen.diverged) or not explained
        rate = [*self._rate.too_high()] if ask else []
        ran_away = any(f.sign == "rising loss" for f in rate)
        if ran_away or any(f.illness == "dead units" for f in idle):
            flow = []  # δ of weights that are lost is no illness of its own
        if not (scale or idle or flow or rate):
            rate = [*self._rate.too_low()]
        causes = [*scale, *flow, *rate, *idle]
        end = [] if causes else [*self._guessing()]
        overfitting = [] if end else [*self._overfitting()]
        by_heart = [] if end or overfitting else [*self._by_heart()]
        return [*causes, *end, *overfitting, *by_heart]

    # What comes in.

    def _scale(self) -> Iterator[Finding]:
        inputs = self._seen.inputs
        words = {
            "large inputs": (inputs.largest, "a feature of x has size {:.3g}"),
            "unequal inputs": (
                inputs.spread,
                "one feature of x is {:.3g} times as wide as another",
            ),
            "offset inputs": (
                inputs.offset,
                "{:.0%} of the features of x vary little around a mean far from 0",
            ),
            "large targets": (inputs.targets, "y has size {:.3g}"),
        }
        for sign, (value, text) in words.items():
            if value > THRESHOLDS[sign].value:
                what = "y" if sign == "large targets" else "x"
                remedy = f"`Standardizer.fit({what}).transform({what})`, fitted to the "
                remedy += "training part"
                yield Finding.of(sign, None, text.format(value), remedy, value)

    # What flows back.

    def _hidden(self) -> list[int]:
        """The layers that have a z, but for the last."""
        z = self._layers["z"][:, :-1]
        return [int(i) for i in np.flatnonzero(np.isfinite(z).any(axis=0))]

    def _flow(self) -> Iterator[Finding]:
        """Compare δ of the lowest hidden layer with that of the highest."""
        rows = self._hidden()
        if len(rows) < 2:
            return
        size = {i: median(self._layers["delta"][:, i]) for i in rows}
        top, low = rows[-1], rows[0]
        ratio = size[low] / max(size[top], TINY)
        if ratio < THRESHOLDS["small δ below"].value:
            sign, verb, last = "small δ below", "vanishes", "fewer layers"
        elif ratio < THRESHOLDS["smaller δ below"].value and self._guesses():
            sign, verb, last = "smaller δ below", "vanishes", "fewer layers"
        elif ratio > THRESHOLDS["large δ below"].value:
            sign, verb, last = "large δ below", "explodes", "`Adam(clip_norm=1.0)`"
        else:
            return
        limit = THRESHOLDS[sign].value * size[top]
        layer = [i for i in rows if (size[i] > limit) == (ratio > 1.0)][-1]
        named = dict.fromkeys((top, layer, low))
        text = ", ".join(f"{size[i]:.2g} in {self._names[i]}" for i in named)
        remedy = "`Dense(64, 'relu', initializer='he_normal')`, `BatchNorm()` between "
        remedy += "the layers, "
        yield Finding.of(sign, layer, f"δ {verb}: {text}", remedy + last, ratio)

    # Units that do nothing.

    def _idle(self, measure: str) -> Iterator[Finding]:
        if self._seen.samples < FEW:
            return
        sign = f"{measure} units"
        limit = THRESHOLDS[sign].value
        for layer in self._hidden():
            values = self._layers[measure][:, layer]
            half = len(values) // 2
            share = median(values[half:])
            if not share >= limit:
                continue
            if measure == "dead":
                words = f"dead: 0 for every one of {self._seen.samples} samples"
                remedy = "a lower learning rate, "
                remedy += "`Dense(64, 'leaky_relu', initializer='he_normal')`, "
            else:
                if self._rate.gone() > LEARNT and not median(values[:half]) >= limit:
                    continue
                size = median(self._layers["z"][:, layer])
                words = f"saturated: nearly flat, z has size {size:.2g}"
                remedy = "`Dense(64, 'tanh', initializer='glorot_uniform')`, scaled "
                remedy += "inputs, `Dense(64, 'relu')`, "
            text = f"{share:.0%} of the units of {self._names[layer]} are {words}"
            yield Finding.of(
                sign, layer, text, remedy + "`BatchNorm()` in front", share
            )

    # What came of it.

    def _guesses(self) -> bool:
        """Whether the network does no better than one answer for all samples."""
        score = self._seen.score
        if score is None or score.samples < FEW or score.constant >= 1.0:
            return False
        limit = max(THRESHOLDS["small gain"].value, score.chance)
        return score.gain < limit or score.only is not None

    def _guessing(self) -> Iterator[Finding]:
        score = self._seen.score
        if score is None or not self._guesses():
            return
        limit, sure = THRESHOLDS["small gain"].value, score.gain - score.chance
        value = score.gain if score.gain < limit else sure
        if score.only is not None:
            text = f"the network answers {score.only} for each of {score.samples} "
            text += f"samples: {score.own:.1%} of them are of that class"
            yield Finding.of("one answer", None, text, self._wake(score), value)
            return
        what = "always guessing the mean of y"
        text = f"error is {1.0 - score.own:.2f} times that of {what}"
        if self._seen.targets != "values":
            what = f"always guessing {score.answer}"
            if not isinstance(score.answer, int):
                what = "one answer for all samples"
            text = f"{score.own:.1%} right, {score.constant:.1%} by {what}"
        text = f"the network is no better than guessing: {text}"
        yield Finding.of("small gain", None, text, self._wake(score), value)

    def _wake(self, score: Score) -> str:
        """What makes a network learn at all, and a rare class count."""
        more = "`trainer.fit(x, y, epochs=200)`, `Adam(1e-2)`, `Dense(64, 'relu')`"
        if self._seen.targets == "values" or score.constant < RARE:
            return more
        weights = {
            "binary": "np.where(y > 0.5, 1 / y.mean(), 1 / (1 - y.mean())).reshape(-1)",
            "classes": "(1 / y.mean(axis=0))[y.argmax(axis=1)]",
        }.get(self._seen.targets)
        how = f"sample_weight={weights}" if weights else "class_weight='balanced'"
        return f"`trainer.fit(x, y, {how})`, {more}"

    def _by_heart(self) -> Iterator[Finding]:
        """What was learnt holds for the samples of the training alone."""
        score, held = self._seen.score, self._seen.held
        if score is None or held is None or held.samples < FEW:
            return
        limit = THRESHOLDS["gain of training alone"].value
        learnt = score.gain > max(score.uncertain, MUCH)
        most = held.gain + held.uncertain
        if learnt and held.gain < held.uncertain and most < limit * score.gain:
            values = self._seen.targets == "values"
            kind = "of the variance explained" if values else "right"
            base = "" if values else f", {held.constant:.1%} by guessing"
            text = "the network has learnt its samples by heart: "
            text += f"{score.own:.1%} {kind} in training, "
            text += f"{held.own:.1%} in validation{base}"
            remedy = "features that tell of y, more samples, `EarlyStopping()`, "
            remedy += "`Dropout(0.5)`, `Adam(l2=1e-3)`"
            value = held.gain / score.gain
            yield Finding.of("gain of training alone", None, text, remedy, value)

    # Validation.

    def _overfitting(self) -> Iterator[Finding]:
        rows = [row for row in self._seen.rows if "val_loss" in row]
        if len(rows) < 2 * LOOKS:
            return
        held, training = (
            np.array([row[name] for row in rows], float)
            for name in ("val_loss", "loss")
        )
        best, sign = int(held.argmin()), "rising validation loss"
        end = float(held[-max(LOOKS, len(held) // 3) :].min())
        fitted = float(np.median(training[-LOOKS:]))
        ratio = end / max(float(held[best]), TINY)
        risen = end - held[best] > 0.1 * held[0]  # not the last digits of a tiny loss
        if ratio > THRESHOLDS[sign].value and risen and fitted < 0.9 * training[best]:
            text = (
                f"overfitting: the validation loss rises from {held[best]:.3g} in epoch"
                f" {best + 1} to {end:.3g} and more, while the training loss falls from"
                f" {training[best]:.3g} to {fitted:.3g}"
            )
            remedy = "`EarlyStopping()`, more samples, `Dropout(0.5)`, "
            remedy += "`Adam(l2=1e-3)`, fewer units"
            yield Finding.of(sign, None, text, remedy, ratio)
