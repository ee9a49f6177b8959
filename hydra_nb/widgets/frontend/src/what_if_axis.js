// Axes of the what-if panel: strips of who wins, and price sliders with break-even marks on them.
import { h, setAttribute, setText } from "./dom.js";

const STEPS = 1000;
const IDLE_MS = 800; // keys pressed within this time are one drag

// A model stands as its number in the catalog where its name has no room; hues are far apart for
// neighbours, and never alone.
export const toneOf = (number) => (number ? `hsl(${(number * 137.5) % 360} 62% 48%)` : "transparent");

export function modelBadge(number) {
  const badge = h("span", { class: "hy-model-badge", "aria-hidden": "true" });
  badge.show = (next) => {
    setText(badge, next ? String(next) : "–");
    badge.style.setProperty("--tone", toneOf(next));
  };
  badge.show(number);
  return badge;
}

// Bands side by side; each is a button that goes inside it.
export function strip({ title, pick, verb }) {
  const bands = h("div", { class: "hy-bands", role: "group" });
  const ticks = h("div", { class: "hy-ticks", "aria-hidden": "true" });
  const here = h("div", { class: "hy-here", "aria-hidden": "true" });
  const hereText = h("span", {});
  here.append(hereText);
  const scale = h("div", { class: "hy-scale" }, here, bands, ticks);
  const key = h("ol", { class: "hy-key" });
  if (title) bands.setAttribute("aria-label", title);
  const root = h("div", { class: "hy-strip" }, title ? h("h3", {}, title) : null, scale, title ? key : null);

  function show(data, nowText) {
    here.style.left = `${data.at * 100}%`;
    hereText.style.transform = `translateX(${-data.at * 100}%)`;
    setText(hereText, nowText);
    const text = JSON.stringify([data.bands, data.ticks]);
    if (bands.dataset.key !== text) {
      bands.dataset.key = text;
      const focused = [...bands.children].indexOf(document.activeElement);
      bands.replaceChildren(...data.bands.map((band) => bandOf(band)));
      bands.children[focused]?.focus();
      ticks.replaceChildren(...(data.ticks ?? []).map(tickOf));
      key.replaceChildren(...data.bands.map(keyOf));
    }
    data.bands.forEach((band, index) => {
      const inside = band.from <= data.at && (data.at < band.to || band.to === 1);
      setAttribute(bands.children[index], "aria-current", inside ? "true" : null);
      setAttribute(key.children[index], "data-here", inside);
    });
  }

  function bandOf(band) {
    const open = band.open ? ", though it falls short" : "";
    const element = h(
      "button",
      {
        type: "button",
        class: band.open ? "hy-band hy-open" : "hy-band",
        "aria-label": `${band.range}: ${band.model}${open}. Press to ${verb} ${band.inside}`,
        title: `${band.range}: ${band.model}${open}`,
        onclick: () => pick(band),
      },
      h("span", { class: "hy-band-number" }, String(band.number || "–")),
      h("span", { class: "hy-band-name" }, band.model),
    );
    element.style.left = `${band.from * 100}%`;
    element.style.width = `${(band.to - band.from) * 100}%`;
    element.style.setProperty("--tone", toneOf(band.number));
    return element;
  }

  return { root, show, bands };
}

function tickOf({ at, text, title, wide_only: wide }) {
  const tick = h("span", { class: wide ? "hy-tick hy-wide-only" : "hy-tick", title });
  const label = h("span", {}, text);
  tick.style.left = `${at * 100}%`;
  label.style.transform = `translateX(${-at * 100}%)`;
  tick.append(label);
  return tick;
}

function keyOf(band) {
  const open = band.open ? h("i", {}, " falls short") : null;
  return h("li", {}, modelBadge(band.number), `${band.range} `, h("b", {}, band.model), open);
}

// A slider from 0 to `reach`, by the square root; the mark says where the model starts to win.
export function priceSlider({ label, drag, go, edit }) {
  const state = { model: "", field: "", price: "", reach: 1, text: "" };
  let held = false;
  let name = ""; // of the drag that is going on
  let last = 0;
  const begin = () => (name = Math.random().toString(36).slice(2));

  const input = h("input", {
    type: "range",
    class: "hy-range",
    min: 0,
    max: STEPS,
    step: 1,
    oninput: () => {
      const now = performance.now();
      if (!held && now - last > IDLE_MS) begin();
      last = now;
      const usd = priceAt(Number(input.value), state.reach);
      describe(`$${usd}`);
      typed.value = String(usd);
      drag({ model: state.model, field: state.field, usd, drag: name });
    },
    onpointerdown: () => {
      held = true;
      begin();
    },
    onpointerup: () => (held = false),
    onpointercancel: () => (held = false),
  });
  const typed = h("input", {
    class: "hy-typed",
    inputmode: "decimal",
    autocomplete: "off",
    "aria-label": `${label} in USD per 1M tokens`,
    onchange: async () => {
      const reply = await edit(state.field, typed.value);
      setAttribute(typed, "aria-invalid", reply.ok ? null : "true");
      setText(problem, reply.ok ? "" : reply.message);
    },
    onkeydown: (event) => {
      if (event.key !== "Escape") return;
      typed.value = state.typed;
      settle();
    },
  });
  const problem = h("span", { class: "hy-refusal", role: "alert" });
  const mark = h("div", { class: "hy-cut", "aria-hidden": "true" });
  const markText = h("span", {});
  mark.append(markText);
  const bands = strip({ pick: (band) => go(state.price, band.inside), verb: "set the price to" });
  bands.bands.setAttribute("aria-label", `Which model wins, by ${label.toLowerCase()}`);
  const words = h("div", { class: "hy-words-line" });
  const scale = h("div", { class: "hy-slide" }, mark, input);
  const root = h(
    "div",
    { class: "hy-price-axis" },
    h(
      "div",
      { class: "hy-price-head" },
      h("b", {}, label),
      words,
      h("label", { class: "hy-inline" }, "$ ", typed),
    ),
    problem,
    scale,
    bands.root,
  );

  function settle() {
    setAttribute(typed, "aria-invalid", null);
    setText(problem, "");
  }

  function describe(price) {
    const says = `${price} per 1M tokens${state.text ? `; ${state.text}` : ""}`;
    setAttribute(input, "aria-valuetext", says);
  }

  function show(model, data) {
    // Another model: what the hand was on is gone.
    if (state.model !== model) {
      held = false;
      settle();
    }
    Object.assign(state, { model, field: data.field, price: data.price, reach: data.reach });
    state.text = data.mark?.text ?? "";
    state.typed = data.typed;
    setAttribute(input, "aria-label", `${label} of ${model}`);
    // While the slider is held, what comes back is older than the hand.
    if (!held && performance.now() - last > 250) input.value = Math.round(data.at * STEPS);
    if (!held) describe(data.text);
    const invalid = typed.getAttribute("aria-invalid") === "true";
    if (document.activeElement !== typed && !invalid && !held) typed.value = data.typed;
    mark.hidden = !data.mark;
    setAttribute(scale, "data-marked", Boolean(data.mark));
    if (data.mark) {
      mark.style.left = `${data.mark.at * 100}%`;
      markText.style.transform = `translateX(${-data.mark.at * 100}%)`;
      setText(markText, data.mark.text);
      mark.title = data.mark.title;
    }
    setText(words, data.words);
    bands.show(data, "");
  }

  return { root, show };
}

function priceAt(step, reach) {
  return Number((reach * (step / STEPS) ** 2).toPrecision(4));
}
