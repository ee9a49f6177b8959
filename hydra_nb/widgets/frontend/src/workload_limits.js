// The editor of constraints: one row a limit; a refused entry stays open with the reason.
import { h, setAttribute, setText } from "./dom.js";

export function limitsSection(model, act) {
  const button = (label, onclick, title) =>
    h("button", { type: "button", class: "hy-chip", onclick, title }, label);
  const name = `hydra-nb-${Math.random().toString(36).slice(2)}`;
  const objectives = [
    ["cost", "least cost"],
    ["shortfall", "least shortfall"],
  ].map(([value, label]) => {
    const input = h("input", {
      type: "radio",
      name,
      value,
      onchange: () => act("objective", { objective: value }),
    });
    return { value, input, label: h("label", { class: "hy-choice" }, input, label) };
  });
  const kinds = h("select", {
    class: "hy-select",
    "aria-label": "Add a limit",
    onchange: async () => {
      const kind = kinds.value;
      kinds.value = "";
      const reply = kind && (await act("add_limit", { kind }));
      if (reply && reply.ok) rows.get(reply.result)?.focus();
    },
  });
  kinds.append(h("option", { value: "" }, "+ Add a limit …"));
  const undo = button("↶ Undo", () => act("undo"));
  const redo = button("↷ Redo", () => act("redo"));
  const clear = button("Remove all", () => act("clear_limits"));
  const list = h("ul", { class: "hy-limits", "aria-label": "Limits" });
  const force = h("div", { class: "hy-force hy-quiet" });
  const element = h(
    "section",
    { class: "hy-part" },
    h("h3", {}, "Limits and objective"),
    h(
      "div",
      { class: "hy-choices", role: "radiogroup", "aria-label": "Objective" },
      ...objectives.map((objective) => objective.label),
    ),
    list,
    h(
      "div",
      { class: "hy-line", role: "toolbar", "aria-label": "Limit actions" },
      kinds,
      undo,
      redo,
      clear,
    ),
    force,
  );
  const rows = new Map();

  function show(view) {
    for (const { value, input } of objectives) input.checked = value === view.objective;
    if (kinds.options.length === 1)
      kinds.append(...view.kinds.map((kind) => h("option", { value: kind.name }, kind.label)));
    const numbers = new Set(view.rows.map((row) => row.number));
    for (const [number, row] of rows) {
      if (numbers.has(number)) continue;
      const focused = row.element.contains(document.activeElement);
      row.element.remove();
      rows.delete(number);
      if (focused) kinds.focus();
    }
    view.rows.forEach((row, index) => {
      if (!rows.has(row.number)) rows.set(row.number, makeRow(model, act, row));
      const made = rows.get(row.number);
      if (list.children[index] !== made.element)
        list.insertBefore(made.element, list.children[index] ?? null);
      made.show(row, view.options);
    });
    list.hidden = !view.rows.length;
    clear.hidden = !view.rows.length;
    for (const [element, label, verb] of [
      [undo, view.undo, "undo"],
      [redo, view.redo, "redo"],
    ]) {
      element.disabled = !label;
      element.title = label ? `${verb}: ${label}` : `nothing to ${verb}`;
    }
    const words = view.words.length
      ? `In force: ${view.words.join("; ")}`
      : "No limit in force: each request goes to its own best model.";
    setText(force, words);
  }

  return { element, show };
}

function makeRow(model, act, first) {
  const { number, label } = first;
  const key = (entry) => `${number}.${entry}`;
  const send = (entry, typed) => {
    keep(entry, undefined);
    return act("edit_limit", { number, entry, typed });
  };
  // What is typed and not yet sent survives a reload of the page.
  function keep(entry, text) {
    const now = model.get("draft");
    const typing = { ...now.typing };
    if (text === undefined && !(key(entry) in typing)) return;
    if (text === undefined) delete typing[key(entry)];
    else typing[key(entry)] = text;
    model.set("draft", { ...now, typing, revision: (now.revision ?? 0) + 1 });
    model.save_changes();
  }

  const subject = first.subject
    ? h("select", {
        class: "hy-select",
        "aria-label": `${label}: ${first.subject}`,
        onchange: () => send("subject", subject.value),
      })
    : null;
  const entries = first.entries.map((entry) => {
    const common = { "aria-label": `${label}: ${entry.label}` };
    const isSwitch = entry.kind === "switch";
    const input = isSwitch
      ? h("input", {
          type: "checkbox",
          ...common,
          onchange: () => send(entry.name, input.checked ? "on" : ""),
        })
      : h("input", {
          type: "text",
          inputmode: entry.kind === "text" ? "text" : "decimal",
          class: entry.kind === "text" ? "hy-limit-text" : "hy-limit-number",
          placeholder: entry.needed ? "" : entry.kind === "text" ? "name" : "catalog",
          ...common,
          oninput: () => keep(entry.name, input.value),
          onchange: () => send(entry.name, input.value),
        });
    const started = model.get("draft").typing?.[key(entry.name)];
    if (started !== undefined && !isSwitch) {
      input.value = started;
      input.dataset.typed = "";
    }
    const parts = isSwitch ? [input, ` ${entry.label}`] : [`${entry.label} `, input, ` ${entry.unit}`];
    return { entry, input, label: h("label", { class: "hy-inline" }, ...parts) };
  });
  const now = h("span", { class: "hy-now" });
  const remove = h(
    "button",
    {
      type: "button",
      class: "hy-chip",
      "aria-label": `Remove ${label.toLowerCase()}`,
      title: "remove this limit",
      onclick: () => act("remove_limit", { number }),
    },
    "✕",
  );
  const id = `hydra-nb-${Math.random().toString(36).slice(2)}`;
  const message = h("div", { class: "hy-limit-message", id, role: "status" });
  const element = h(
    "li",
    { class: "hy-limit" },
    h(
      "div",
      { class: "hy-limit-line" },
      h("span", { class: "hy-limit-label" }, label),
      subject,
      ...entries.map((entry) => entry.label),
      now,
    ),
    remove,
    message,
  );

  function show(row, options) {
    element.dataset.state = row.state;
    setText(message, row.message);
    setText(now, row.binds ? `▲ at its limit · ${row.now}` : row.now);
    now.classList.toggle("hy-binds", row.binds);
    if (subject) showOptions(subject, options[row.subject], row.value, row.subject);
    row.entries.forEach((entry, index) => {
      const { input } = entries[index];
      setAttribute(input, "aria-invalid", row.state === "refused" ? "true" : null);
      setAttribute(input, "aria-describedby", row.message ? id : null);
      if (entry.kind === "switch") {
        input.checked = entry.typed === "on";
        return;
      }
      const typing = key(entry.name) in (model.get("draft").typing ?? {});
      if (!typing && input.value !== entry.typed) input.value = entry.typed;
    });
  }

  function focus() {
    (subject ?? entries[0].input).focus();
  }

  return { element, show, focus };
}

function showOptions(select, names, value, noun) {
  const listed = [...new Set([...names, ...(value ? [value] : [])])];
  const next = JSON.stringify(listed);
  if (select.dataset.key !== next) {
    select.dataset.key = next;
    select.replaceChildren(
      h("option", { value: "" }, `choose a ${noun} …`),
      ...listed.map((name) => h("option", { value: name }, name)),
    );
  }
  if (select.value !== value) select.value = value;
}
