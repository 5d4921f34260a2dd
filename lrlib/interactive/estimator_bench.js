// EstimatorBench: estimators of mutual information against the truth. Plots are in bench_plots.js, tables in
// bench_tables.js; here are the words and the controls.

/** The estimators as check boxes with their marks: legend and switch in one; buttons for all and none. */
function estimatorChecks({ facts, choose, signal }) {
  const inputs = facts.estimators.map((name) => make("input", { type: "checkbox", "data-control": "estimator", value: name }));
  const change = () => choose({ estimators: facts.estimators.filter((_, e) => inputs[e].checked) });
  inputs.forEach((input) => input.addEventListener("change", change, { signal }));
  const labels = inputs.map((input, e) => make("label", { class: "lr-check" }, input, benchSwatch(facts, e), make("span", {}, facts.estimators[e])));
  const setter = (control, text, estimators) => {
    const button = make("button", { type: "button", class: "lr-wide", "data-control": control }, text);
    button.addEventListener("click", () => choose({ estimators }), { signal });
    return button;
  };
  const all = setter("all", "All", [...facts.estimators]);
  const none = setter("none", "None", []);
  const note = make("p", { class: "lr-hint", "data-not-here": true });
  const node = make("fieldset", { class: "lr-estimators" }, make("legend", {}, "Estimators"), make("div", {}, labels, all, none), note);
  const show = ({ c, chosen }) => {
    inputs.forEach((input, e) => (input.checked = chosen.includes(e)));
    const away = chosen.filter((e) => facts.cases[c].kinds[e] === null).map((e) => facts.estimators[e]);
    note.textContent = away.length ? `Not run in this case: ${away.join(", ")}.` : "";
  };
  return { node, show };
}

/** What is shown, in a sentence for who does not see it. */
function benchWords({ facts, cell }, { c, k, chosen, shown }) {
  const { name, truth } = facts.cases[c];
  const told = shown.map((e) => {
    const found = cell(c, e, k);
    if (!found) return `${facts.estimators[e]} not run`;
    return `${facts.estimators[e]} ${natsText(found.mean)}, bias ${natsText(found.bias, { signed: true })}${found.saturated ? ", saturated" : ""}`;
  });
  const away = chosen.filter((e) => facts.cases[c].kinds[e] === null).map((e) => facts.estimators[e]);
  const none = chosen.length ? "none of those that are switched on" : "no estimator";
  const apart = away.length ? ` Not run in this case: ${away.join(", ")}.` : "";
  return `${name}, truth ${natsText(truth)} nats, N = ${sizeText(facts.sizes[k])}: ${told.join("; ") || none}.${apart}`;
}

async function render({ model, el }) {
  const bench = await readBench(model);
  const { facts } = bench;
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const now = () => benchState(bench, model);
  const cases = picker({ control: "case", caption: "Case", move: (c) => choose({ case: facts.cases[c].name }), signal });
  const sizes = slider({ control: "n", caption: "Samples N", move: (k) => choose({ n: facts.sizes[k] }), signal });
  const reset = make("button", { type: "button", class: "lr-wide", "data-control": "reset" }, "Reset");
  reset.addEventListener("click", () => choose({ ...facts.start }), { signal });
  const checks = estimatorChecks({ facts, choose, signal });
  const about = make("p", { class: "lr-note", "data-about": true });
  const cloud = make("svg", { "data-plot": "scatter", role: "img" });
  const cloudNote = make("p", { class: "lr-hint" });
  const [curves, dots] = ["curves", "dots"].map((name) => make("svg", { "data-plot": name, role: "img" }));
  const outside = make("p", { class: "lr-hint", "data-outside-note": true });
  const dotsHeading = make("p", { class: "lr-heading" });
  const table = benchTable(bench);
  const biases = biasTable({ bench, choose, signal });
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure lr-bench", id, "data-figure": "EstimatorBench", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make(
      "div",
      { class: "lr-bench-top" },
      make("div", {}, make("div", { class: "lr-bench-controls" }, cases.node, reset, sizes.node), about),
      make("figure", { class: "lr-bench-cloud" }, cloud, cloudNote),
    ),
    checks.node,
    make("p", { class: "lr-heading" }, make("strong", {}, "Estimates against N"), ", in nats: mean over seeds, side by side at each N; bars: lowest to highest seed; open: saturated in some seed; dashed: caps, the most that an estimator can say"),
    curves,
    outside,
    dotsHeading,
    dots,
    table.node,
    biases.nodes,
    output,
  );
  const cloudBox = cloud.parentNode;
  keepLetters(root, signal);
  el.append(root);
  let places = [0]; // where the sizes are drawn; known after the first drawing

  const showCase = (state) => {
    const { name, title, truth, scatter } = facts.cases[state.c];
    about.replaceChildren(make("strong", {}, name), `. ${title}${/[.!?]$/.test(title) || !title ? "" : "."} `, make("span", { class: "lr-nowrap" }, "Truth: ", make("strong", { "data-truth": true }, natsText(truth)), " nats."));
    cloudBox.hidden = !scatter;
    if (!scatter) return;
    drawScatter(cloud, { bench, state });
    cloud.setAttribute("aria-label", `${scatter.points} points of the case ${name}: a coordinate of y against one of x`);
    cloudNote.textContent = `${scatter.points} points${scatter.outside ? `; ${scatter.outside} farther out` : ""}`;
  };
  const draw = () => {
    const width = Math.round(root.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const state = now();
    const size = sizeText(facts.sizes[state.k]);
    cases.show(state.c, facts.cases.map(({ name }) => name));
    sizes.show(state.k, facts.sizes.length, size);
    checks.show(state);
    showCase(state);
    const drawn = drawCurves(curves, { bench, state, width, id });
    ({ places } = drawn);
    outside.textContent = drawn.outside.length ? `Outside the axis, at the arrows: ${drawn.outside.join(", ")}.` : "";
    const { name } = facts.cases[state.c];
    curves.setAttribute("aria-label", `Estimates of ${state.shown.length} estimators against the number of samples, ${name}`);
    dotsHeading.replaceChildren(make("strong", {}, `Every seed at N = ${size}`), ": a mark each, open if saturated; stroke: mean, bar: standard deviation over seeds");
    drawDots(dots, { bench, state, width, id });
    dots.setAttribute("aria-label", `Every seed of ${state.shown.length} estimators at N = ${size}, ${name}`);
    table.show(state);
    biases.show(state);
    output.textContent = benchWords(bench, state);
    root.dataset.ready = "true";
  };
  draggable(curves, curves, (x) => choose({ n: facts.sizes[nearest(places, x)] }), signal);
  const stopDrawing = keepDrawn({ model, root, traits: ["case", "n", "estimators"], draw });

  return () => {
    stopDrawing();
    life.abort();
    root.remove();
  };
}

export default { render };
