// Panel 3, second half: what would change the verdict. The smallest changes, who wins along τ and
// along two prices, a map of both, and what each model's outage would do.
import { asker, h, panel, setAttribute, setText, watchKernel } from "./dom.js";
import { mapOf } from "./what_if_map.js";
import { modelBadge, priceSlider, strip } from "./what_if_axis.js";

const IDLE = {
  empty: "No prompt yet: what would change the verdict appears here.",
  waiting: "Waiting for the encoder …",
};

function render({ model, el }) {
  const { root, aside } = panel(el, "What if");
  root.classList.add("hy-what-if");
  const { ask, stop } = asker(model);
  const refusal = h("div", { class: "hy-refusal", role: "alert" });
  const act = async (action, args = {}) => {
    const reply = await ask(action, args);
    setText(refusal, reply.ok ? "" : reply.message);
    return reply;
  };

  // -- what moves under the hand: the last value of each price that has not come back yet ---------
  let pending = { prices: [] };
  function drag(move) {
    const seen = model.get("view").seen ?? 0;
    const others = pending.prices.filter((p) => p.field !== move.field || p.model !== move.model);
    pending = { prices: [...others, move], revision: Math.max(seen, pending.revision ?? 0) + 1 };
    model.set("draft", { ...pending });
    model.save_changes();
  }

  // -- the parts ------------------------------------------------------------------------------
  const idle = h("div", { class: "hy-idle" });
  const retry = h(
    "button",
    { type: "button", class: "hy-chip", hidden: true, onclick: () => act("retry") },
    "Try again",
  );
  const flip = flipCard(act);
  const tau = strip({
    title: "Which model wins as τ grows",
    pick: (band) => act("go_tau", { tau: band.inside }),
    verb: "set τ to",
  });
  const picker = h("select", {
    class: "hy-select",
    "aria-label": "Model whose prices are shown",
    onchange: () => act("look", { model: picker.value }),
  });
  const sliders = ["Input price", "Output price"].map((label) =>
    priceSlider({
      label,
      drag,
      go: (price, usd) => act("go_price", { model: shownModel(), price, usd }),
      // What is refused is said beside the field.
      edit: (field, typed) => ask("edit", { model: shownModel(), field, typed }),
    }),
  );
  const map = mapOf({ act });
  const models = modelList(act);
  const prices = h(
    "section",
    { class: "hy-part" },
    h("h3", {}, "Which model wins as the price moves of ", picker),
    ...sliders.map((slider) => slider.root),
  );
  const body = h(
    "div",
    {},
    flip.root,
    h("section", { class: "hy-part" }, tau.root),
    h("div", { class: "hy-columns" }, prices, map.root),
  );
  root.append(h("div", { class: "hy-line" }, idle, retry), refusal, body, models.root);

  const shownModel = () => model.get("view").detail?.model;

  function show() {
    const view = model.get("view");
    if (pending.revision <= view.seen) pending = { prices: [] };
    const { detail } = view;
    setAttribute(root, "data-state", view.state);
    const running = view.state === "running" ? "working …" : view.note;
    setText(aside, running);
    setText(idle, view.message ? `This could not be worked out: ${view.message}` : (IDLE[view.state] ?? ""));
    retry.hidden = view.state !== "error";
    if (view.refusal) setText(refusal, view.refusal);
    body.hidden = !detail;
    models.show(view.models);
    if (!detail) return;
    flip.show(view.now, view.flips);
    tau.show(detail.tau, `now ${detail.tau.text}`);
    showPicker(view.models, detail.model);
    detail.sliders.forEach((data, index) => sliders[index].show(detail.model, data));
    map.show(detail, view.models);
  }

  function showPicker(list, shown) {
    const key = JSON.stringify(list.map((m) => [m.name, m.on, m.chosen]));
    if (picker.dataset.key !== key) {
      picker.dataset.key = key;
      picker.replaceChildren(
        ...list.map((m) => {
          const state = m.chosen ? " ✓" : m.on ? "" : " (off)";
          return h("option", { value: m.name }, `${m.number} ${m.name}${state}`);
        }),
      );
    }
    if (picker.value !== shown) picker.value = shown;
  }

  const stopWatching = watchKernel(model, root);
  model.on("change:view", show);
  show();
  return () => {
    stop();
    stopWatching();
    model.off("change:view", show);
  };
}

