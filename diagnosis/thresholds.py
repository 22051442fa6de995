"""The doctor's thresholds: from where on a number is a sign of an illness, and why."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limit:
    """A row of the table.

    Attributes:
        illness: what it is a sign of.
        value: from where on.
        reason: what is measured, and why it counts as ill from there.
        source: where it is published.
    """

    illness: str
    value: float
    reason: str
    source: str


THRESHOLDS = {
    "large inputs": Limit(
        "unscaled inputs",
        5.0,
        "√ mean x² of a feature: with mean 0 and deviation 1 it is 1; at 5 the z of "
        "the first layer are five times what its initialiser is made for",
        "LeCun, Bottou, Orr, Müller, Efficient BackProp (1998), 4.3",
    ),
    "unequal inputs": Limit(
        "unscaled inputs",
        1000.0,
        "deviation of the widest feature over that of the narrowest: the curvature of "
        "the loss goes with its square, and one rate cannot fit both",
        "LeCun et al. (1998), 4.3 and 5",
    ),
    "offset inputs": Limit(
        "unscaled inputs",
        0.5,
        "share of the features that vary by less than a tenth of their mean: from half "
        "of them on the network sees little but a constant",
        "LeCun et al. (1998), 4.3",
    ),
    "large targets": Limit(
        "unscaled targets",
        10.0,
        "√ mean y²: outputs start near 0 with weights made for targets of about 1",
        "Bishop, Neural Networks for Pattern Recognition (1995), 8.2",
    ),
    "small δ below": Limit(
        "vanishing δ",
        1e-3,
        "δ of the lowest hidden layer over that of the highest: it learns a thousand "
        "times as slowly; six sigmoid layers come to (1/4)⁵ = 1e-3",
        "Hochreiter (1991); Glorot and Bengio, AISTATS 2010",
    ),
    "large δ below": Limit(
        "exploding δ",
        100.0,
        "the same ratio: a rate that suits the top moves the bottom a hundred times "
        "too far",
        "Pascanu, Mikolov, Bengio (2012), arXiv:1211.5063",
    ),
    "dead units": Limit(
        "dead units",
        0.5,
        "share of a layer's rectified units that are 0 for every sample looked at, and "
        "pass no gradient: healthy layers have up to a quarter, too high a rate is "
        "known to kill 40%",
        "Stanford CS231n notes, Neural Networks part 1; Lu et al. (2019), "
        "arXiv:1903.06733",
    ),
    "saturated units": Limit(
        "saturated units",
        0.5,
        "share of a layer's units that are flat for half of the samples: from the "
        "first half of a training on, or at the end of one that came to little",
        "Glorot and Bengio, AISTATS 2010, section 3",
    ),
    "large steps": Limit(
        "rate too high",
        0.1,
        "‖ΔW‖ / ‖W‖ of one step, the median of a layer's looks: about 1e-3 is usual, "
        "up to 1e-2 at the start; at 0.1 ten steps replace the weights",
        "Stanford CS231n notes, Neural Networks part 3",
    ),
    "giant steps": Limit(
        "rate too high",
        0.3,
        "the largest ‖ΔW‖ / ‖W‖ of any look, where the loss has come down by less than "
        "half: one such step can kill the units, after which all steps are small",
        "Lu et al. (2019), arXiv:1903.06733",
    ),
    "rising loss": Limit(
        "rate too high",
        1.05,
        "the loss of the last third over that before training: descent made it worse",
        "LeCun et al. (1998), 4.7: beyond twice the best rate descent diverges",
    ),
    "bouncing loss": Limit(
        "rate too high",
        0.2,
        "share of looks at which the loss has jumped up by a fifth of what it was "
        "before training",
        "Stanford CS231n notes, Neural Networks part 3",
    ),
    "small steps": Limit(
        "rate too low",
        3e-4,
        "the largest ‖ΔW‖ / ‖W‖ of any look, where the loss has come down by less than "
        "a fifth: a third of the usual 1e-3",
        "Stanford CS231n notes, Neural Networks part 3",
    ),
    "smaller δ below": Limit(
        "vanishing δ",
        0.1,
        "the same ratio, where the network does no better than guessing: layers that "
        "learn a tenth as fast as the top are then the likely reason",
        "Glorot and Bengio, AISTATS 2010",
    ),
    "small gain": Limit(
        "guessing",
        0.05,
        "share of what a constant answer leaves to gain that the network has gained, "
        "on the samples of its training; or it is within three standard errors of 0",
        "Witten, Frank, Hall, Data Mining (2011), 5.8: the kappa statistic",
    ),
    "one answer": Limit(
        "one answer for all",
        1.0,
        "the same share, where every sample gets one label though the data has "
        "several: accuracy is then the share of that label, however high",
        "He and Garcia, IEEE Trans. Knowl. Data Eng. 21 (2009), Learning from "
        "imbalanced data",
    ),
    "gain of training alone": Limit(
        "learnt by heart",
        0.5,
        "the gain over a constant answer in validation, with two standard errors, over "
        "that in training, where the former is not distinct from 0",
        "Zhang et al. (2017), arXiv:1611.03530: networks fit labels of pure chance",
    ),
    "rising validation loss": Limit(
        "overfitting",
        1.1,
        "the lowest validation loss of the last third of the epochs over the lowest of "
        "all, while the training loss went on falling: twice the 5% that are "
        "usually waited for, and no wobble from epoch to epoch",
        "Prechelt, Early stopping - but when? (1998): generalisation loss",
    ),
}
