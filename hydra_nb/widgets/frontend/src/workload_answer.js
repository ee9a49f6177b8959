// What the workload costs, what is proven of it, why there is no plan, and the share per model.
import { h, setAttribute, setText } from "./dom.js";

const SIGNS = { ready: "✓", running: "…", bounded: "≈", infeasible: "✗", failed: "!" };

export function answerSection(act) {
  const proof = h("span", { class: "hy-proof", role: "status" });
  const retry = h(
    "button",
    { type: "button", class: "hy-chip", hidden: true, onclick: () => act("retry") },
    "Try again",
  );
  const facts = h("dl", { class: "hy-verdict-facts hy-totals" });
  const none = h("div", { class: "hy-unassigned" });
  const impossible = h("div", { class: "hy-impossible", role: "alert" });
  const prices = h("ul", { class: "hy-prices", "aria-label": "Shadow prices" });
  const element = h(
    "div",
    { class: "hy-verdict hy-answer" },
    h("div", { class: "hy-line" }, proof, retry),
    impossible,
    facts,
    none,
    prices,
  );

  const list = h("ul", { class: "hy-shares", "aria-label": "Requests per model" });
  const unused = h("div", { class: "hy-quiet" });
  const shares = h("section", { class: "hy-part" }, h("h3", {}, "Requests per model"), list, unused);

  function show(view) {
    element.dataset.state = view.state;
    setText(proof, `${SIGNS[view.state]} ${view.proof}`);
    retry.hidden = view.state !== "failed";
    for (const faded of [facts, shares]) faded.classList.toggle("hy-stale", view.stale);
    fill(facts, view.facts, (fact) =>
      h("div", {}, h("dt", {}, fact.label), h("dd", {}, fact.text, note(fact.note))),
    );
    setText(none, view.unassigned);
    fill(prices, view.prices, (words) => h("li", {}, words));
    fill(list, view.models, shareRow);
    setText(unused, view.unused.length ? `Not used: ${view.unused.join(", ")}` : "");
    showImpossible(view.infeasible);
    shares.hidden = !view.models.length && !view.unused.length;
  }

  function showImpossible(view) {
    const key = JSON.stringify(view);
    if (impossible.dataset.key === key) return;
    impossible.dataset.key = key;
    if (!view) {
      impossible.replaceChildren();
      return;
    }
    const offer = ({ words, applies }) =>
      h(
        "li",
        {},
        words,
        applies
          ? h(
              "button",
              {
                type: "button",
                class: "hy-chip",
                "aria-label": `Apply: ${words}`,
                onclick: () => act("relax", { listed: [words] }),
              },
              "Apply",
            )
          : null,
      );
    const parts = [h("b", {}, view.headline), " ", view.conflict];
    if (view.relaxations.length)
      parts.push(
        h("div", {}, "Any one of these is enough:"),
        h("ul", {}, ...view.relaxations.map(offer)),
      );
    if (view.together.length) {
      parts.push(
        h("div", {}, "Together these are enough:"),
        h("ul", {}, ...view.together.map(({ words }) => h("li", {}, words))),
      );
      if (view.applies_together) {
        const listed = view.together.map(({ words }) => words);
        const apply = () => act("relax", { listed });
        parts.push(h("button", { type: "button", class: "hy-chip", onclick: apply }, "Apply all"));
      }
    }
    impossible.replaceChildren(...parts);
  }

  return { element, shares, show };
}

function note(text) {
  return text ? h("span", { class: "hy-quiet" }, ` ${text}`) : null;
}

function shareRow({ name, requests, share, percent, cost }) {
  const bar = h("div", { class: "hy-share-fill" });
  bar.style.width = `${100 * share}%`;
  return h(
    "li",
    {},
    h("span", { class: "hy-share-name", title: name }, name),
    h("div", { class: "hy-share-track", "aria-hidden": "true" }, bar),
    h("span", { class: "hy-share-percent" }, percent),
    h("span", { class: "hy-share-count" }, requests),
    h("span", { class: "hy-share-cost" }, cost),
  );
}

// Replace the children only where what they show has changed.
export function fill(element, items, make) {
  const key = JSON.stringify(items);
  if (element.dataset.key === key) return false;
  element.dataset.key = key;
  element.replaceChildren(...items.map(make));
  setAttribute(element, "hidden", items.length ? null : "");
  return true;
}
