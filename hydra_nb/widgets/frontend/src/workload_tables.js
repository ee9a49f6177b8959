// The three sections that open: prompts that fall short, outages, and K against cost.
import { h, setText } from "./dom.js";
import { fill } from "./workload_answer.js";
import { svg } from "./workload_flows.js";

// A disclosure whose state is kept in Python, so that a reloaded page shows it again.
function disclosure(title, name, act, ...children) {
  const summary = h("summary", {}, title);
  let on = null;
  const element = h(
    "details",
    {
      class: "hy-disclosure hy-part",
      ontoggle: () => {
        if (on !== null && element.open !== on) act("show", { section: name, on: element.open });
      },
    },
    summary,
    ...children,
  );
  const set = (next) => {
    if (next === on) return;
    on = next;
    element.open = next;
  };
  return { element, summary, set };
}

function table(label, columns) {
  const body = h("tbody");
  const heads = columns.map(([text, kind, title]) =>
    h("th", { scope: "col", class: kind, title: title ?? null }, text),
  );
  const element = h(
    "div",
    { class: "hy-scroll hy-tall", tabindex: 0, role: "region", "aria-label": label },
    h("table", { class: "hy-table", "aria-label": label }, h("thead", {}, h("tr", {}, ...heads)), body),
  );
  return { element, body };
}

export function shortSection(act) {
  const rows = table("Prompts that fall short", [
    ["Prompt", "hy-wide"],
    ["Requests", "hy-figure"],
    ["Goes to", ""],
    ["Lacks", ""],
    ["Shortfall", "hy-figure"],
  ]);
  const more = h("div", { class: "hy-quiet" });
  const part = disclosure("Prompts that fall short", "short", act, rows.element, more);

  function show(view, stale) {
    part.element.hidden = !view;
    if (!view) return;
    part.set(view.on);
    setText(part.summary, view.headline);
    part.element.classList.toggle("hy-stale", Boolean(stale));
    rows.element.hidden = !view.rows.length;
    fill(rows.body, view.rows, (row) =>
      h(
        "tr",
        {},
        h("td", { class: "hy-wide", dir: "auto", title: row.text }, row.text),
        h("td", { class: "hy-figure" }, row.requests),
        h("td", {}, row.model),
        h("td", {}, row.lack),
        h("td", { class: "hy-figure" }, row.shortfall),
      ),
    );
    setText(more, view.more);
  }

  return { element: part.element, show };
}

export function outageSection(act) {
  const note = h("div", { class: "hy-quiet" });
  const problem = h("div", { class: "hy-refusal", role: "alert" });
  const rows = table("What each outage would do", [
    ["If this is off", ""],
    ["Extra cost", "hy-figure"],
    ["Extra shortfall", "hy-figure", "extra mean shortfall over all requests"],
    ["Move", "hy-figure", "requests that go elsewhere"],
    ["Newly short", "hy-figure", "requests that fall short then, and do not now"],
    ["Who takes over", "hy-wide"],
  ]);
  const harmless = h("div", { class: "hy-quiet" });
  const part = disclosure("What each outage would do", "outages", act, note, problem, rows.element, harmless);

  function show(view) {
    part.set(view.on);
    setText(note, view.note);
    setText(problem, view.message);
    part.element.classList.toggle("hy-stale", view.stale);
    rows.element.hidden = !view.rows.length;
    fill(rows.body, view.rows, (row) =>
      h(
        "tr",
        {},
        h("th", { scope: "row" }, row.model),
        h("td", { class: "hy-figure" }, row.cost),
        h("td", { class: "hy-figure" }, row.shortfall),
        h("td", { class: "hy-figure" }, row.moved),
        h("td", { class: "hy-figure" }, row.short),
        h("td", { class: "hy-wide" }, row.takers),
      ),
    );
    setText(harmless, view.harmless.length ? `Without effect: ${view.harmless.join(", ")}` : "");
  }

  return { element: part.element, show };
}

