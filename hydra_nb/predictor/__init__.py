"""Predicts what a prompt requires: four scores from a small multilingual encoder.

Serving: `predictor` (`load_predictor`) → `tokens` (`input_text`, `signals`) → `engines`, over a
`checkpoint` folder. Training, never imported while serving: `dataset`, `weak_labels`,
`augmentation`, `batches` → `architecture`, `e5_file`, `vocabulary`, `torch_checkpoint` →
`training` → `export` → `evaluation` (`metrics`, `model_card`).
"""

from __future__ import annotations

from hydra_nb.predictor.predictor import DEFAULT_CHECKPOINT, Predictor, load_predictor
from hydra_nb.predictor.signals import SignalFlags, signal_flags

__all__ = ["DEFAULT_CHECKPOINT", "Predictor", "SignalFlags", "load_predictor", "signal_flags"]
