// Elements of a page, and the controls of a viewer. Text from files is only ever set as text.

/** An element with properties (or attributes, where it has no such property) and children. */
function node(name, properties = {}, ...children) {
  const element = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in element) element[key] = value;
    else element.setAttribute(key, value);
  }
  element.append(...children);
  return element;
}

/** Give a menu its entries [value, text]; what was chosen stays chosen where it still exists. */
function fill(menu, entries) {
  const before = menu.value;
  menu.replaceChildren(...entries.map(([value, text]) => node("option", { value }, shortened(text, 60))));
  if (entries.some(([value]) => String(value) === before)) menu.value = before;
}

/** A menu with its name; `changed` gets the value. */
function menu(parent, text, changed) {
  const select = node("select");
  select.addEventListener("change", () => changed(select.value));
  parent.append(node("label", {}, node("span", {}, text), select));
  return select;
}

/** A switch with its name; `changed` gets true or false. */
function tick(parent, text, changed) {
  const box = node("input", { type: "checkbox", checked: true });
  box.addEventListener("change", () => changed(box.checked));
  const label = node("label", { className: "tick" }, box, text);
  parent.append(label);
  return label;
}

/** A slider over the values of an axis, or a menu where they are names; `changed` gets the index. */
function chooser(parent, axis, changed) {
  const input = axis.numeric
    ? node("input", { type: "range", min: 0, max: axis.values.length - 1, step: 1 })
    : node("select");
  if (!axis.numeric) fill(input, axis.shown.map((name, i) => [i, name]));
  const output = node("output");
  const label = node("label", {}, node("span", {}, shortened(axis.text, 60)), input, ...(axis.numeric ? [output] : []));
  input.addEventListener(axis.numeric ? "input" : "change", () => changed(Number(input.value)));
  parent.append(label);
  return {
    show(index, hidden) {
      label.hidden = hidden;
      input.value = index;
      output.textContent = axis.shown[index];
      input.setAttribute("aria-valuetext", axis.shown[index]);
    },
  };
}

/** A drawing that takes the focus, between the label above it and the one below. */
function panel(parent, name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("role", "img");
  svg.setAttribute("tabindex", "0");
  const [above, below] = ["above", "below"].map((className) => node("div", { className }));
  const figure = node("figure", { className: name }, above, svg, below);
  parent.append(figure);
  return { figure, above, svg, below };
}

/** Where a pointer is, in the units of a drawing. */
function place(event, svg) {
  const box = svg.getBoundingClientRect();
  const factor = svg.viewBox.baseVal.width / box.width;
  return [(event.clientX - box.left) * factor, (event.clientY - box.top) * factor];
}
