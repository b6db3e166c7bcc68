// The two drawings: a curve with error bars, and a map with its colour bar. Both are SVG; colours come from the style sheet.

const SVG = "http://www.w3.org/2000/svg";

function shape(parent, name, attributes, text) {
  const element = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (text !== undefined) element.textContent = text;
  parent.append(element);
  return element;
}

function shortened(text, longest) {
  const characters = [...text];
  return characters.length <= longest ? text : characters.slice(0, longest - 1).join("") + "…";
}

function emptied(svg, width, height) {
  svg.replaceChildren();
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("width", width);
  svg.setAttribute("height", height);
}

function ticksBelow(svg, ticks, y) {
  for (const { at, text } of ticks) {
    shape(svg, "line", { x1: at, x2: at, y1: y, y2: y + 5, class: "frame" });
    shape(svg, "text", { x: at, y: y + 20, "text-anchor": "middle" }, shortened(text, 14));
  }
}

function ticksLeft(svg, ticks, x) {
  for (const { at, text } of ticks) {
    shape(svg, "line", { x1: x - 5, x2: x, y1: at, y2: at, class: "frame" });
    shape(svg, "text", { x: x - 9, y: at + 4.5, "text-anchor": "end" }, shortened(text, 14));
  }
}

/**
 * series: [{ engine, mean, error }] along `axis`; `limits`: the vertical range; `cursor`: an index along the axis, or null.
 * Returns the scale across, with which a pointer finds its point.
 */
function drawCurve(svg, width, height, axis, series, limits, cursor) {
  emptied(svg, width, height);
  const numbers = roundTicks(...limits, 5);
  const upwards = (value) => height - 30 - ((value - limits[0]) / (limits[1] - limits[0])) * (height - 44);
  const ticks = numbers.map((value) => ({ at: upwards(value), text: spelled(value) }));
  const left = widest(ticks) + 18;
  const scale = parameterScale(axis, left, width - 12, false);
  for (const { at } of ticks) shape(svg, "line", { x1: left, x2: width - 12, y1: at, y2: at, class: "grid" });
  shape(svg, "path", { d: `M${left} 8V${height - 30}H${width - 12}`, class: "frame" });
  ticksBelow(svg, scale.ticks(60, true), height - 30);
  ticksLeft(svg, ticks, left);
  if (cursor !== null) {
    shape(svg, "line", { x1: scale.centre(cursor), x2: scale.centre(cursor), y1: 8, y2: height - 30, class: "cursor" });
  }
  for (const one of series) (one.engine === "theory" ? drawTheory : drawSimulation)(svg, one, scale, upwards, axis.numeric);
  return scale;
}

function drawTheory(svg, { mean, error }, scale, upwards, joined) {
  if (!joined) {
    // names have no between: a dash at each
    mean.forEach((value, i) => {
      if (value === null) return;
      const [x, y] = [scale.centre(i), upwards(value)];
      shape(svg, "line", { x1: x - 14, x2: x + 14, y1: y, y2: y, class: "theory" });
    });
    return;
  }
  for (const run of runs(mean)) {
    if (error && run.some((i) => error[i])) {
      const above = run.map((i) => `${scale.centre(i)},${upwards(mean[i] + (error[i] || 0))}`);
      const below = run.map((i) => `${scale.centre(i)},${upwards(mean[i] - (error[i] || 0))}`).reverse();
      shape(svg, "polygon", { points: [...above, ...below].join(" "), class: "band" });
    }
    const points = run.map((i) => `${scale.centre(i)},${upwards(mean[i])}`).join(" ");
    if (run.length > 1) shape(svg, "polyline", { points, class: "theory" });
    else shape(svg, "circle", { cx: scale.centre(run[0]), cy: upwards(mean[run[0]]), r: 1.6, class: "theory" });
  }
}

