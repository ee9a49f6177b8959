// Loading a workload: bundled, from a file in parts, or pasted; progress, cancel, refusals.
import { h, setAttribute, setText } from "./dom.js";

const PART_BYTES = 1_000_000;

export function loadSection(model, ask, act) {
  const first = model.get("view");
  const button = (label, onclick, attributes = {}) =>
    h("button", { type: "button", class: "hy-chip", onclick, ...attributes }, label);

  const none = h("span", { class: "hy-none" }, "No workload yet:");
  const samples = first.samples.map(({ name, label }) =>
    button(label, () => act("load_sample", { name })),
  );
  const picker = h("input", {
    type: "file",
    class: "hy-file",
    accept: first.endings.join(","),
    hidden: true,
    tabindex: -1,
    "aria-label": "Workload file",
    onchange: () => {
      const file = picker.files[0];
      picker.value = "";
      if (file) send(file);
    },
  });
  const open = button("Open a file …", () => picker.click(), {
    title: `${first.endings.join(", ")}, at most ${first.limit_bytes / 1e6} MB`,
  });
  const pasteId = `hydra-nb-${Math.random().toString(36).slice(2)}`;
  const paste = button("Paste prompts …", () => setPasting(area.hidden), {
    "aria-controls": pasteId,
    "aria-expanded": "false",
  });
  const close = button("Close workload", () => act("clear"), {
    title: "forget this workload; the limits stay",
  });
  const toolbar = h(
    "div",
    { class: "hy-line", role: "toolbar", "aria-label": "Load a workload" },
    none,
    ...samples,
    open,
    picker,
    paste,
    h("span", { class: "hy-spring" }),
    close,
  );

  const text = h("textarea", {
    rows: 6,
    dir: "auto",
    spellcheck: "false",
    placeholder: "One prompt a line, or JSON lines with text, arrivals, tokens_output …",
    "aria-label": "Prompts to paste",
    oninput: () => keep(),
  });
  const score = button("Score these prompts", async () => {
    const reply = await act("paste", { text: text.value });
    if (reply.ok) setPasting(false);
  });
  const area = h(
    "div",
    { class: "hy-paste", id: pasteId, hidden: true },
    text,
    h("div", { class: "hy-line" }, score, button("Not now", () => setPasting(false))),
  );
  const draft = model.get("draft");
  text.value = draft.paste ?? "";
  setPasting(Boolean(draft.pasting), false);

  // A reloaded page shows what was being pasted; very long texts would make each key slow.
  function keep(pasting = true) {
    const now = model.get("draft");
    const paste = text.value.length < 200_000 ? text.value : "";
    model.set("draft", { ...now, paste, pasting, revision: (now.revision ?? 0) + 1 });
    model.save_changes();
  }

  function setPasting(on, tell = true) {
    area.hidden = !on;
    setAttribute(paste, "aria-expanded", String(on));
    if (on && tell) text.focus();
    if (tell) keep(on);
  }

  async function send(file) {
    // Python checks too; without this, a large file would travel for nothing.
    for (let offset = 0; offset === 0 || offset < file.size; offset += PART_BYTES) {
      const refused = file.size > model.get("view").limit_bytes;
      const part = refused ? new ArrayBuffer(0) : await file.slice(offset, offset + PART_BYTES).arrayBuffer();
      const reply = await ask("upload", { name: file.name, size: file.size, offset }, [part]);
      if (!reply.ok || refused) return;
    }
  }

  const bar = h("div", { class: "hy-bar-fill" });
  const progress = h(
    "div",
    { class: "hy-bar", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": 100 },
    bar,
  );
  const words = h("span", { class: "hy-loading-words", role: "status" });
  const cancel = button("Cancel", () => act("cancel"));
  const line = h("div", { class: "hy-line hy-loading" }, progress, words, cancel);
  const problem = h("div", { class: "hy-refusal", role: "alert" });
  const element = h("div", {}, toolbar, line, problem, area);

  function show(view) {
    const { state, done, total } = view.loading;
    const running = !["idle", "error"].includes(state);
    none.hidden = view.state !== "empty";
    close.hidden = view.state === "empty";
    line.hidden = !running;
    setText(words, running ? view.loading.words : "");
    setText(problem, state === "error" ? view.loading.words : "");
    progress.dataset.known = String(total > 0);
    progress.setAttribute("aria-label", view.loading.label || "loading");
    const percent = total ? Math.round((100 * done) / total) : null;
    setAttribute(progress, "aria-valuenow", percent);
    bar.style.width = percent === null ? "" : `${percent}%`;
  }

  return { element, show };
}