// The smallest change in a sentence, and the others behind it.
function flipCard(act) {
  const now = h("span", { class: "hy-flip-now" });
  const sentence = h("div", { class: "hy-flip-sentence" });
  const tryIt = h(
    "button",
    { type: "button", class: "hy-chip", onclick: () => act("try", { sentence: sentence.textContent }) },
    "Try it",
  );
  const list = h("ul", { class: "hy-flips" });
  const summary = h("summary", {});
  const others = h("details", { class: "hy-disclosure" }, summary, list);
  const root = h(
    "section",
    { class: "hy-flip" },
    h("div", { class: "hy-flip-head" }, h("h3", {}, "Smallest change that flips it"), now),
    h("div", { class: "hy-flip-line" }, sentence, tryIt),
    others,
  );

  function show(chosen, flips) {
    setText(now, `now: ${chosen}`);
    const none = "No single change of a price, a capability, τ or availability moves this prompt.";
    setText(sentence, flips ? (flips.first?.sentence ?? none) : "looking for it …");
    tryIt.hidden = !flips?.first;
    others.hidden = !flips?.rest.length;
    if (!flips) return;
    const count = flips.rest.length + flips.hidden;
    setText(summary, `${count} other single change${count === 1 ? "" : "s"}, smallest first`);
    const key = JSON.stringify(flips);
    if (list.dataset.key === key) return;
    list.dataset.key = key;
    const more = flips.hidden ? [h("li", {}, `… and ${flips.hidden} larger ones`)] : [];
    list.replaceChildren(
      ...flips.rest.map((one) =>
        h(
          "li",
          {},
          h("span", { class: "hy-kind" }, one.kind),
          h("span", {}, one.sentence),
          h(
            "button",
            {
              type: "button",
              class: "hy-chip",
              "aria-label": `Try it: ${one.sentence}`,
              onclick: () => act("try", { sentence: one.sentence }),
            },
            "Try it",
          ),
        ),
      ),
      ...more,
    );
  }

  return { root, show };
}

// One switch a model, what its outage does to this prompt, and at which price it wins.
function modelList(act) {
  const list = h("ul", { class: "hy-outages" });
  const heading = h("h3", {}, "If a model goes down, or its price falls");
  const root = h("section", { class: "hy-part" }, heading, list);
  const rows = [];

  function addRow() {
    const row = { name: "" };
    row.input = h("input", {
      type: "checkbox",
      role: "switch",
      onchange: () =>
        act("edit", { model: row.name, field: "available", typed: row.input.checked }).then(
          // What was refused is not so.
          (reply) => reply.ok || (row.input.checked = !row.input.checked),
        ),
    });
    row.badge = modelBadge(0);
    row.pick = h("button", {
      type: "button",
      class: "hy-name",
      onclick: () => act("look", { model: row.name }),
    });
    row.change = h("span", { class: "hy-change" });
    row.price = h("span", { class: "hy-price" });
    row.item = h("li", {}, row.input, row.badge, row.pick, row.change, row.price);
    rows.push(row);
    list.append(row.item);
  }

  function show(models) {
    root.hidden = !models.length;
    while (rows.length > models.length) rows.pop().item.remove();
    while (rows.length < models.length) addRow();
    models.forEach((data, index) => {
      const row = rows[index];
      row.name = data.name;
      row.input.checked = data.on;
      setAttribute(row.input, "aria-label", `${data.name} switched on`);
      row.badge.show(data.number);
      setText(row.pick, data.chosen ? `${data.name} ✓` : data.name);
      row.pick.title = `show the prices of ${data.name}`;
      setText(row.change, data.change);
      setText(row.price, data.price);
      row.price.title = data.price;
      row.change.title = data.change;
      setAttribute(row.item, "data-matters", data.matters);
      setAttribute(row.item, "data-chosen", data.chosen);
      setAttribute(row.item, "data-on", data.on);
    });
  }

  return { root, show };
}

export default { render };