function drawSimulation(svg, { mean, error }, scale, upwards) {
  mean.forEach((value, i) => {
    if (value === null) return;
    const [x, y] = [scale.centre(i), upwards(value)];
    if (error && error[i]) {
      const [top, bottom] = [upwards(value + error[i]), upwards(value - error[i])];
      shape(svg, "path", { d: `M${x} ${top}V${bottom}M${x - 3.5} ${top}h7M${x - 3.5} ${bottom}h7`, class: "bar" });
    }
    shape(svg, "circle", { cx: x, cy: y, r: 4.6, class: "simulation" });
  });
}

/** The indices of a list, in runs without a missing value. */
function runs(values) {
  const found = [];
  values.forEach((value, i) => {
    if (value === null) return;
    if (i > 0 && values[i - 1] !== null) found[found.length - 1].push(i);
    else found.push([i]);
  });
  return found;
}

/**
 * value(i, j): what the cell at index i across and j upwards shows. `colours`: from low to high, over `limits`. Outlined are the
 * row of the slice and the cell `here` = [i, j], if there is one; `pattern` names the hatching of cells without a value.
 * Returns the two scales.
 */
function drawMap(svg, width, height, across, upwards, value, { limits, colours, row, here, pattern }) {
  emptied(svg, width, height);
  const bar = width - 84;
  const bottom = height - 30;
  const vertical = parameterScale(upwards, bottom, 8, true);
  const ticks = vertical.ticks(18);
  const left = widest(ticks) + 18;
  const horizontal = parameterScale(across, left, bar - 18, true);
  const defs = shape(svg, "defs", {});
  const tile = { width: 6, height: 6, patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" };
  const hatch = shape(defs, "pattern", { id: pattern, ...tile });
  shape(hatch, "rect", { width: 6, height: 6, class: "absent" });
  shape(hatch, "line", { x1: 0, x2: 0, y1: 0, y2: 6, class: "hatch" });
  const colour = (number) => {
    const share = (number - limits[0]) / (limits[1] - limits[0]);
    return colours[Math.max(0, Math.min(colours.length - 1, Math.floor(share * colours.length)))];
  };
  for (let i = 0; i < across.values.length; i++) {
    for (let j = 0; j < upwards.values.length; j++) {
      const [x, y] = [horizontal.edge(i), vertical.edge(j + 1)];
      const number = value(i, j);
      const fill = number === null ? `url(#${pattern})` : colour(number);
      const size = { width: horizontal.edge(i + 1) - x, height: vertical.edge(j) - y };
      shape(svg, "rect", { x, y, ...size, fill, class: "cell" });
    }
  }
  const box = (i, last, j) => [horizontal.edge(i), vertical.edge(j + 1), horizontal.edge(last + 1), vertical.edge(j)];
  outline(svg, ...box(0, across.values.length - 1, row), "row");
  if (here) outline(svg, ...box(here[0], here[0], here[1]), "here");
  ticksBelow(svg, horizontal.ticks(60, true), bottom);
  ticksLeft(svg, ticks, left);
  drawBar(svg, bar, bottom, limits, colours);
  return [horizontal, vertical];
}

function outline(svg, x, y, right, bottom, name) {
  const box = { x, y, width: right - x, height: bottom - y };
  shape(svg, "rect", { ...box, class: `${name} rim` });
  shape(svg, "rect", { ...box, class: name });
}

function drawBar(svg, x, bottom, limits, colours) {
  const step = (bottom - 8) / colours.length;
  colours.forEach((fill, k) => {
    shape(svg, "rect", { x, y: bottom - (k + 1) * step, width: 16, height: step + 0.5, fill, class: "cell" });
  });
  for (const value of roundTicks(...limits, 5)) {
    const at = bottom - ((value - limits[0]) / (limits[1] - limits[0])) * (bottom - 8);
    shape(svg, "line", { x1: x + 16, x2: x + 21, y1: at, y2: at, class: "frame" });
    shape(svg, "text", { x: x + 25, y: at + 4.5 }, spelled(value));
  }
}
