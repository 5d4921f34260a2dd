// The controls of RegionMap: selects, sliders over numbers, and the weights of one unit.

const TURN = 2 * Math.PI;

/** A number as it is written everywhere in the figure. */
function written(number) {
  if (number === 0) return "0";
  const size = Math.abs(number);
  const small = size < 1e-4 ? number.toExponential(1) : number.toPrecision(2);
  return (size < 0.01 ? small : number.toFixed(2)).replace(/-/g, "\u2212");
}

function place([x, y]) {
  return `(${x.toFixed(2)}, ${y.toFixed(2)})`.replace(/-/g, "\u2212");
}

/** A slider over a grid of numbers; between two of them it stands at the nearer, and says the number itself. */
function numberSlider({ control, caption, grid, text, move, signal }) {
  const { node, show } = slider({ control, caption, move: (index) => move(grid[index]), signal });
  const input = node.querySelector("input");
  const showNumber = (number) => {
    input.disabled = number === null;
    show(number === null ? 0 : nearest(grid, number), grid.length, number === null ? "none" : text(number));
  };
  return { node, show: showNumber };
}

/** The even grid from -reach to reach. */
function evenGrid(reach, count) {
  return Array.from({ length: 2 * count + 1 }, (_, i) => Number((((i - count) / count) * reach).toFixed(6)));
}

/** The controls of one unit: its line if it is of the first layer, else its weights one by one. */
function neuronControls({ facts, chooseNeuron, setRow, reset, signal }) {
  const units = facts.layers.flatMap((name, l) => Array.from({ length: facts.widths[l + 1] }, (_, u) => ({ name, l, u })));
  const most = Math.max(3, ...facts.first.flat(2).map((weight) => Math.ceil(Math.abs(weight))));
  let row = null; // the row that is shown, and the place in it that the last slider changes
  let where = null;
  let at = 0;
  const change = (changed) => setRow(where, changed);
  const turn = (degrees) => change(rowOf({ ...lineOf(row), angle: (degrees * TURN) / 360 }));
  const shift = (offset) => change(shifted(row, offset));
  const scaleTo = (strength) => {
    const line = lineOf(row); // weights of zero have no direction: they start along x1, and keep their bias
    change(line ? rowOf({ ...line, strength }) : [strength, 0, row[2]]);
  };
  const degrees = Array.from({ length: 360 }, (_, i) => i);
  const strengths = facts.thresholds.filter((strength) => strength >= 0.05);
  const chosen = picker({ control: "neuron", caption: "Unit", move: (i) => chooseNeuron(units[i]), signal });
  const angle = numberSlider({ control: "angle", caption: "Angle of its weights", grid: degrees, text: (v) => `${Math.round(v)}°`, move: turn, signal });
  const offset = numberSlider({ control: "offset", caption: "Offset of its line", grid: evenGrid(1.4 * facts.extent, 84), text: written, move: shift, signal });
  const strength = numberSlider({ control: "strength", caption: "Strength |w|", grid: strengths, text: written, move: scaleTo, signal });
  const incoming = picker({ control: "incoming", caption: "Weight from", move: (i) => showAt(i), signal });
  const weight = numberSlider({
    control: "weight",
    caption: "Its value",
    grid: evenGrid(most, 20 * most),
    text: written,
    move: (v) => change(row.map((old, i) => (i === at ? v : old))),
    signal,
  });
  const button = make("button", { type: "button", class: "lr-wide", "data-control": "reset" }, "Back to the first weights");
  button.addEventListener("click", reset, { signal });
  const lineControls = make("div", { class: "lr-sliders" }, angle.node, offset.node, strength.node);
  const weightControls = make("div", { class: "lr-sliders" }, incoming.node, weight.node);
  const hint = make("p", { class: "lr-hint" });
  const top = make("div", { class: "lr-row" }, chosen.node, button);
  const node = make("div", { class: "lr-neuron", role: "group", "aria-label": "One unit's weights" }, top, lineControls, weightControls, hint);

  function showAt(index) {
    at = Math.min(index, row.length - 1);
    const below = facts.layers[where.l - 1];
    incoming.show(at, row.map((_, i) => (i < row.length - 1 ? `${below} unit ${i + 1}` : "its bias")));
    weight.show(row[at]);
  }
  const show = (state) => {
    where = state.neuron;
    row = state.weights[where.l][where.u];
    chosen.show(units.findIndex(({ l, u }) => l === where.l && u === where.u), units.map(({ name, u }) => `${name} unit ${u + 1}`));
    lineControls.hidden = where.l > 0;
    weightControls.hidden = where.l === 0;
    hint.textContent = hintFor(facts, state, row);
    if (where.l > 0) return showAt(at);
    const line = lineOf(row);
    angle.show(line && ((line.angle / TURN) * 360 + 360) % 360);
    offset.show(line && line.offset);
    return strength.show(line ? line.strength : 0);
  };
  return { node, show };
}

/** What the chosen unit's weights do in this picture. */
function hintFor(facts, { l, neuron }, row) {
  const [own, shown] = [facts.layers[neuron.l], facts.layers[l]];
  if (neuron.l > l) return `${own} comes after ${shown}: its weights change nothing here.`;
  if (neuron.l > 0 && neuron.l === l) return `A unit of ${shown} itself: its weights change the Jacobian, not the regions.`;
  if (neuron.l > 0) return `The regions' edges bend where a unit of ${own} switches.`;
  const on = row[2] > 0 ? "on" : "off"; // where no line is in view, the whole square has the sign of its middle
  if (!lineOf(row)) return `Its weights are zero: it has no line, and is ${on} everywhere.`;
  if (!segmentOf(row, facts.extent)) return `Its line is outside this square: the unit is ${on} everywhere in view.`;
  const only = l === 0 ? ` L1 itself has one region: its lines cut the layers after it.`.replace("L1", own) : "";
  return `Drag its line in the map to move it, the round handle to turn it. The arrow points to where it is on.${only}`;
}
