// The slices of a sweep: what is chosen, and what that draws and says.

const ENGINES = { theory: "theory", experiment: "simulation" };
const KINDS = { theory: "lines: theory", experiment: "points: simulation" };
const PAPER = 330;

class Viewer {
  constructor(root, number) {
    this.pattern = `hatch-${number}`;
    Object.assign(this, JSON.parse(root.querySelector("script[type='application/json']").textContent));
    this.labels = new Map([...root.querySelectorAll("template")].map((t) => [t.dataset.label, t.content]));
    this.index = this.axes.map((axis) => Math.floor((axis.values.length - 1) / 2));
    this.state = { variable: 0, along: 0, against: 1, engine: "", common: true, cursor: null, over: null };
    this.build(root);
    this.choose({});
    new ResizeObserver(() => this.draw()).observe(this.panels);
    // paper is narrower than the window: without this, all letters would shrink
    window.addEventListener("beforeprint", () => this.draw(PAPER));
    window.addEventListener("afterprint", () => this.draw());
  }

  build(root) {
    const controls = node("div", { className: "controls" });
    const chosen = (key) => (value) => this.choose({ [key]: value });
    const numbered = (key) => (value) => this.choose({ [key]: Number(value) });
    this.menus = {
      variable: menu(controls, "show", numbered("variable")),
      along: menu(controls, "along", numbered("along")),
      against: menu(controls, "map against", numbered("against")),
      engine: menu(controls, "map of", chosen("engine")),
    };
    fill(this.menus.variable, this.variables.map(({ text }, i) => [i, text]));
    this.choosers = this.axes.map((axis, k) =>
      chooser(controls, axis, (value) => {
        this.index[k] = value;
        this.choose({});
      }),
    );
    this.tick = tick(controls, "same scale for all slices", chosen("common"));
    this.panels = node("div", { className: "panels" });
    this.curve = panel(this.panels, "curve");
    this.map = panel(this.panels, "map");
    this.readout = node("p", { className: "readout", role: "status" });
    this.caption = node("p", { className: "caption" });
    this.table = node("table");
    const summary = node("summary", {}, "The numbers of this slice");
    const numbers = node("details", {}, summary, node("div", { className: "scroll" }, this.table));
    root.append(controls, this.panels, this.readout, this.caption, numbers);
    this.curve.svg.addEventListener("pointermove", (event) => this.overCurve(event));
    this.map.svg.addEventListener("pointermove", (event) => this.overMap(event, false));
    this.map.svg.addEventListener("click", (event) => this.overMap(event, true));
    for (const { svg, figure } of [this.curve, this.map]) {
      svg.addEventListener("pointerleave", () => this.choose({ over: null }));
      svg.addEventListener("keydown", (event) => this.key(event, figure === this.map.figure));
    }
  }

  // ---- what is chosen ----------------------------------------------------------------------------------------------------

  get variable() {
    return this.variables[this.state.variable];
  }

  choose(change) {
    const state = Object.assign(this.state, change);
    const own = this.variable.axes;
    const engines = this.variable.series.map(({ engine }) => engine);
    if (!own.includes(state.along)) state.along = own[0];
    const others = own.filter((k) => k !== state.along);
    if (!others.includes(state.against)) state.against = others.length ? others[0] : null;
    // a wish that the variable cannot fulfil is kept for the next one
    this.engine = engines.includes(state.engine) ? state.engine : engines[0];
    if (state.cursor !== null) state.cursor = Math.min(state.cursor, this.axes[state.along].values.length - 1);
    this.show(own, others, engines);
    this.draw();
  }

  /** Controls show the state; those that would change nothing are hidden. */
  show(own, others, engines) {
    const named = (ks) => ks.map((k) => [k, this.axes[k].text]);
    fill(this.menus.along, named(own));
    fill(this.menus.against, named(others));
    fill(this.menus.engine, engines.map((name) => [name, ENGINES[name] ?? name]));
    const chosen = { ...this.state, engine: this.engine };
    for (const [key, select] of Object.entries(this.menus)) select.value = chosen[key] ?? "";
    const hidden = {
      variable: this.variables.length < 2,
      along: own.length < 2,
      against: others.length < 2,
      engine: others.length < 1 || engines.length < 2,
    };
    for (const [key, select] of Object.entries(this.menus)) select.parentElement.hidden = hidden[key];
    this.tick.hidden = others.length < 1;
    this.choosers.forEach((one, k) => one.show(this.index[k], !others.includes(k)));
  }

  /** The number that a series has at indices of the axes. */
  at(numbers, index) {
    if (!numbers) return null;
    const flat = this.variable.axes.reduce((sum, k) => sum * this.axes[k].values.length + index[k], 0);
    return numbers[flat];
  }

  /** The indices of the slice, at i along it and, on the map, j upwards. */
  where(i, j) {
    const index = [...this.index];
    index[this.state.along] = i;
    if (j !== null && this.state.against !== null) index[this.state.against] = j;
    return index;
  }

  slice() {
    const places = this.axes[this.state.along].values.map((_, i) => this.where(i, null));
    return this.variable.series.map(({ engine, mean, error }) => ({
      engine,
      mean: places.map((index) => this.at(mean, index)),
      error: places.map((index) => this.at(error, index)),
    }));
  }

  // ---- what that draws ---------------------------------------------------------------------------------------------------

