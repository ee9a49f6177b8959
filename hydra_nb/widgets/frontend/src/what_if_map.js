// The map: who wins for each value of two parameters. Exact polygons, names inside, a cross where
// we are; a click goes there.
import { h, setAttribute, setText } from "./dom.js";
import { modelBadge, toneOf } from "./what_if_axis.js";

const SVG = "http://www.w3.org/2000/svg";

function s(tag, attributes) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  return element;
}

export function mapOf({ act }) {
  const price = h(
    "select",
    { class: "hy-select", "aria-label": "Price on the x axis", onchange: look },
    h("option", { value: "input" }, "input price"),
    h("option", { value: "output" }, "output price"),
  );
  const across = h("select", { class: "hy-select", "aria-label": "What is on the y axis", onchange: look });
  const svg = s("svg", { viewBox: "0 0 1 1", preserveAspectRatio: "none", role: "img" });
  const labels = h("div", { class: "hy-map-labels", "aria-hidden": "true" });
  const cross = h("div", { class: "hy-cross", "aria-hidden": "true" });
  const plot = h("div", { class: "hy-map-plot", onclick: goThere }, svg, labels, cross);
  const xTicks = h("div", { class: "hy-map-x", "aria-hidden": "true" });
  const yTicks = h("div", { class: "hy-map-y", "aria-hidden": "true" });
  const xTitle = h("div", { class: "hy-map-title hy-map-right", "aria-hidden": "true" });
  const yTitle = h("div", { class: "hy-map-title", "aria-hidden": "true" });
  const now = h("div", { class: "hy-map-now" });
  const key = h("ul", { class: "hy-map-key" });
  const waiting = h("div", { class: "hy-map-waiting" }, "drawing the map …");
  const frame = h("div", { class: "hy-map" }, yTitle, yTicks, plot, xTicks, xTitle);
  const root = h(
    "section",
    { class: "hy-part" },
    h("h3", {}, "Map of ", price, " and ", across),
    frame,
    waiting,
    now,
    key,
  );
  let current = null;

  function look() {
    const picked = across.value ? JSON.parse(across.value) : null;
    act("look_map", {
      price: price.value,
      across: picked?.model ?? null,
      across_price: picked?.price ?? "input",
    });
  }

  function goThere(event) {
    if (!current) return;
    const box = plot.getBoundingClientRect();
    const share = (value, size) => Math.min(1, Math.max(0, value / size));
    const round = (value, reach) => Number(value.toFixed(Math.max(0, 3 - Math.floor(Math.log10(reach)))));
    const { x, y } = current;
    act("go", {
      x: round(share(event.clientX - box.left, box.width) * x.reach, x.reach),
      y: round((1 - share(event.clientY - box.top, box.height)) * y.reach, y.reach),
    });
  }

  function show(detail, models) {
    showPickers(detail, models);
    current = detail.map;
    frame.hidden = now.hidden = key.hidden = !current;
    waiting.hidden = Boolean(current);
    if (!current) return;
    const { x, y, areas } = current;
    setAttribute(svg, "aria-label", current.label);
    cross.style.left = `${x.at * 100}%`;
    cross.style.bottom = `${y.at * 100}%`;
    setText(now, `+ is now: ${x.text}, ${y.title === "τ" ? "τ = " : ""}${y.text}. Click to go elsewhere.`);
    const text = JSON.stringify([x.title, y.title, x.ticks, y.ticks, areas]);
    if (plot.dataset.key === text) return;
    plot.dataset.key = text;
    setText(xTitle, `${x.title} →`);
    setText(yTitle, `↑ ${y.title}`);
    xTicks.replaceChildren(...x.ticks.map((tick) => tickOf(tick, "left")));
    yTicks.replaceChildren(...y.ticks.map((tick) => tickOf(tick, "bottom")));
    // First all rims of a model, then its fills: rims between parts of one model disappear.
    svg.replaceChildren(...areas.map(groupOf));
    labels.replaceChildren(...areas.map(labelOf));
    const focused = [...key.children].findIndex((item) => item.contains(document.activeElement));
    key.replaceChildren(...areas.map(keyOf));
    key.children[focused]?.firstChild.focus();
  }

  function showPickers({ axes, model }, models) {
    if (price.value !== axes.price) price.value = axes.price;
    const text = JSON.stringify([axes.others, model]);
    if (across.dataset.key !== text) {
      across.dataset.key = text;
      const number = new Map(models.map((m) => [m.name, m.number]));
      across.replaceChildren(
        h("option", { value: "" }, "τ"),
        ...axes.others.map((axis) =>
          h(
            "option",
            { value: JSON.stringify({ model: axis.model, price: axis.price }) },
            `${number.get(axis.model)} ${axis.model}, ${axis.price} price`,
          ),
        ),
      );
    }
    const { across: y } = axes;
    const value = y ? JSON.stringify({ model: y.model, price: y.price }) : "";
    if (across.value !== value) across.value = value;
  }

  function keyOf(area) {
    const button = h(
      "button",
      {
        type: "button",
        class: "hy-chip",
        title: `go to the middle of the largest region of ${area.model}`,
        onclick: () => act("go", { x: area.x, y: area.y }),
      },
      modelBadge(area.number),
      `${area.model} ${area.share}`,
    );
    return h("li", {}, button);
  }

  return { root, show };
}

function tickOf({ at, text }, side) {
  const tick = h("span", {}, text);
  tick.style[side] = `${at * 100}%`;
  return tick;
}

function groupOf(area) {
  const group = s("g", { style: `--tone: ${toneOf(area.number)}` });
  for (const kind of ["hy-rim", "hy-area"])
    for (const points of area.polygons) group.append(s("polygon", { points, class: kind }));
  return group;
}

function labelOf({ model, number, label }) {
  const box = h(
    "span",
    { class: "hy-map-label" },
    h("span", { class: "hy-band-number" }, String(number || "–")),
    h("span", { class: "hy-band-name" }, model),
  );
  Object.assign(box.style, {
    left: `${(label.x - label.width / 2) * 100}%`,
    bottom: `${(label.y - label.height / 2) * 100}%`,
    width: `${label.width * 100}%`,
    height: `${label.height * 100}%`,
  });
  return box;
}
