// Panel 2: the catalog as an editable grid with one tab stop (the ARIA grid pattern).
import { asker, h, panel, setAttribute, setText, watchKernel } from "./dom.js";

const EDITABLE = new Set(["text", "price", "capability", "tokens"]);

function render({ model, el }) {
  const { root, aside } = panel(el, "Catalog");
  const { ask, stop } = asker(model);
  const columns = model.get("view").columns;
  const active = { row: 0, column: 1 };
  let editor = null; // { row, column, input, problem, sending }
  let cells = []; // cells[row][column] → <td>

  const button = (label, onclick, title) =>
    h("button", { type: "button", class: "hy-chip", onclick, title }, label);
  const add = button("+ Add", () => act("add").then(goTo), "add a model");
  const copy = button("Duplicate", () => act("duplicate", { model: nameAt(active.row) }).then(goTo));
  const remove = button("Remove", () => act("remove", { model: nameAt(active.row) }));
  const undo = button("↶ Undo", () => act("undo"));
  const redo = button("↷ Redo", () => act("redo"));
  const reset = button("Reset", () => act("reset"), "back to the catalog as it was opened");
  const samples = h(
    "select",
    {
      class: "hy-select",
      "aria-label": "Open a sample catalog",
      onchange: () => {
        const name = samples.value;
        samples.value = "";
        if (name) act("open_sample", { name });
      },
    },
    h("option", { value: "" }, "Open a sample …"),
    ...model.get("view").samples.map((name) => h("option", { value: name }, name)),
  );
  const toolbar = h(
    "div",
    { class: "hy-line", role: "toolbar", "aria-label": "Catalog actions" },
    add,
    copy,
    remove,
    h("span", { class: "hy-gap" }),
    undo,
    redo,
    reset,
    h("span", { class: "hy-spring" }),
    samples,
  );
  const refusal = h("div", { class: "hy-refusal", role: "alert" });
  const body = h("tbody");
  const table = h(
    "table",
    { role: "grid", class: "hy-grid", "aria-label": "Model catalog", onkeydown: onKey },
    h(
      "thead",
      {},
      h(
        "tr",
        { role: "row" },
        ...columns.map((column) =>
          h(
            "th",
            {
              role: "columnheader",
              scope: "col",
              title: column.title,
              class: `hy-${column.kind}`,
              "data-field": column.field,
            },
            column.label,
          ),
        ),
      ),
    ),
    body,
  );
  root.append(h("div", { class: "hy-scroll" }, table), refusal, toolbar);

  // Rows move while the user works, so every request names its model.
  const nameAt = (row) => model.get("view").rows[row]?.cells.name.value;
  const rowOf = (name) => model.get("view").rows.findIndex((row) => row.cells.name.value === name);

  async function act(action, args = {}) {
    const reply = await ask(action, args);
    setText(refusal, reply.ok ? "" : reply.message);
    // A button that the action switched off must not drop the focus out of the panel.
    const dropped = document.activeElement === document.body || document.activeElement?.disabled;
    if (dropped && cells.length) focusCell(active.row, active.column);
    return reply;
  }

  function goTo(reply) {
    if (reply.ok && rowOf(reply.result) >= 0) focusCell(rowOf(reply.result), 1);
  }

  // -- showing ---------------------------------------------------------------------------------

  function show() {
    const view = model.get("view");
    const count = view.rows.length;
    setText(aside, `${view.name} · ${count} models · ${view.available} available`);
    aside.title = [view.description, view.as_of && `as of ${view.as_of}`].filter(Boolean).join("\n");
    while (cells.length > count) {
      cells.pop();
      body.lastElementChild.remove();
    }
    if (editor && nameAt(editor.row) !== editor.model && !editor.sending) {
      setText(refusal, `${editor.model} is no longer there; its entry was dropped`);
      closeEditor();
    }
    while (cells.length < count) addRow(cells.length);
    active.row = Math.min(active.row, count - 1);
    view.rows.forEach(showRow);
    markActive();
    for (const [element, label, verb] of [
      [undo, view.undo, "undo"],
      [redo, view.redo, "redo"],
    ]) {
      element.disabled = !label;
      element.title = label ? `${verb}: ${label}` : `nothing to ${verb}`;
    }
    reset.disabled = !view.edited;
    remove.disabled = count < 2;
    showTargets(view);
  }

  function showTargets(view) {
    const name = view.rows[active.row]?.cells.name.text ?? "";
    copy.title = `duplicate ${name}`;
    remove.title = `remove ${name}`;
  }

  function addRow(row) {
    const line = columns.map((column, index) => {
      const inner = column.kind === "switch" ? switchBox(row, column) : null;
      return h(
        "td",
        {
          role: "gridcell",
          class: `hy-${column.kind}`,
          tabindex: -1,
          "data-field": column.field,
          "aria-readonly": EDITABLE.has(column.kind) || inner ? null : "true",
          onmousedown: () => setActive(row, index),
          ondblclick: () => openEditor(row, index),
        },
        inner,
      );
    });
    cells.push(line);
    body.append(h("tr", { role: "row" }, ...line));
  }

  function switchBox(row, column) {
    return h("input", {
      type: "checkbox",
      tabindex: -1,
      onchange: (event) =>
        act("edit", { model: nameAt(row), field: column.field, typed: event.target.checked }),
    });
  }

  function showRow(data, row) {
    const line = cells[row];
    const tr = line[0].parentElement;
    setAttribute(tr, "data-standing", data.standing);
    setAttribute(tr, "data-open", data.open);
    tr.classList.toggle("hy-off", !data.cells.available.value);
    columns.forEach((column, index) => {
      const td = line[index];
      if (editor && editor.row === row && editor.column === index) return;
      if (column.kind === "status") {
        const signs = { chosen: "✓ ", short: "✗ ", eligible: "", none: "" };
        const sign = data.open ? "! " : (signs[data.standing] ?? "– ");
        setText(td, data.status ? sign + data.status : "");
        setAttribute(td, "title", data.reason || null);
        return;
      }
      const cell = data.cells[column.field];
      td.classList.toggle("hy-changed", cell.changed);
      const hints = [cell.title, cell.changed && cell.was !== null && `was ${cell.was}`];
      if (column.field === "name")
        hints.push(`${data.cells.provider.text} · reads ${data.cells.modalities.text}`, data.notes);
      setAttribute(td, "title", hints.filter(Boolean).join("\n") || null);
      if (column.kind === "switch") {
        td.firstChild.checked = cell.value;
        setAttribute(td.firstChild, "aria-label", `${data.cells.name.text} available`);
        return;
      }
      setText(td, cell.text);
      if (column.kind === "capability") td.style.setProperty("--share", `${cell.value * 100}%`);
    });
  }

  // -- moving ----------------------------------------------------------------------------------

  function setActive(row, column) {
    active.row = row;
    active.column = column;
    markActive();
    showTargets(model.get("view"));
  }

  function markActive() {
    cells.forEach((line, row) =>
      line.forEach((td, column) => {
        const here = row === active.row && column === active.column;
        td.tabIndex = here ? 0 : -1;
        td.classList.toggle("hy-active", here);
      }),
    );
  }

  function focusCell(row, column) {
    const last = { row: cells.length - 1, column: columns.length - 1 };
    let next = Math.max(0, Math.min(last.column, column));
    const step = next < active.column ? -1 : 1;
    const shown = (index) => cells[0]?.[index]?.offsetParent !== null;
    while (next > 0 && next < last.column && !shown(next)) next += step;
    setActive(Math.max(0, Math.min(last.row, row)), next);
    cells[active.row][active.column].focus();
  }

  // Undo and redo work wherever the focus is in this panel, but not inside an entry.
  root.addEventListener("keydown", (event) => {
    if (editor || !(event.ctrlKey || event.metaKey)) return;
    const key = event.key.toLowerCase();
    if (key === "z") act(event.shiftKey ? "redo" : "undo");
    else if (key === "y") act("redo");
    else return;
    event.preventDefault();
  });

  const MOVES = {
    ArrowLeft: [0, -1],
    ArrowRight: [0, 1],
    ArrowUp: [-1, 0],
    ArrowDown: [1, 0],
    PageUp: [-Infinity, 0],
    PageDown: [Infinity, 0],
  };

  function onKey(event) {
    if (editor) return;
    const command = event.ctrlKey || event.metaKey;
    const key = event.key;
    if (command || event.altKey) return;
    else if (key in MOVES) focusCell(active.row + MOVES[key][0], active.column + MOVES[key][1]);
    else if (key === "Home") focusCell(active.row, 0);
    else if (key === "End") focusCell(active.row, columns.length - 1);
    else if (key === " " && columns[active.column].kind === "switch") {
      // The checkbox handles Space itself when it has the focus.
      if (event.target.type === "checkbox") return;
      cells[active.row][active.column].firstChild.click();
    } else if (key === "Enter" || key === "F2") openEditor(active.row, active.column);
    else if (key.length === 1 && key !== " ") openEditor(active.row, active.column, key);
    else return;
    event.preventDefault();
  }

  // -- editing ---------------------------------------------------------------------------------

  function openEditor(row, column, typed) {
    const { kind, field, title } = columns[column];
    if (!EDITABLE.has(kind)) return;
    if (editor) closeEditor();
    setActive(row, column);
    const data = model.get("view").rows[row].cells[field];
    const problem = h("span", { class: "hy-problem", role: "alert" });
    const input = h("input", {
      class: "hy-editor",
      "aria-label": `${title} of ${model.get("view").rows[row].cells.name.text}`,
      inputmode: kind === "text" ? "text" : "decimal",
      onkeydown: onEditorKey,
      onblur: () => editor && !editor.sending && commit({ stay: false }),
      ondblclick: (event) => event.stopPropagation(),
    });
    input.value = typed ?? String(data.value);
    const td = cells[row][column];
    editor = { row, column, model: nameAt(row), input, problem, sending: false };
    td.classList.add("hy-editing");
    td.replaceChildren(input, problem);
    input.focus();
    if (typed === undefined) input.select();
  }

  function closeEditor() {
    const { row, column } = editor;
    editor = null;
    const td = cells[row]?.[column];
    if (!td) return;
    td.classList.remove("hy-editing");
    td.replaceChildren();
    const data = model.get("view").rows[row];
    if (data) showRow(data, row);
  }

  function onEditorKey(event) {
    event.stopPropagation();
    if (event.isComposing) return; // Enter ends the composition, not the entry
    const { row, column } = editor;
    if (event.key === "Escape") {
      closeEditor();
      focusCell(row, column);
    } else if (event.key === "Enter") commit().then((done) => done && focusCell(row + 1, column));
    else if (event.key === "Tab") {
      const step = event.shiftKey ? -1 : 1;
      commit().then((done) => done && focusCell(row, column + step));
    } else return;
    event.preventDefault();
  }

  // An entry that is refused stays open with the reason beside it; nothing else changes. The focus
  // goes back to it only where a key asked for the entry: a click elsewhere is to be followed.
  async function commit({ stay = true } = {}) {
    const mine = editor;
    if (!mine || mine.sending) return false;
    const { field } = columns[mine.column];
    const before = model.get("view").rows[mine.row].cells[field].value;
    if (mine.input.value.trim() === String(before)) {
      closeEditor();
      return true;
    }
    mine.sending = true;
    const reply = await ask("edit", { model: mine.model, field, typed: mine.input.value });
    mine.sending = false;
    if (editor !== mine) {
      if (!reply.ok) setText(refusal, `${mine.model}, ${columns[mine.column].title}: ${reply.message}`);
      return reply.ok;
    }
    if (reply.ok) {
      closeEditor();
      return true;
    }
    mine.input.setAttribute("aria-invalid", "true");
    setText(mine.problem, reply.message);
    if (stay) mine.input.focus();
    return false;
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

export default { render };
