// Before and after: which requests moved from which model to which, as a flow picture and a list.
import { h, setText } from "./dom.js";
import { fill } from "./workload_answer.js";

const SVG = "http://www.w3.org/2000/svg";
const LEAST = 18; // a node is never so low that its name would touch the next
const GAP = 8;

export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

export function comparisonSection(act) {
  const title = h("h3", {});
  const change = h("div", { class: "hy-change" });
  const headline = h("div", { class: "hy-headline", role: "status" });
  const facts = h("dl", { class: "hy-verdict-facts" });
  const keep = h("button", {
    type: "button",
    class: "hy-chip",
    onclick: () => act("baseline", { on: keep.dataset.kept !== "true" }),
  });
  const rekeep = h(
    "button",
    {
      type: "button",
      class: "hy-chip",
      title: "compare with the state on screen instead",
      onclick: () => act("baseline", { on: true }),
    },
    "Keep this state instead",
  );
  const picture = h("div", { class: "hy-flows", "aria-hidden": "true" });
  const list = h("ol", { class: "hy-flow-list", "aria-label": "Flows between models" });
  const rest = h("div", { class: "hy-quiet" });
  const body = h("div", {}, change, headline, facts, picture, list, rest);
  const element = h(
    "section",
    { class: "hy-part hy-comparison" },
    h("div", { class: "hy-line" }, title, h("span", { class: "hy-spring" }), rekeep, keep),
    body,
  );

  let flows = [];
  let width = 0;
  const sizes = new ResizeObserver(() => {
    if (Math.abs(picture.clientWidth - width) > 1) draw();
  });
  sizes.observe(picture);

  function show(view) {
    setText(title, view.title);
    keep.dataset.kept = String(view.kept);
    setText(keep, view.kept ? "Compare with the last edit" : "Keep as baseline");
    keep.title = view.kept ? "" : "compare every later state with this one";
    keep.disabled = !view.kept && !view.can_keep;
    rekeep.hidden = !view.kept;
    rekeep.disabled = !view.can_keep;
    body.classList.toggle("hy-stale", view.stale);
    setText(change, view.change);
    setText(headline, view.headline);
    fill(facts, view.facts, (fact) => h("div", {}, h("dt", {}, fact.label), h("dd", {}, fact.text)));
    const changed = fill(list, view.flows, (flow) =>
      h("li", {}, `${flow.before} → ${flow.after} `, h("b", {}, flow.text)),
    );
    setText(rest, view.rest);
    flows = view.flows;
    picture.hidden = !flows.length;
    if (changed) draw();
  }

  function draw() {
    width = picture.clientWidth;
    picture.replaceChildren();
    if (width && flows.length) picture.append(sankey(flows, width));
  }

  return { element, show, stop: () => sizes.disconnect() };
}

function sankey(flows, width) {
  const label = Math.min(230, width * 0.36);
  const total = flows.reduce((sum, flow) => sum + flow.requests, 0);
  const height = Math.max(90, Math.min(280, 26 * flows.length + 40));
  const left = column(flows, "before", total, height);
  const right = column(flows, "after", total, height);
  const tall = Math.max(left.height, right.height);
  const picture = svg("svg", { width, height: tall, viewBox: `0 0 ${width} ${tall}` });
  const [x0, x1] = [label + 10, width - label - 10];
  for (const flow of flows) {
    const thick = Math.max(1.5, left.scale * flow.requests);
    const from = left.nodes.get(flow.before);
    const to = right.nodes.get(flow.after);
    const y0 = from.y + from.used + thick / 2;
    const y1 = to.y + to.used + thick / 2;
    from.used += thick;
    to.used += thick;
    const middle = (x0 + x1) / 2;
    picture.append(
      svg("path", {
        class: "hy-flow",
        d: `M${x0},${y0}C${middle},${y0} ${middle},${y1} ${x1},${y1}`,
        "stroke-width": thick,
      }),
    );
  }
  for (const [nodes, x, anchor, at, sign] of [
    [left.nodes, x0 - 8, "end", x0 - 6, "−"],
    [right.nodes, x1 + 8, "start", x1, "+"],
  ])
    for (const [name, node] of nodes) {
      picture.append(
        svg("rect", { class: "hy-node", x: at, y: node.y, width: 6, height: node.height, rx: 2 }),
      );
      const text = svg("text", { x: anchor === "end" ? x - 4 : x + 4, y: node.y + node.height / 2 + 4, "text-anchor": anchor });
      const count = `${sign}${node.requests.toLocaleString("en-US")}`;
      text.append(`${clip(name, label / 7.6 - count.length - 1)} ${count}`);
      picture.append(text);
    }
  return picture;
}

function column(flows, side, total, height) {
  const sums = new Map();
  for (const flow of flows) sums.set(flow[side], (sums.get(flow[side]) ?? 0) + flow.requests);
  const scale = (height * 0.6) / total;
  const nodes = new Map();
  let y = 4;
  for (const [name, requests] of [...sums].sort((a, b) => b[1] - a[1])) {
    const drawn = flows
      .filter((flow) => flow[side] === name)
      .reduce((sum, flow) => sum + Math.max(1.5, scale * flow.requests), 0);
    const tall = Math.max(LEAST, drawn);
    nodes.set(name, { y, height: tall, used: (tall - drawn) / 2, requests });
    y += tall + GAP;
  }
  return { nodes, scale, height: y };
}

function clip(name, room) {
  const most = Math.max(6, Math.floor(room));
  return name.length <= most ? name : `${name.slice(0, most - 1)}…`;
}