export function fleetSection(act) {
  const words = h("div", { class: "hy-quiet", role: "status" });
  const note = h("div", { class: "hy-quiet" });
  const host = h("div", { class: "hy-fleet", "aria-hidden": "true" });
  const legend = h(
    "div",
    { class: "hy-legend", "aria-hidden": "true" },
    ...[
      ["●", "proven"],
      ["○", "quick answer"],
      ["◇", "within a gap"],
      ["✗", "impossible"],
    ].map(([mark, text]) => h("span", {}, `${mark} ${text}`)),
  );
  const rows = table("Fleets of at most K models", [
    ["K", "hy-figure"],
    ["Cost", "hy-figure"],
    ["State", ""],
    ["Models", "hy-wide"],
  ]);
  const part = disclosure(
    "Fleet: at most K models, K against cost",
    "fleet",
    act,
    words,
    note,
    host,
    legend,
    rows.element,
  );
  let view = null;
  let width = 0;
  const sizes = new ResizeObserver(() => {
    if (view && Math.abs(host.clientWidth - width) > 1) draw();
  });
  sizes.observe(host);

  function show(next) {
    part.set(next.on);
    view = next;
    setText(words, next.words);
    setText(note, next.note);
    part.element.classList.toggle("hy-stale", next.on && next.stale);
    const some = next.points.length > 0;
    for (const element of [host, legend, rows.element]) element.hidden = !some;
    const changed = fill(rows.body, next.points, (point) =>
      h(
        "tr",
        {},
        h("th", { scope: "row", class: "hy-figure" }, String(point.k)),
        h("td", { class: "hy-figure" }, point.cost),
        h("td", {}, point.words),
        h("td", { class: "hy-wide" }, point.models),
      ),
    );
    if (changed) draw();
  }

  function draw() {
    width = host.clientWidth;
    host.replaceChildren();
    if (width && view.points.length) host.append(chart(view, width));
  }

  return { element: part.element, show, stop: () => sizes.disconnect() };
}

function chart({ points, ticks }, width) {
  const height = 210;
  const [left, right, top, bottom] = [74, 14, 12, 40];
  const picture = svg("svg", { width, height, viewBox: `0 0 ${width} ${height}` });
  const x = (k) =>
    left + (points.length === 1 ? 0.5 : (k - 1) / (points.length - 1)) * (width - left - right - 16) + 8;
  const [low, high] = ticks.length ? [ticks[0].usd, ticks[ticks.length - 1].usd] : [0, 1];
  const y = (usd) => top + (1 - (usd - low) / (high - low || 1)) * (height - top - bottom - 18);
  const floor = height - bottom;
  const write = (text, at, attributes = {}) => {
    const element = svg("text", { x: at[0], y: at[1], ...attributes });
    element.append(text);
    picture.append(element);
  };
  for (const { usd, text } of ticks) {
    picture.append(
      svg("line", { class: "hy-grid-line", x1: left, x2: width - right, y1: y(usd), y2: y(usd) }),
    );
    write(text, [left - 8, y(usd) + 4], { "text-anchor": "end" });
  }
  const known = points.filter((point) => point.usd !== null);
  if (known.length > 1)
    picture.append(
      svg("polyline", {
        class: "hy-fleet-line",
        points: known.map((point) => `${x(point.k)},${y(point.usd)}`).join(" "),
      }),
    );
  const every = Math.max(1, Math.ceil((points.length * 22) / (width - left - right)));
  for (const point of points) {
    if (point.usd === null)
      write(point.state === "infeasible" ? "✗" : point.state === "failed" ? "!" : "…", [x(point.k), floor - 2], {
        "text-anchor": "middle",
        class: "hy-fleet-none",
      });
    else picture.append(mark(point, x(point.k), y(point.usd)));
    if ((point.k - 1) % every === 0)
      write(String(point.k), [x(point.k), floor + 15], { "text-anchor": "middle" });
  }
  write("at most K models in use", [(left + width - right) / 2, height - 4], { "text-anchor": "middle" });
  return picture;
}

function mark(point, cx, cy) {
  const shape =
    point.state === "bounded"
      ? svg("rect", { x: cx - 4.5, y: cy - 4.5, width: 9, height: 9, transform: `rotate(45 ${cx} ${cy})` })
      : svg("circle", { cx, cy, r: 5 });
  shape.setAttribute("class", `hy-fleet-mark hy-fleet-${point.state}`);
  const title = svg("title");
  title.append(`K = ${point.k}: ${point.cost}, ${point.words}\n${point.models}`);
  shape.append(title);
  return shape;
}
