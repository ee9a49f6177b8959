// "Why": the prompt's words, tinted by what they do to one of its requirements.
import { badge, h, setAttribute, setText } from "./dom.js";

// Returns the button, the region it opens, and what shows a view in them.
export function whySection(dimensions, ask) {
  const id = `hydra-nb-${Math.random().toString(36).slice(2)}`;
  let on = false;
  const button = h(
    "button",
    {
      type: "button",
      class: "hy-chip",
      "aria-controls": id,
      title: "which words raise or lower a requirement",
      onclick: () => ask("why", { on: !on }),
    },
    "Why",
  );

  const radios = dimensions.map(({ field, label, letter }) => {
    const input = h("input", {
      type: "radio",
      name: id,
      value: field,
      onchange: () => ask("why_of", { dimension: field }),
    });
    const choice = h("label", { class: "hy-choice" }, input, badge(letter, field), label);
    return { field, input, choice };
  });
  const status = h("span", { class: "hy-progress", role: "status" });
  const retry = h(
    "button",
    { type: "button", class: "hy-chip", hidden: true, onclick: () => ask("why", { on: true }) },
    "Try again",
  );
  const words = h("div", { class: "hy-words", role: "group", tabindex: 0, dir: "auto" });
  const strongest = h("div", { class: "hy-strongest" });
  const legend = h(
    "div",
    { class: "hy-legend", "aria-hidden": "true" },
    h("span", { class: "hy-word", "data-sign": "up", style: "--tint: 0.8" }, "raises"),
    h("span", { class: "hy-word", "data-sign": "down", style: "--tint: 0.8" }, "lowers"),
  );
  const found = h(
    "div",
    { class: "hy-found" },
    words,
    h("div", { class: "hy-line" }, strongest, h("span", { class: "hy-spring" }), legend),
  );
  const region = h(
    "div",
    { class: "hy-reasons", id, role: "group", "aria-label": "Why these requirements" },
    h(
      "div",
      { class: "hy-line" },
      h(
        "div",
        { class: "hy-choices", role: "radiogroup", "aria-label": "Requirement to explain" },
        ...radios.map((radio) => radio.choice),
      ),
      h("span", { class: "hy-spring" }),
      status,
      retry,
    ),
    found,
  );

  // `stale`: the prompt on screen is newer than the view.
  function show(why, stale) {
    on = Boolean(why?.on);
    button.hidden = !why;
    setAttribute(button, "aria-expanded", String(on));
    region.hidden = !on;
    if (!on) return;
    for (const { field, input } of radios) input.checked = field === why.dimension;
    region.dataset.state = why.state;
    region.dataset.dimension = why.dimension;
    setText(status, progress(why));
    retry.hidden = why.state !== "error";
    found.hidden = !why.words.length;
    freshen(why, stale);
    const key = JSON.stringify([why.label, why.words, why.rest]);
    if (words.dataset.key !== key) {
      words.dataset.key = key;
      showWords(why);
    }
  }

  function freshen(why, stale) {
    found.classList.toggle("hy-stale", Boolean(stale || why?.stale));
  }

  function showWords(why) {
    words.setAttribute("aria-label", `Words of the prompt and what they do to ${why.label}`);
    const tinted = why.words.flatMap((word) => [word.before, wordOf(word, why.label)]);
    words.replaceChildren(...tinted, why.rest);
    strongest.replaceChildren(
      ...(why.strongest.length
        ? why.strongest.flatMap((word, index) => [index ? " · " : "strongest: ", pairOf(word)])
        : [`no word moves ${why.label.toLowerCase()} by 0.01 or more`]),
    );
  }

  return { button, region, show, freshen };
}

function progress(why) {
  if (why.state === "running") return "explaining …";
  if (why.state === "error") return `not explained: ${why.message}`;
  return why.state === "idle" ? "type or paste a prompt first" : "";
}

function pairOf({ text, number }) {
  return h("span", { class: "hy-pair" }, h("bdi", {}, text), " ", h("b", {}, number));
}

function wordOf({ text, number, tint }, label) {
  const element = h("span", { class: "hy-word" }, text);
  if (tint) {
    element.dataset.sign = tint > 0 ? "up" : "down";
    element.style.setProperty("--tint", Math.abs(tint));
  }
  const effect = { up: "lower", down: "higher" }[element.dataset.sign];
  element.title = effect
    ? `${number}: without it ${label.toLowerCase()} would be ${number.slice(1)} ${effect}`
    : number;
  return element;
}
