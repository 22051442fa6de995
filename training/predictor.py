"""What a trained network is used for: predictions, and their scores."""

from typing import Any

import numpy as np

from xpnet.common import explains_arguments
from xpnet.training import inputs
from xpnet.training.data import samples_of
from xpnet.training.divergence import check_sound
from xpnet.training.evaluate import check_metrics_for, evaluate, predict, rows_of
from xpnet.training.state import TrainingState


class Predictor(TrainingState):
    """A training whose network predicts. Any number of threads may ask at once."""

    @explains_arguments
    def evaluate(
        self, x: Any, y: Any, sample_weight: Any = None, batch_size: int | None = None
    ) -> dict[str, float]:
        """{"loss": ..., metric: ...} over (x, y), as weighted means.

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        samples = samples_of(self, x, y, sample_weight)
        check_metrics_for(self, samples)
        check_sound(self, "evaluate")
        rows = rows_of(batch_size, samples.count)
        scores = evaluate(self, samples, self.metrics, rows)
        if not np.isfinite(scores["loss"]):
            check_sound(self, "evaluate", again=True)
        return scores

    @explains_arguments
    def predict(self, x: Any, batch_size: int | None = None) -> np.ndarray[Any, Any]:
        """The outputs for x (samples, *sample), as a NumPy array (samples, n).

        Probabilities where the loss is a cross-entropy, the outputs themselves
        elsewhere.

        Raises:
            ValueError, TypeError: unfit data, weights that are NaN or infinite.
        """
        with self.unbuild_on_error():
            x = inputs.check_x(x, self.model.sample_shape, self.backend)
            self.build(x.shape[1:])
            inputs.check_finite(x, "x", self.backend)
            inputs.check_fits(x, "x", self.dtype)
        check_sound(self, "predict")
        return predict(self, x, rows_of(batch_size, len(x)))

    @explains_arguments
    def predict_classes(
        self, x: Any, batch_size: int | None = None
    ) -> np.ndarray[Any, Any]:
        """Labels (samples,) of the most probable class; yes/no as 0 and 1.

        Raises:
            ValueError: a loss that does not classify; else as `predict`.
        """
        if self.loss_function.targets == "values":
            raise ValueError(
                f"predict_classes: expected a classifying loss, got "
                f"{type(self.loss_function).__name__}; use predict"
            )
        p = self.predict(x, batch_size)
        if self.loss_function.targets == "classes":
            return np.asarray(p.argmax(axis=1))
        answers = (p >= 0.5).astype(np.int64)
        return answers[:, 0] if answers.shape[1] == 1 else answers
