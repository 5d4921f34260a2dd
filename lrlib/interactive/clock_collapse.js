// ClockCollapse: rank curves of many runs against t, ηλt or the corrected clock, and when each falls to half.
// The plot is in clock_plot.js; here are the words, the controls and the table.

function counted(n, noun) {
  return `${n} ${noun}${n === 1 ? "" : "s"}`;
}

/** The spread in a sentence. */
function spreadText({ curves, reached, lowest, median, highest, factor }, time) {
  if (!curves) return "No group is switched on.";
  const fall = `${reached || "None"} of ${counted(curves, "curve")} ${reached > 1 ? "fall" : "falls"} to half of ${reached > 1 ? "their" : "its"} highest rank`;
  if (!reached) return `${fall}.`;
  const { symbol } = TIMES[time];
  if (reached === 1) return `${fall}, at ${symbol} = ${timeText(median)}.`;
  return `${fall}, at ${symbol} = ${timeText(lowest)} to ${timeText(highest)}, median ${timeText(median)}: apart by a factor of ${timeText(factor)}.`;
}

/** What is told of one curve, after its name. */
function curveText(curve) {
  const speed = curve.speed === 1 ? "" : `, speed ${timeText(curve.speed)}`;
  const settings = `η = ${curve.lr}, λ = ${curve.decay}${speed}`;
  const half = `half of its highest rank, ${timeText(curve.highest)}`;
  if (curve.half === null) return `${settings}; it never falls to ${half}.`;
  const times = Object.keys(TIMES).filter((time) => time !== "corrected" || speed);
  return `${settings}; it falls to ${half}, at ${times.map((t) => `${TIMES[t].symbol} = ${timeText(halfTime(curve, t))}`).join(", ")}.`;
}

/** Where an arrow key moves among `count` choices in a ring; null for another key. JupyterLab cancels the keys' own work. */
function turnByKey(event, index, count) {
  const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 }[event.key];
  if (!step || event.ctrlKey || event.altKey || event.metaKey) return null;
  event.preventDefault();
  event.stopPropagation();
  return (index + step + count) % count;
}

/** The time axes as a group of radio buttons. */
function timeRadios({ id, choose, signal }) {
  const names = Object.keys(TIMES);
  const inputs = names.map((name) => make("input", { type: "radio", name: `${id}-time`, value: name, "data-control": name }));
  const move = (i) => {
    inputs[i].focus();
    choose({ time: names[i] });
  };
  inputs.forEach((input, i) => {
    input.addEventListener("change", () => choose({ time: names[i] }), { signal });
    const byKey = (event) => {
      const target = turnByKey(event, i, names.length);
      if (target !== null) move(target);
    };
    input.addEventListener("keydown", byKey, { signal });
  });
  const labels = inputs.map((input, i) => make("label", {}, input, make("span", {}, TIMES[names[i]].short)));
  const node = make("fieldset", { class: "lr-switch" }, make("legend", {}, "Time axis"), make("div", {}, labels));
  const show = (time) => inputs.forEach((input, i) => (input.checked = names[i] === time));
  return { node, show };
}

/** The groups as check boxes with their lines: legend and switch in one. */
function groupChips({ facts, choose, signal }) {
  const inputs = facts.groups.map((group) => make("input", { type: "checkbox", "data-control": "group", value: group }));
  const change = () => choose({ shown: facts.groups.filter((_, g) => inputs[g].checked) });
  inputs.forEach((input) => input.addEventListener("change", change, { signal }));
  const labels = inputs.map((input, g) => make("label", { class: "lr-chip" }, input, swatch(facts, g), make("span", {}, facts.groups[g])));
  const node = make("fieldset", { class: "lr-chips" }, make("legend", {}, "Runs that differ in"), make("div", {}, labels));
  const show = (shown) => inputs.forEach((input) => (input.checked = shown.has(input.value)));
  return { node, show };
}

/** A list of the curves that are shown, to highlight one. */
function curveList({ facts, curves, choose, signal }) {
  const select = make("select", { "data-control": "curve", "aria-label": "Highlighted curve" });
  const chosen = () => curves[Number(select.value)] ?? null;
  const pick = () => choose({ highlighted: chosen() && [chosen().group, chosen().name] });
  select.addEventListener("change", pick, { signal });
  const byKey = (event) => {
    const last = select.length - 1;
    const target = { Home: 0, End: last }[event.key] ?? turnByKey(event, select.selectedIndex, select.length);
    if (target === null || event.ctrlKey || event.altKey || event.metaKey) return;
    event.preventDefault();
    event.stopPropagation();
    select.selectedIndex = target;
    pick();
  };
  select.addEventListener("keydown", byKey, { signal });
  let listed = null;
  const show = (shown, curve) => {
    const key = [...shown].join("\n");
    if (listed !== key) {
      listed = key;
      const options = (group) => curves.flatMap((c, i) => (c.group === group ? [make("option", { value: i }, c.name)] : []));
      const groups = facts.groups.filter((group) => shown.has(group));
      select.replaceChildren(make("option", { value: -1 }, "none"), ...groups.map((group) => make("optgroup", { label: group }, options(group))));
    }
    select.value = String(curve ? curves.indexOf(curve) : -1);
  };
  return { node: make("label", { class: "lr-picker" }, make("span", { class: "lr-caption" }, "Highlighted curve"), select), show };
}

