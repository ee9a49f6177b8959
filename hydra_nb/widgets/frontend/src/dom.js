// Small pieces every panel uses: elements, the kernel watch, messages with an answer.

export function h(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "class") element.className = value;
    else if (value === true) element.setAttribute(name, "");
    else if (value !== false && value !== null && value !== undefined)
      element.setAttribute(name, value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

export function setAttribute(element, name, value) {
  if (value === null || value === undefined || value === false) element.removeAttribute(name);
  else if (element.getAttribute(name) !== String(value))
    element.setAttribute(name, value);
}



// A panel: a region named by its heading, with a place at the right of the heading.
export function panel(el, title) {
  // Each panel is a bundle of its own, so a counter would start again in each.
  const id = `hydra-nb-${Math.random().toString(36).slice(2)}`;
  const aside = h("span", { class: "hy-aside" });
  const root = h(
    "section",
    { class: "hydra-nb", "aria-labelledby": id },
    h("header", {}, h("h2", { id }, title), aside),
  );
  // JupyterLab listens for keys on the cell: without this, "b" on a focused button inserts a cell
  // and Shift+Enter in the textarea runs the cell again. Saving must still get through.
  root.addEventListener("keydown", (event) => {
    const saving = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "s";
    if (!saving) event.stopPropagation();
  });
  el.append(root);
  return { root, aside };
}

export function badge(letter, dimension) {
  return h("span", { class: `hy-badge hy-${dimension}`, "aria-hidden": "true" }, letter);
}

// Ask Python for an action; the promise settles with its reply, which arrives inside `view`.
export function asker(model) {
  const client = Math.random().toString(36).slice(2);
  const waiting = new Map();
  let count = 0;
  const listen = () => {
    const reply = model.get("view").reply;
    const settle = reply && waiting.get(reply.number);
    if (settle) {
      waiting.delete(reply.number);
      settle(reply);
    }
  };
  model.on("change:view", listen);
  const ask = (action, args = {}, buffers = undefined) =>
    new Promise((resolve) => {
      const number = `${client}-${++count}`;
      waiting.set(number, resolve);
      model.send({ action, arguments: args, number }, undefined, buffers);
    });
  return { ask, stop: () => model.off("change:view", listen) };
}

// Tell within seconds when no kernel is behind the screen any more. Front ends that do not show
// their kernel to widgets are left alone.
export function watchKernel(model, root) {
  const banner = h(
    "div",
    { class: "hy-banner", role: "alert", hidden: true },
    "The kernel is gone: nothing here is live. Run this cell again to go on.",
  );
  root.prepend(banner);
  const kernel = kernelOf(model);
  if (!kernel) return () => {};
  const gone = ["dead", "terminating", "restarting", "autorestarting"];
  // A kernel that restarted is alive, but knows nothing of this widget: once lost, always lost.
  let lost = false;
  const check = () => {
    lost ||= kernel.isDisposed || gone.includes(kernel.status);
    const now = lost || kernel.connectionStatus !== "connected";
    banner.hidden = !now;
    root.classList.toggle("hy-lost", now);
  };
  kernel.statusChanged?.connect(check);
  kernel.connectionStatusChanged?.connect(check);
  const timer = setInterval(check, 1500);
  return () => {
    clearInterval(timer);
    kernel.statusChanged?.disconnect(check);
    kernel.connectionStatusChanged?.disconnect(check);
  };
}

function kernelOf(model) {
  try {
    return model.widget_manager?.kernel ?? undefined;
  } catch {
    return undefined;
  }
}
