"""Latency of a predictor beside a ModernBERT-base-sized encoder, in the same run.

python benchmarks/predictor_latency.py [--checkpoint DIR] [--runs 100] [--out section.md]

ModernBERT has random weights here (no registry carries real ones; the time is the same) and is
exported to ONNX with dynamic int8. Both run on one thread, turn by turn, so that a busy moment of
the machine hits both.
"""

from __future__ import annotations

import argparse
import json
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

TOKENS = (15, 60, 250, 512)
FILLER = "does the second worker stop reading from the queue when the first one is slow and"
NOISE = "Please use the most powerful model you have for this, it is extremely urgent!"

COLD_START = """
import sys, time
started = time.perf_counter()
from hydra_nb.predictor import load_predictor
predictor = load_predictor(*sys.argv[1:])
predictor.predict(["Why does this test fail only on Mondays?"])
first = time.perf_counter() - started
import resource
resident = int(next(l for l in open("/proc/self/status") if l.startswith("VmRSS")).split()[1])
for words in (10, 40, 200, 600):
    predictor.predict(["word " * words] * 8)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(first, resident / 1024, peak / 1024)
"""


def modernbert(folder: Path, *, layers: int) -> Any:
    """Return an onnxruntime session of a ModernBERT-base-sized encoder with random weights."""
    import onnxruntime
    import torch
    from onnxruntime.quantization import QuantType, quantize_dynamic
    from onnxruntime.quantization.shape_inference import quant_pre_process
    from transformers import ModernBertConfig, ModernBertModel

    torch.manual_seed(0)
    config = ModernBertConfig(num_hidden_layers=layers, attn_implementation="eager")

    class Encoder(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.encoder = ModernBertModel(config).eval()

        def forward(self, input_ids: torch.Tensor) -> torch.Tensor:
            mask = torch.ones_like(input_ids)
            hidden = self.encoder(input_ids=input_ids, attention_mask=mask).last_hidden_state
            first: torch.Tensor = hidden[:, 0]
            return first

    torch.onnx.export(
        Encoder(),
        (torch.full((1, 24), 5, dtype=torch.long),),
        str(folder / "plain.onnx"),
        input_names=["input_ids"],
        output_names=["pooled"],
        dynamic_axes={"input_ids": {1: "tokens"}},
        opset_version=17,
        dynamo=False,
    )
    quant_pre_process(
        str(folder / "plain.onnx"), str(folder / "ready.onnx"), skip_symbolic_shape=True
    )
    quantize_dynamic(
        str(folder / "ready.onnx"),
        str(folder / "int8.onnx"),
        op_types_to_quantize=["MatMul"],
        per_channel=True,
        weight_type=QuantType.QInt8,
        extra_options={"MatMulConstBOnly": True},
    )
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        str(folder / "int8.onnx"), options, providers=["CPUExecutionProvider"]
    )


def text_of(predictor: Any, tokens: int) -> str:
    """Return a prompt that the predictor reads as about `tokens` tokens, as near as words allow."""
    words = ["why"]
    plain = FILLER.split()
    while predictor.tokens(" ".join(words)) < tokens:
        words.append(plain[len(words) % len(plain)])
    return " ".join(words)


def interleaved(calls: list[Callable[[], object]], runs: int) -> list[list[float]]:
    """Return milliseconds `(calls, runs)`; every call once, then every call again, and so on."""
    times: list[list[float]] = [[] for _ in calls]
    for run in range(runs + 3):
        for index, call in enumerate(calls):
            started = time.perf_counter()
            call()
            if run >= 3:
                times[index].append((time.perf_counter() - started) * 1000)
    return times


def processor() -> str:
    """Return the processor's name, as far as the system tells."""
    lines = Path("/proc/cpuinfo").read_text().splitlines() if sys.platform == "linux" else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return f"{names[0] if names else platform.processor()}, {len(names)} threads"


