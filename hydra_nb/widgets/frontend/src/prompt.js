// Panel 1: the prompt and its four requirements, live.
import { asker, badge, h, panel, setAttribute, setText, watchKernel } from "./dom.js";
import { whySection } from "./why.js";

const NO_BEARING = "politeness, hype and routing orders do not change what a prompt requires";

function render({ model, el }) {
  const { root, aside } = panel(el, "Prompt");
  const { ask, stop } = asker(model);
  const client = Math.random().toString(36).slice(2);

  const textarea = h("textarea", {
    rows: 4,
    spellcheck: "false",
    dir: "auto",
    placeholder: "Type or paste a prompt",
    "aria-label": "Prompt text",
    oninput: () => type(textarea.value),
  });
  textarea.value = model.get("draft").text ?? "";

  function type(text) {
    const revision = Math.max(model.get("draft").revision ?? 0, model.get("view").revision) + 1;
    model.set("draft", { text, revision, by: client });
    model.save_changes();
    showFreshness();
  }

  const examples = h("div", { class: "hy-chips", role: "group", "aria-label": "Example prompts" });
  for (const example of model.get("view").examples) {
    const put = () => {
      textarea.value = example.text;
      type(example.text);
      textarea.focus();
    };
    examples.append(h("button", { type: "button", class: "hy-chip", onclick: put }, example.label));
  }

  const meters = model.get("view").dimensions.map((dimension) => {
    const fill = h("div", { class: `hy-fill hy-${dimension.field}` });
    const whisker = h("div", { class: "hy-whisker", hidden: true });
    const mark = h("div", { class: "hy-mark", hidden: true, title: "pinned prompt A" });
    const meter = h(
      "div",
      {
        class: "hy-meter",
        role: "meter",
        "aria-label": dimension.label,
        "aria-valuemin": 0,
        "aria-valuemax": 1,
        "aria-valuenow": 0,
      },
      h("div", { class: "hy-track" }, fill),
      whisker,
      mark,
    );
    const number = h("span", { class: "hy-number" });
    const row = h(
      "div",
      { class: "hy-requirement" },
      badge(dimension.letter, dimension.field),
      h("span", { class: "hy-label", "aria-hidden": "true" }, dimension.label),
      meter,
      number,
    );
    return { row, meter, fill, whisker, mark, number };
  });
  const scores = h("div", { class: "hy-scores" }, ...meters.map((meter) => meter.row));

  const notice = h("div", { class: "hy-notice", role: "status" });
  const retry = h(
    "button",
    { type: "button", class: "hy-chip", hidden: true, onclick: () => ask("retry") },
    "Try again",
  );
  const unfamiliar = h("div", { class: "hy-unfamiliar", role: "status" });
  const verdict = h("div", { class: "hy-routes", role: "status" });
  const pin = h("button", { type: "button", class: "hy-chip", onclick: () => ask("pin") });
  const facts = h("span", { class: "hy-facts" });
  const flags = h("span", { class: "hy-flags" });
  const ignored = h("span", { class: "hy-ignored" });
  const why = whySection(model.get("view").dimensions, ask);
  root.append(
    textarea,
    examples,
    scores,
    h("div", { class: "hy-line" }, notice, retry),
    unfamiliar,
    verdict,
    h(
      "div",
      { class: "hy-line" },
      facts,
      flags,
      ignored,
      h("span", { class: "hy-spring" }),
      h("span", { class: "hy-buttons" }, why.button, pin),
    ),
    why.region,
  );

  const isStale = () => model.get("view").revision < (model.get("draft").revision ?? 0);

  function showFreshness() {
    const stale = isStale();
    scores.classList.toggle("hy-stale", stale);
    unfamiliar.classList.toggle("hy-stale", stale);
    verdict.classList.toggle("hy-stale", stale);
    why.freshen(model.get("view").why, stale);
  }

  function show() {
    const view = model.get("view");
    scores.dataset.state = view.state;
    view.dimensions.forEach((dimension, index) => {
      const { meter, fill, whisker, mark, number } = meters[index];
      const known = dimension.value !== null;
      fill.style.width = known ? `${(dimension.value * 100).toFixed(1)}%` : "0";
      setAttribute(meter, "aria-valuenow", known ? dimension.value.toFixed(3) : 0);
      setAttribute(meter, "aria-valuetext", spoken(dimension));
      showInterval(meter, whisker, dimension.interval);
      setText(number, known ? dimension.value.toFixed(2) : "–");
      mark.hidden = dimension.pinned === null;
      if (dimension.pinned !== null) mark.style.left = `${dimension.pinned * 100}%`;
    });
    const words = {
      empty: "type or paste a prompt, or take an example",
      warming: "the encoder is loading …",
      scored: "",
      error: `not scored: ${view.message} (the last scores are kept)`,
    };
    setText(notice, words[view.state]);
    notice.parentElement.hidden = view.state === "scored";
    retry.hidden = view.state !== "error";
    setText(aside, view.state === "scored" ? `live · ${view.milliseconds.toFixed(0)} ms` : view.state);
    aside.dataset.state = view.state;
    setText(unfamiliar, view.unfamiliar);
    showVerdict(view);
    showFacts(view);
    showIgnored(view.ignored);
    why.show(view.why, isStale());
    showFreshness();
  }

  function showIgnored(next) {
    const key = JSON.stringify(next);
    if (ignored.dataset.key === key) return;
    ignored.dataset.key = key;
    const chips = next.chips.map(({ text, phrase }) =>
      h("s", { class: "hy-flag", dir: "auto", title: `“${phrase}”: ${NO_BEARING}` }, text),
    );
    const title = `${next.rest}: ${NO_BEARING}`;
    if (next.more) chips.push(h("span", { title }, `+${next.more} more`));
    const label = h("span", { title: NO_BEARING }, "ignored: ");
    ignored.replaceChildren(...(chips.length ? [label, ...chips] : []));
  }

  function showVerdict(view) {
    verdict.hidden = !view.verdict;
    if (!view.verdict) return;
    const { model: name, text } = view.verdict;
    setAttribute(verdict, "data-open", view.verdict.open);
    const line = name ? `→ ${name} · ${text}` : text;
    if (verdict.dataset.line === line) return;
    verdict.dataset.line = line;
    verdict.replaceChildren(...(name ? ["→ ", h("b", {}, name), ` · ${text}`] : [text]));
  }

  function showFacts(view) {
    const parts = [];
    if (view.max_tokens && view.tokens >= view.max_tokens)
      parts.push(`only the first ${view.max_tokens} tokens are read`);
    else if (view.max_tokens) parts.push(`${view.tokens} of ${view.max_tokens} tokens`);
    if (view.confidence !== null) parts.push(`γ ${view.confidence.toFixed(2)}`);
    setText(facts, parts.join(" · "));
    facts.title = "tokens the encoder reads · confidence γ, the largest of the four scores";
    const key = view.flags.join();
    if (flags.dataset.key !== key) {
      flags.dataset.key = key;
      const chips = view.flags.map((flag) => h("span", { class: "hy-flag" }, flag));
      flags.replaceChildren(...(chips.length ? ["signals: ", ...chips] : []));
    }
    setText(pin, view.pinned_here ? "Unpin A" : view.pinned ? "Pin as A instead" : "Pin as A");
    pin.disabled = view.state === "empty" || view.state === "warming";
    pin.title = view.pinned ? `A: ${view.pinned.text.slice(0, 300)}` : "keep this prompt to compare";
  }

  const stopWatching = watchKernel(model, root);
  const onDraft = () => {
    const draft = model.get("draft");
    if (draft.by !== client && textarea.value !== draft.text) textarea.value = draft.text;
    showFreshness();
  };
  model.on("change:view", show);
  model.on("change:draft", onDraft);
  show();
  return () => {
    stop();
    stopWatching();
    model.off("change:view", show);
    model.off("change:draft", onDraft);
  };
}

function spoken({ value, interval }) {
  if (value === null) return "not scored";
  const spread = interval ? `, give or take ${interval.spread.toFixed(2)}` : "";
  return `${value.toFixed(2)}${spread}`;
}

function showInterval(meter, whisker, interval) {
  whisker.hidden = !interval;
  setAttribute(meter, "title", interval?.words);
  if (!interval) return;
  whisker.style.left = `${(interval.low * 100).toFixed(1)}%`;
  whisker.style.width = `${((interval.high - interval.low) * 100).toFixed(1)}%`;
}

export default { render };
