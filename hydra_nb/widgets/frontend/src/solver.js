// Panel 3: verdict, threshold, weights, and the program with its numbers.
import { asker, badge, h, panel, setText, watchKernel } from "./dom.js";

const TAU_MAX = 1.5;

function render({ model, el }) {
  const { root, aside } = panel(el, "Solver");
  const first = model.get("view");

  const name = h("div", { class: "hy-chosen" });
  const why = h("div", { class: "hy-why" });
  const facts = h("dl", { class: "hy-verdict-facts" });
  const card = h("div", { class: "hy-verdict", role: "status" }, name, why, facts);

  // While a slider is held, what comes back from Python is older than the hand: leave it alone.
  const held = new Set();
  function slider({ label, mark, min, max, step, value, send, hint }) {
    const output = h("output", {});
    const input = h("input", {
      type: "range",
      min,
      max,
      step,
      "aria-label": label,
      title: hint,
      oninput: () => {
        setText(output, Number(input.value).toFixed(2));
        send(Number(input.value));
      },
      onpointerdown: () => held.add(input),
      onpointerup: () => held.delete(input),
      onpointercancel: () => held.delete(input),
    });
    const put = (next) => {
      if (held.has(input)) return;
      if (Number(input.value) !== next) input.value = next;
      setText(output, next.toFixed(2));
    };
    put(value);
    const row = h(
      "label",
      { class: "hy-slider" },
      ...(mark ? [mark] : []),
      h("span", { class: "hy-label" }, label),
      input,
      output,
    );
    return { row, put };
  }

  function send(change) {
    const seen = model.get("view").seen ?? 0;
    const revision = Math.max(seen, pending.revision ?? 0) + 1;
    pending = { ...pending, ...change, revision };
    model.set("draft", { ...pending });
    model.save_changes();
  }
  // What was changed and has not come back yet. Only that is sent: a value that Python set in the
  // meantime must not be written over by an older view.
  let pending = {};

  const tau = slider({
    label: "Threshold τ",
    min: 0,
    max: TAU_MAX,
    step: 0.01,
    value: first.tau,
    hint: "how much shortfall is tolerated",
    send: (value) => send({ tau: value }),
  });
  const regimes = h("div", { class: "hy-chips", role: "group", "aria-label": "Thresholds of the paper" });
  for (const regime of first.regimes) {
    const put = () => send({ tau: regime.tau });
    const text = `${regime.label} ${regime.tau.toFixed(2)}`;
    regimes.append(h("button", { type: "button", class: "hy-chip", onclick: put }, text));
  }
  const weights = first.weights.map((weight) =>
    slider({
      label: weight.label,
      mark: badge(weight.letter, weight.field),
      min: 0,
      max: 3,
      step: 0.05,
      value: weight.value,
      hint: `weight of ${weight.label.toLowerCase()} in the shortfall`,
      send: (value) => {
        const now = { ...(pending.weights ?? weightsOf(model.get("view"))) };
        send({ weights: { ...now, [weight.field]: value } });
      },
    }),
  );
  const tokens = h("input", {
    type: "number",
    min: 0,
    step: 50,
    class: "hy-tokens",
    onchange: () => {
      const value = Number(tokens.value);
      const valid = tokens.value !== "" && Number.isInteger(value) && value >= 0;
      tokens.setAttribute("aria-invalid", String(!valid));
      setText(refusal, valid ? "" : "Answer tokens must be a whole number, 0 or more");
      if (valid) send({ tokens_output: value });
    },
  });
  const image = h("input", { type: "checkbox", onchange: () => send({ image: image.checked }) });
  const refusal = h("div", { class: "hy-refusal", role: "alert" });
  const effective = h("div", { class: "hy-effective" });

  const program = h("pre", { class: "hy-program", tabindex: 0, "aria-label": "Integer program" });
  const { ask, stop } = asker(model);
  const downloaded = h("span", { role: "status" });
  async function download(ending) {
    const reply = await ask("program_file", { ending });
    if (!reply.ok) setText(downloaded, reply.message);
  }
  // The file comes as a message of its own: `view` holds only what is seen.
  function save({ kind, name, text }) {
    if (kind !== "file") return;
    const url = URL.createObjectURL(new Blob([text], { type: "text/plain" }));
    h("a", { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    setText(downloaded, `saved ${name}`);
  }
  const controls = h(
    "div",
    { class: "hy-controls" },
    h("div", {}, tau.row, regimes),
    h(
      "div",
      { class: "hy-line" },
      h("label", { class: "hy-inline" }, "Answer tokens ", tokens),
      h("label", { class: "hy-inline" }, image, " needs image input"),
    ),
    h(
      "details",
      { class: "hy-weights" },
      h("summary", {}, "Dimension weights"),
      h("div", { class: "hy-weight-rows" }, ...weights.map((weight) => weight.row)),
      effective,
    ),
    refusal,
  );
  const disclosure = h(
    "details",
    { class: "hy-disclosure" },
    h("summary", {}, "The integer program, with its numbers"),
    h(
      "div",
      { class: "hy-line" },
      ...["lp", "mps"].map((ending) =>
        h(
          "button",
          { type: "button", class: "hy-chip", onclick: () => download(ending) },
          `Download .${ending}`,
        ),
      ),
      downloaded,
    ),
    program,
  );
  root.append(card, controls, disclosure);

  function show() {
    const view = model.get("view");
    if (pending.revision <= view.seen) pending = {};
    card.dataset.state = view.state;
    const empty = {
      empty: "No prompt yet: the verdict appears here.",
      waiting: "Waiting for the encoder …",
    };
    if (view.verdict) {
      const sign = { chosen: "✓ ", open: "! ", none: "✗ " }[view.state];
      setText(name, `${sign}${view.verdict.model}`);
      setText(why, view.verdict.explanation);
      showFacts(view.verdict.facts);
    } else {
      setText(name, "");
      setText(why, empty[view.state]);
      facts.replaceChildren();
    }
    setText(aside, view.verdict ? `τ = ${view.tau.toFixed(2)}` : "");
    tau.put(view.tau);
    view.weights.forEach((weight, index) => weights[index].put(weight.value));
    if (document.activeElement !== tokens || !pending.revision) {
      tokens.value = view.tokens_output;
      tokens.setAttribute("aria-invalid", "false");
    }
    image.checked = view.image;
    setText(refusal, view.refusal ?? "");
    setText(effective, view.effective);
    setText(program, view.program || "No prompt yet.");
  }

  function showFacts(next) {
    const key = JSON.stringify(next);
    if (facts.dataset.key === key) return;
    facts.dataset.key = key;
    facts.replaceChildren(
      ...next.map((fact) => h("div", {}, h("dt", {}, fact.label), h("dd", {}, fact.text))),
    );
  }

  const stopWatching = watchKernel(model, root);
  model.on("change:view", show);
  model.on("msg:custom", save);
  show();
  return () => {
    stop();
    stopWatching();
    model.off("change:view", show);
    model.off("msg:custom", save);
  };
}

function weightsOf(view) {
  return Object.fromEntries(view.weights.map((weight) => [weight.field, weight.value]));
}

export default { render };
