// Draws one Vega-Lite chart, offline. The specification is embedded once; rows are pushed into it.
import embed, { vega } from "vega-embed";
import { h, panel } from "./dom.js";

function theme(el) {
  const style = getComputedStyle(el);
  const read = (name, fallback) => style.getPropertyValue(name).trim() || fallback;
  const ink = read("--jp-ui-font-color1", "#1a1a1a");
  const dark = isDark(read("--jp-layout-color1", "#ffffff"));
  return {
    ink: dark ? "#f2f2f2" : "#1a1a1a",
    inkStrong: "#ffffff",
    config: {
      aria: false,
      background: "transparent",
      font: read("--jp-ui-font-family", "system-ui, sans-serif"),
      view: { stroke: null },
      axis: { labelColor: ink, titleColor: ink, labelFontSize: 12, titleFontSize: 12 },
      range: {
        diverging: dark
          ? ["#a8480b", "#6d4526", "#3a3a3a", "#2b4a6b", "#1769b5"]
          : ["#a8480b", "#f0b070", "#f1f1ef", "#a9cbe8", "#125a9e"],
      },
    },
  };
}

function isDark(colour) {
  const probe = document.createElement("canvas").getContext("2d");
  probe.fillStyle = colour;
  const hex = probe.fillStyle;
  if (!hex.startsWith("#")) return false;
  const [r, g, b] = [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
  return 0.2126 * r + 0.7152 * g + 0.0722 * b < 128;
}

function render({ model, el, signal }) {
  // One picture with one description: what vega says of each mark is hidden from screen readers.
  const host = h("div", { class: "hy-chart", "aria-hidden": "true" });
  const picture = h("div", { role: "img" }, host);
  const { root } = panel(el, model.get("title"));
  root.append(picture);
  let result = null;
  let closed = false;

  async function draw() {
    result?.finalize();
    result = null;
    const { ink, inkStrong, config } = theme(root);
    const next = await embed(host, model.get("spec"), {
      actions: false,
      renderer: "svg",
      config,
      patch: (spec) => {
        for (const given of spec.signals ?? []) {
          if (given.name === "ink") given.value = ink;
          if (given.name === "ink_strong") given.value = inkStrong;
        }
        return spec;
      },
    });
    if (closed || signal?.aborted) {
      next.finalize();
      return;
    }
    result = next;
    push();
    // Embedding empties the host for a moment, and a width read just then stays: look again.
    requestAnimationFrame(() => window.dispatchEvent(new Event("resize")));
  }

  function push() {
    describe();
    const rows = model.get("rows");
    root.hidden = rows.length === 0 && hasNamedRows(model.get("spec"));
    if (!result || !hasNamedRows(model.get("spec"))) return;
    const change = vega.changeset().remove(() => true).insert(rows);
    result.view.change("rows", change).resize().runAsync();
  }

  // One at a time: two embeddings at once would clear each other's drawing.
  let drawing = Promise.resolve();
  let waiting = false;
  function redraw() {
    if (waiting) return;
    waiting = true;
    drawing = drawing
      .then(() => {
        waiting = false;
        return closed ? undefined : draw();
      })
      .catch((error) => host.replaceChildren(`The chart could not be drawn: ${error.message}`));
  }
  // JupyterLab switches its theme by an attribute of <body>; colours are baked into the SVG.
  const observer = new MutationObserver(redraw);
  observer.observe(document.body, { attributeFilter: ["data-jp-theme-light", "data-jp-theme-name"] });
  // "container" width is read once; a cell that was laid out or resized later needs a new look.
  let width = 0;
  const sizes = new ResizeObserver(() => {
    const now = host.clientWidth;
    if (now && Math.abs(now - width) > 1) {
      width = now;
      window.dispatchEvent(new Event("resize"));
    }
  });
  sizes.observe(host);
  const describe = () => picture.setAttribute("aria-label", model.get("label") || "chart");
  model.on("change:label", describe);
  model.on("change:rows", push);
  model.on("change:spec", redraw);
  redraw();
  return () => {
    observer.disconnect();
    sizes.disconnect();
    model.off("change:label", describe);
    model.off("change:rows", push);
    model.off("change:spec", redraw);
    closed = true;
    result?.finalize();
  };
}

function hasNamedRows(spec) {
  return JSON.stringify(spec).includes('"name":"rows"');
}

export default { render };
