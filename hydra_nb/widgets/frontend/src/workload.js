// Panel 4: many prompts at once. The parts draw themselves; here they are put together.
import { asker, h, panel, setText, watchKernel } from "./dom.js";
import { answerSection } from "./workload_answer.js";
import { comparisonSection } from "./workload_flows.js";
import { limitsSection } from "./workload_limits.js";
import { loadSection } from "./workload_load.js";
import { fleetSection, outageSection, shortSection } from "./workload_tables.js";

function render({ model, el }) {
  const { root, aside } = panel(el, "Workload");
  root.classList.add("hy-workload");
  const { ask, stop } = asker(model);
  const refusal = h("div", { class: "hy-refusal", role: "alert" });

  async function act(action, args = {}) {
    const reply = await ask(action, args);
    setText(refusal, reply.ok ? "" : reply.message);
    return reply;
  }

  const load = loadSection(model, ask, act);
  const answer = answerSection(act);
  const limits = limitsSection(model, act);
  const comparison = comparisonSection(act);
  const sections = [shortSection(act), outageSection(act), fleetSection(act)];
  const loaded = h(
    "div",
    { class: "hy-loaded", hidden: true },
    answer.element,
    h("div", { class: "hy-columns" }, answer.shares, limits.element),
    comparison.element,
    ...sections.map((section) => section.element),
  );
  root.append(load.element, refusal, loaded);

  // Undo and redo of the limits work wherever the focus is in this panel, but not inside an entry.
  root.addEventListener("keydown", (event) => {
    if (!(event.ctrlKey || event.metaKey) || event.target.matches("input, textarea")) return;
    const key = event.key.toLowerCase();
    if (key === "z") act(event.shiftKey ? "redo" : "undo");
    else if (key === "y") act("redo");
    else return;
    event.preventDefault();
  });

  function show() {
    const view = model.get("view");
    const has = view.state === "loaded";
    setText(aside, view.title);
    load.show(view);
    loaded.hidden = !has;
    if (!has) return;
    answer.show(view.answer);
    limits.show(view.limits);
    comparison.show(view.comparison);
    sections[0].show(view.answer.short, view.answer.stale);
    sections[1].show(view.outages);
    sections[2].show(view.fleet);
  }

  const stopWatching = watchKernel(model, root);
  model.on("change:view", show);
  show();
  return () => {
    stop();
    stopWatching();
    comparison.stop();
    sections[2].stop();
    model.off("change:view", show);
  };
}

export default { render };
