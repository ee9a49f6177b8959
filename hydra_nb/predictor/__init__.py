"""Predicts what a prompt requires: four scores from a small multilingual encoder.

Serving: `predictor` (`load_predictor`) → `tokens` (`input_text`, `signals`) → `engines` →
`irrelevant` → `calibration`, over a `checkpoint` folder; `explanation` asks why. Training, never
imported while serving: `dataset`, `weak_labels`, `outcome_labels`, `noise`, `augmentation`,
`batches` → `architecture`, `e5_file`, `vocabulary`, `dequantization`, `torch_checkpoint` →
`students`, `modernbert`, `origin` → `plan`, `objective`, `guide`, `training_run`, `training` →
`guards`, `readout` → `export`, `quantization` → `evaluation` (`metrics`, `outcomes`, `report`,
`model_card`); `recipe` does it all in order, `commands` is its command line.
"""

from __future__ import annotations

from hydra_nb.predictor.explanation import Explanation
from hydra_nb.predictor.predictor import DEFAULT_CHECKPOINT, Predictor, Reading, load_predictor
from hydra_nb.predictor.signals import SignalFlags, signal_flags

__all__ = [
    "DEFAULT_CHECKPOINT",
    "Explanation",
    "Predictor",
    "Reading",
    "SignalFlags",
    "load_predictor",
    "signal_flags",
]