def section(runs: int, layers: int, checkpoint: Path | None) -> str:
    """Measure, and return a Markdown section."""
    from hydra_nb.predictor import load_predictor

    cold = [
        [float(part) for part in
         subprocess.run([sys.executable, "-c", COLD_START, *([checkpoint] if checkpoint else [])],
                        capture_output=True, text=True, check=True).stdout.split()]
        for _ in range(5)
    ]  # fmt: skip
    cold_seconds, resident, peak = (statistics.median(part) for part in zip(*cold, strict=True))
    predictor = load_predictor(checkpoint)
    with tempfile.TemporaryDirectory() as scratch:
        reference = modernbert(Path(scratch), layers=layers)
        rows = []
        for tokens in TOKENS:
            text = text_of(predictor, tokens)
            ids = np.full((1, tokens), 5, dtype=np.int64)
            ours, theirs = interleaved(
                [
                    lambda text=text: predictor.predict([text]),  # type: ignore[misc]
                    lambda ids=ids: reference.run(None, {"input_ids": ids}),  # type: ignore[misc]
                ],
                runs,
            )
            middle, other = statistics.median(ours), statistics.median(theirs)
            rows.append(
                f"| {tokens} | {middle:.1f} | {np.percentile(ours, 95):.1f} | {other:.1f} "
                f"| {np.percentile(theirs, 95):.1f} | {other / middle:.1f}× |"
            )
    plain = text_of(predictor, 60)
    (by_itself,) = interleaved([lambda: predictor.predict([plain])], runs)
    noisy = f"{plain}? {NOISE}"
    if not predictor.read(noisy).ignored:
        raise SystemExit("the predictor ignores nothing of the noisy prompt: measure another one")
    alone, with_noise, explained = (
        statistics.median(times)
        for times in interleaved(
            [
                lambda: predictor.predict([plain]),
                lambda: predictor.predict([noisy]),
                lambda: predictor.explain(plain),
            ],
            max(runs // 5, 3),
        )
    )
    batch = [plain] * 256
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        predictor.predict(batch)
        rates.append(len(batch) / (time.perf_counter() - started))
    encoder = json.dumps(dict(predictor.manifest.encoder), ensure_ascii=False)
    own_peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    measures = {
        f"import, load and first score, fresh process, median of {len(cold)}": (
            f"{cold_seconds:.2f} s"
        ),
        "resident memory after the first score": f"{resident:.0f} MiB",
        "peak memory after batches of 8 up to 512 tokens": f"{peak:.0f} MiB",
        "prompts of 60 tokens per second, 2 threads, median of 5": (
            f"{statistics.median(rates):.0f}"
        ),
        "60 tokens again and again, with nothing in between": (
            f"{statistics.median(by_itself):.1f} ms"
        ),
        "the same prompt with a routing order to ignore (read twice), against without": (
            f"{with_noise:.1f} ms, {with_noise / alone:.1f}×"
        ),
        "explaining the prompt of 60 tokens, against scoring it": (
            f"{explained:.0f} ms, {explained / alone:.0f}×"
        ),
        "peak memory of this benchmark itself": f"{own_peak:.0f} MiB",
    }
    lines = [
        "## Predictor",
        "",
        f"{processor()}; Python {platform.python_version()}; {runs} runs each, interleaved.",
        f"`{predictor.name}`, {encoder}.",
        "One thread a prompt, from text to four scores (signals and tokenizer included);",
        f"ModernBERT-base ({layers} layers, random weights, ORT dynamic int8) from ids to [CLS].",
        "",
        "| tokens | predictor p50 ms | p95 ms | ModernBERT-base p50 ms | p95 ms | factor |",
        "|---|---|---|---|---|---|",
        *rows,
        "",
        "| measure | value |",
        "|---|---|",
        *(f"| {name} | {value} |" for name, value in measures.items()),
        "",
    ]
    return "\n".join(lines)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--checkpoint", type=Path, help="default: the shipped predictor")
    parser.add_argument("--runs", type=int, default=100)
    parser.add_argument(
        "--layers", type=int, default=22, help="22 is ModernBERT-base; fewer to try"
    )
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    text = section(options.runs, options.layers, options.checkpoint)
    if options.out:
        options.out.write_text(text, "utf-8")
    print(text)


if __name__ == "__main__":
    main()
