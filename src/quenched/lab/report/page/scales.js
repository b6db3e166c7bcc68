// Numbers as text, and positions along an axis.

const SUPERSCRIPTS = "⁰¹²³⁴⁵⁶⁷⁸⁹";

/** A number to a few significant digits; far from one as 1.2×10⁻⁵. */
function spelled(value, digits = 4) {
  if (value === null || !Number.isFinite(value)) return "no value";
  if (value === 0) return "0";
  const size = Math.abs(value);
  if (size >= 1e-3 && size < 1e6) return String(Number(value.toPrecision(digits))).replace("-", "−");
  const [factor, power] = value.toExponential(digits - 1).split("e");
  const raised = [...String(Math.abs(Number(power)))].map((digit) => SUPERSCRIPTS[digit]).join("");
  return `${Number(factor)}×10${Number(power) < 0 ? "⁻" : ""}${raised}`.replace("-", "−");
}

/** "0.123 ± 0.004": the error to two digits, the value to as many places. */
function withError(value, error) {
  if (value === null) return "no value";
  if (!error) return spelled(value, 5);
  const places = 1 - Math.floor(Math.log10(error));
  if (places < 0 || places > 8) return `${spelled(value)} ± ${spelled(error, 2)}`;
  return `${value.toFixed(places)} ± ${error.toFixed(places)}`.replace("-", "−");
}

/** The width of the widest of some ticks, whose text is at most 14 letters. */
const widest = (ticks) => Math.max(...ticks.map(({ text }) => Math.min(14, [...text].length)), 1) * 7.5;

/** About `count` round numbers between low and high. */
function roundTicks(low, high, count) {
  const rough = (high - low) / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * [1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough * 0.999);
  const ticks = [];
  for (let k = Math.ceil(low / step - 1e-9); k * step <= high + step * 1e-9; k++) ticks.push(k === 0 ? 0 : k * step);
  return ticks.map((value) => Number(value.toPrecision(12)));
}

/** Powers of ten between low and high, with 2 and 5 times them where they are few. */
function logarithmicTicks(low, high) {
  const decades = Math.log10(high / low);
  const factors = decades > 3 ? [1] : decades > 1.3 ? [1, 3] : [1, 2, 5];
  const ticks = [];
  for (let k = Math.floor(Math.log10(low)); k <= Math.ceil(Math.log10(high)); k++) {
    for (const factor of factors) {
      const value = factor * 10 ** k;
      if (value >= low * 0.999 && value <= high * 1.001) ticks.push(value);
    }
  }
  return ticks.length > 1 ? ticks : roundTicks(low, high, 4).filter((value) => value > 0);
}

/**
 * The values of a swept parameter between two pixels. `edged`: the ends are those of cells around the values, not the values.
 * Numbers stand where they are (on a logarithmic axis, if the grid is logarithmic), names beside each other.
 */
function parameterScale(axis, from, to, edged) {
  const places = axis.numeric ? axis.values.map(axis.logarithmic ? Math.log10 : Number) : axis.values.map((_, i) => i);
  const last = places.length - 1;
  const edge = (k) => {
    if (last === 0) return places[0] + (k === 0 ? -0.5 : 0.5);
    if (k === 0) return places[0] - (places[1] - places[0]) / 2;
    if (k > last) return places[last] + (places[last] - places[last - 1]) / 2;
    return (places[k - 1] + places[k]) / 2;
  };
  const margin = edged ? 0 : (places[last] - places[0] || 1) * 0.03;
  const named = edged || !axis.numeric;
  const low = named ? edge(0) : places[0] - margin;
  const high = named ? edge(last + 1) : places[last] + margin;
  const pixel = (place) => from + ((place - low) / (high - low)) * (to - from);
  const back = (place) => (axis.logarithmic ? 10 ** place : place);
  return {
    centre: (i) => pixel(places[i]),
    edge: (k) => pixel(edge(k)),
    nearest(at) {
      let best = 0;
      for (let i = 1; i <= last; i++) {
        if (Math.abs(pixel(places[i]) - at) < Math.abs(pixel(places[best]) - at)) best = i;
      }
      return best;
    },
    /** Values with their pixels, `room` pixels apart; `across`: names need their width. */
    ticks(room, across = false) {
      if (across && !axis.numeric) room = Math.max(room, widest(axis.shown.map((text) => ({ text }))) + 8);
      if (!axis.numeric || places.length <= 6) {
        const step = Math.ceil((places.length * room) / Math.abs(to - from));
        const all = places.map((place, i) => ({ at: pixel(place), text: axis.shown[i] }));
        return all.filter((_, i) => i % Math.max(1, step) === 0);
      }
      const values = axis.logarithmic
        ? logarithmicTicks(back(low), back(high))
        : roundTicks(low, high, Math.max(2, Math.min(6, Math.floor(Math.abs(to - from) / room))));
      return values.map((value) => ({ at: pixel(axis.logarithmic ? Math.log10(value) : value), text: spelled(value) }));
    },
  };
}

/** Lowest and highest of numbers, of which some may be missing, with a margin. */
function range(numbers, margin) {
  let low = Infinity;
  let high = -Infinity;
  for (const value of numbers) {
    if (value === null || !Number.isFinite(value)) continue;
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  if (low > high) return [0, 1];
  const pad = (high - low) * margin || (high === low ? Math.abs(high) * 0.1 || 0.5 : 0);
  return [low - pad, high + pad];
}