  draw(given) {
    const { along, against, cursor, common } = this.state;
    this.map.figure.hidden = against === null;
    const width = given ?? Math.max(this.curve.figure.clientWidth, 240);
    const size = [width, Math.round(Math.min(Math.max(width * 0.7, 250), 440))];
    const series = this.slice();
    const ends = series.flatMap(({ mean, error }) =>
      mean.flatMap((value, i) => (value === null ? [] : [value - (error[i] ?? 0), value + (error[i] ?? 0)])),
    );
    const limits = range([...ends, ...(common ? this.everything() : [])], 0.06);
    this.curve.scale = drawCurve(this.curve.svg, ...size, this.axes[along], series, limits, cursor);
    if (against !== null) this.drawMap(size);
    this.write(series);
  }

  everything() {
    return this.variable.series.flatMap(({ mean }) => mean);
  }

  drawMap(size) {
    const { along, against, common, cursor, over } = this.state;
    const { mean } = this.variable.series.find((one) => one.engine === this.engine);
    const [across, upwards] = [this.axes[along], this.axes[against]];
    const value = (i, j) => this.at(mean, this.where(i, j));
    const own = () => across.values.flatMap((_, i) => upwards.values.map((__, j) => value(i, j)));
    const [low, high] = range(common ? this.everything() : own(), 0);
    const most = Math.max(-low, high);
    const signs = low < 0 && high > 0 && Math.min(-low, high) > 0.05 * most;
    const row = this.index[against];
    this.map.scales = drawMap(this.map.svg, ...size, across, upwards, value, {
      limits: signs ? [-most, most] : [low, high],
      colours: signs ? this.colours.diverging : this.colours.sequential,
      row,
      here: cursor === null ? null : [cursor, over ?? row],
      pattern: this.pattern,
    });
  }

  // ---- what that says ----------------------------------------------------------------------------------------------------

  write(series) {
    const { along, against, cursor, over, variable } = this.state;
    const label = (key) => this.labels.get(key).cloneNode(true);
    const others = this.variable.axes.filter((k) => k !== along);
    const at = others.length ? ` at ${this.values(others, this.index)}` : "";
    const text = `${this.variable.text} along ${this.axes[along].text}${at}`;
    const kinds = series.map((one) => KINDS[one.engine] ?? `points: ${one.engine}`).join("; ");
    const errors = this.seeds > 1 ? `mean and standard error over ${this.seeds} seeds` : "bars: one standard error";
    const hint = " The map outlines this slice; a click on it, or an arrow key, chooses another.";
    const help = node("span", { className: "help" }, hint);
    this.caption.replaceChildren(`${text}; ${kinds}; ${errors}.`, against === null ? "" : help);
    this.curve.above.replaceChildren(node("span", {}, label(`variable-${variable}`)));
    this.curve.below.replaceChildren(label(`axis-${along}`));
    this.curve.svg.setAttribute("aria-label", `${text}. Arrow keys move along the curve.`);
    if (against !== null) {
      const shown = ENGINES[this.engine] ?? this.engine;
      const colour = node("span", { className: "colour" }, label(`variable-${variable}`), `, ${shown}`);
      this.map.above.replaceChildren(node("span", {}, label(`axis-${against}`)), colour);
      this.map.below.replaceChildren(label(`axis-${along}`));
      const over = `${this.axes[along].text} and ${this.axes[against].text}`;
      this.map.svg.setAttribute("aria-label", `Map of ${this.variable.text}, ${shown}, over ${over}. Arrow keys move.`);
    }
    this.readout.textContent = cursor === null ? "" : this.under(this.where(cursor, over));
    this.tabulate(series);
  }

  values(ks, index) {
    return ks.map((k) => `${this.axes[k].text} = ${this.axes[k].shown[index[k]]}`).join(", ");
  }

  /** The point under the cursor, in words. */
  under(index) {
    const { along, against } = this.state;
    const found = this.variable.series.map(({ engine, mean, error }) => {
      return `${ENGINES[engine] ?? engine} ${withError(this.at(mean, index), this.at(error, index))}`;
    });
    return `${this.values(against === null ? [along] : [along, against], index)}: ${found.join(", ")}`;
  }

  tabulate(series) {
    const axis = this.axes[this.state.along];
    const names = [axis.text, ...series.map(({ engine }) => ENGINES[engine] ?? engine)];
    const head = node("tr", {}, ...names.map((name) => node("th", { scope: "col" }, name)));
    const rows = axis.shown.map((name, i) => {
      const cells = series.map(({ mean, error }) => node("td", {}, withError(mean[i], error[i])));
      return node("tr", {}, node("th", { scope: "row" }, name), ...cells);
    });
    this.table.replaceChildren(node("thead", {}, head), node("tbody", {}, ...rows));
  }

  // ---- pointer and keyboard ----------------------------------------------------------------------------------------------

  overCurve(event) {
    const cursor = this.curve.scale.nearest(place(event, this.curve.svg)[0]);
    if (cursor !== this.state.cursor) this.choose({ cursor });
  }

  overMap(event, clicked) {
    const [x, y] = place(event, this.map.svg);
    const [cursor, over] = [this.map.scales[0].nearest(x), this.map.scales[1].nearest(y)];
    if (clicked) this.index[this.state.against] = over;
    if (clicked || cursor !== this.state.cursor || over !== this.state.over) this.choose({ cursor, over });
  }

  key(event, onMap) {
    const { along, against, cursor } = this.state;
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!steps || (steps[1] && !onMap)) return;
    event.preventDefault();
    const inside = (k, i) => Math.max(0, Math.min(this.axes[k].values.length - 1, i));
    if (steps[1]) this.index[against] = inside(against, this.index[against] + steps[1]);
    this.choose({ cursor: inside(along, cursor === null ? 0 : cursor + steps[0]), over: null });
  }
}

document.querySelectorAll(".viewer").forEach((root, number) => new Viewer(root, number));