/** The half-rank times of every group on the axis of now, in a table that a screen reader can walk through. */
function groupTable({ facts, curves }) {
  const caption = make("caption");
  const body = make("tbody");
  const head = ["differ in", "fall to half", "lowest", "highest", "factor"].map((text) => make("th", { scope: "col" }, text));
  const show = ({ time, shown }) => {
    const row = (group, g) => {
      const found = spreadOf(curves.filter((curve) => curve.group === group), time);
      const times = ["lowest", "highest", "factor"].map((name) => make("td", { [`data-${name}`]: found[name] ?? "" }, found.reached ? timeText(found[name]) : "–"));
      const name = make("th", { scope: "row" }, swatch(facts, g), group);
      return make("tr", { "data-row": group, hidden: !shown.has(group) }, name, make("td", { "data-reached": found.reached }, `${found.reached} of ${found.curves}`), times);
    };
    caption.textContent = `Half-rank times of each group, in ${TIMES[time].short}`;
    body.replaceChildren(...facts.groups.map(row));
  };
  return { node: make("table", { class: "lr-collapse-table" }, caption, make("thead", {}, make("tr", {}, head)), body), show };
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const curves = await readCurves(model);
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const times = timeRadios({ id, choose, signal });
  const chips = groupChips({ facts, choose, signal });
  const list = curveList({ facts, curves, choose, signal });
  const svg = make("svg", { "data-plot": "collapse", role: "img" });
  const plot = collapsePlot(svg, { facts, curves, id });
  const summary = make("p", { class: "lr-note", "data-spread": true });
  const readout = make("p", { class: "lr-told", "data-readout": true });
  const table = groupTable({ facts, curves });
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure", id, "data-figure": "ClockCollapse", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    times.node,
    chips.node,
    make("p", { class: "lr-heading" }, make("strong", {}, facts.rankLabel[0].toUpperCase(), facts.rankLabel.slice(1)), ": mean over seeds. Dots: half of a curve's highest. Shaded: from the first dot to the last; dotted: their median"),
    svg,
    summary,
    make("div", { class: "lr-one" }, list.node, readout),
    table.node,
    output,
  );
  keepLetters(root, signal);
  el.append(root);
  let hovered = null; // the curve under the mouse, shown before the one that is chosen

  const now = () => {
    const [shown, chosen] = [new Set(model.get("shown")), model.get("highlighted")];
    const curve = curves.find(({ group, name }) => chosen && group === chosen[0] && name === chosen[1] && shown.has(group));
    return { time: model.get("time"), shown, curve: curve ?? null };
  };
  const tell = (curve) => {
    const hint = "Point at a curve in the plot, or choose one here, to see its settings and its half-rank time.";
    readout.replaceChildren(...(curve ? [make("strong", {}, curve.name), `: ${curveText(curve)}`] : [hint]));
  };
  const draw = () => {
    const width = Math.round(svg.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const state = now();
    hovered = null;
    const found = spreadOf(curves.filter(({ group }) => state.shown.has(group)), state.time);
    times.show(state.time);
    chips.show(state.shown);
    list.show(state.shown, state.curve);
    table.show(state);
    plot.place({ ...state, width, spread: found });
    summary.textContent = spreadText(found, state.time);
    tell(state.curve);
    const told = state.curve ? `${state.curve.name}: ${curveText(state.curve)} ` : "";
    output.textContent = `${told}Time axis ${TIMES[state.time].short}: ${summary.textContent}`;
    svg.setAttribute("aria-label", `${facts.rankLabel} of ${counted(found.curves, "curve")} against ${TIMES[state.time].axis}`);
    root.dataset.ready = "true";
  };
  const hover = (curve) => {
    if (curve === hovered) return;
    hovered = curve;
    plot.point(curve ?? now().curve);
    tell(curve ?? now().curve);
  };
  const under = (event) => {
    const box = svg.getBoundingClientRect();
    return plot.nearest(event.clientX - box.left, event.clientY - box.top);
  };
  const pin = (event) => {
    const curve = under(event);
    choose({ highlighted: curve && [curve.group, curve.name] });
  };
  svg.addEventListener("pointermove", (event) => event.pointerType === "mouse" && hover(under(event)), { signal });
  svg.addEventListener("pointerleave", () => hover(null), { signal });
  svg.addEventListener("click", pin, { signal });
  const stopDrawing = keepDrawn({ model, root, traits: ["time", "shown", "highlighted"], draw });

  return () => {
    stopDrawing();
    life.abort();
    root.remove();
  };
}

export default { render };
