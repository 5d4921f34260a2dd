// InformationPlane: training on two planes side by side. Numbers and words are in information_data.js, the planes in
// information_plots.js; here are the controls and the table.

/** Which layers are drawn: check boxes that show each layer's line. */
function layerChecks({ facts, choose, signal }) {
  const inputs = facts.layers.map((name) => make("input", { type: "checkbox", "data-control": "layer", value: name }));
  const change = () => choose({ layers: facts.layers.filter((_, l) => inputs[l].checked) });
  inputs.forEach((input) => input.addEventListener("change", change, { signal }));
  const labels = inputs.map((input, l) => make("label", { class: "lr-check" }, input, layerSwatch(facts, l), make("span", {}, facts.layers[l])));
  const node = make("fieldset", { class: "lr-layers" }, make("legend", {}, "Layers"), make("div", {}, labels));
  const show = ({ task }, wanted) =>
    inputs.forEach((input, l) => {
      input.checked = wanted.includes(facts.layers[l]);
      labels[l].hidden = !task.layers.includes(facts.layers[l]);
    });
  return { node, show };
}

/** The table of the current step: a row for each layer. */
function planeTable(data) {
  const { facts } = data;
  const [caption, head, body] = [make("caption"), make("tr"), make("tbody")];
  const table = make("table", { class: "lr-plane-table" }, caption, make("thead", {}, head), body);
  const node = make("div", { class: "lr-scroll", role: "region", "aria-label": "The layers at this step" }, table);
  const cell = (name, text, found, digits) => {
    const several = found && found.seeds !== 1 && found.low !== undefined;
    const between = found && found.low < 0 ? " to " : "–";
    const ends = several ? make("span", { class: "lr-ends" }, [found.low, found.high].map((value) => value.toFixed(digits)).join(between).replaceAll("-", "\u2212")) : null;
    return make("td", { [`data-${name}`]: true }, make("span", {}, text), ends);
  };
  const show = (state) => {
    const { task, option, rank, vertical, t, shown, settings } = state;
    const ofLayer = vertical && vertical.column !== null;
    const names = ["layer", option.upper === null ? `I(X;T), ${option.kind}` : "I(X;T) at least", ...(option.upper === null ? [] : ["at most"]), "cap", "saturated", "rank", ...(ofLayer ? [vertical.text] : [])];
    head.replaceChildren(...names.map((text) => make("th", { scope: "col" }, text)));
    const row = (l) => {
      const at = layerAt(data, state, l, t);
      const cap = option.capsOf[l];
      const cells = [
        cell("information", natsText(at.information), at.information, 3),
        ...(option.upper === null ? [] : [cell("upper", natsText(at.upper), at.upper, 3)]),
        cell("cap", cap === null ? "–" : cap.toFixed(3)),
        cell("saturated", saturatedText(at.information, cap)),
        cell("rank", rankText(at.rank), at.rank, 2),
        ...(ofLayer ? [cell("vertical", natsText(at.vertical), at.vertical, 3)] : []),
      ];
      const place = facts.layers.indexOf(task.layers[l]);
      return make("tr", { "data-row": task.layers[l] }, make("th", { scope: "row" }, layerSwatch(facts, place), task.layers[l]), cells);
    };
    body.replaceChildren(...shown.map(row));
    const strong = (text) => make("span", {}, text);
    const told = Object.entries(task.network).flatMap(([name, numbers]) => [", ", `${name.replace("_", " ")} `, strong(String(numbers[state.v][state.c][t] ?? "–"))]);
    const ranges = state.c ? "" : "; small: lowest to highest seed";
    caption.replaceChildren("Step ", strong(String(task.steps[t])), `, ${settings.variant}, ${seedText(state)}`, ...told, `. Information in nats, by ${estimatorText(state)}; rank: ${rank.text}${ranges}`);
    if (node.scrollWidth > node.clientWidth + 1) node.setAttribute("tabindex", "0");
    else node.removeAttribute("tabindex");
  };
  return { node, show };
}

/** What the two planes show, above each of them; and what has to be known to read them. */
function planeHeadings({ task, option, vertical, c }) {
  const bar = option.upper === null ? "" : "; bar: from the lower to the upper bound";
  const box = c ? "" : "; pale box: lowest to highest seed";
  const open = option.capsOf.some((cap) => cap !== null) ? "; open: saturated" : "";
  const other = task.measured.some((name, l) => name !== task.layers[l]);
  const of = other ? ` Information is of the activations h (${task.measured[0]} to ${task.measured.at(-1)}), rank of the pre-activations p (${task.layers[0]} to ${task.layers.at(-1)}).` : "";
  const away = option.caps.filter(({ value }) => value > option.axis[1]).map(({ text }) => text);
  const far = away.length ? ` Beyond the axis: the cap${away.length > 1 ? "s" : ""} ${listed(away)}.` : "";
  return {
    left: [make("strong", {}, "Information plane"), `: ${vertical ? vertical.text : "nothing stored"} against I(X;T)`],
    right: [make("strong", {}, "Rank plane"), ": I(X;T) against local rank"],
    note: `A path is a layer over training, pale where it is still to come; square: first step${open}${bar}${box}.${far}${of}`,
  };
}

async function render({ model, el }) {
  const data = await readPlanes(model);
  const { facts } = data;
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const now = () => planeState(data, model);
  const chooseSettled = (changes) => choose(settledPlane(facts, { ...now().settings, ...changes }));
  const pick = (name) => (i) => chooseSettled({ [name]: planeChoices(now().task, name, now().settings)[i] });
  const list = (control, caption, move) => picker({ control, caption, move, signal });
  const noises = ({ options }) => options.filter(({ noise }) => noise);
  const pickers = {
    // a task starts with its own height of the left plane: what its layers know of the label, where that is stored
    task: list("task", "Task", (k) => chooseSettled({ task: facts.tasks[k].name, vertical: facts.tasks[k].verticals[0]?.name ?? "" })),
    variant: list("variant", "Run", pick("variant")),
    seed: list("seed", "Seed", pick("seed")),
    vertical: list("vertical", "Height of the left plane", pick("vertical")),
    estimator: list("estimator", "Estimator of I(X;T)", pick("estimator")),
    noise: list("noise", "Noise", (i) => chooseSettled({ noise: noises(now())[i].noise, scale: noises(now())[i].scale })),
    reading: list("reading", "Local rank", (i) => {
      const { reading, eps } = now().task.ranks[i];
      chooseSettled(eps === null ? { reading } : { reading, eps });
    }),
  };
  const stepSlider = slider({ control: "step", caption: "Training step", move: (at) => goTo(at), signal });
  const play = make("button", { type: "button", "data-control": "play" });
  const reset = make("button", { type: "button", class: "lr-wide", "data-control": "reset" }, "Reset");
  const checks = layerChecks({ facts, choose, signal });
  const view = (name) => {
    const heading = make("p", { class: "lr-heading" });
    const svg = make("svg", { "data-plot": name, role: "img" });
    return { heading, svg, node: make("div", {}, heading, svg) };
  };
  const [left, right] = ["information", "rank"].map(view);
  const note = make("p", { class: "lr-hint", "data-note": true });
  const table = planeTable(data);
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: "lr-figure lr-two-planes", id, "data-figure": "InformationPlane", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make("div", { class: "lr-plane-controls" }, Object.values(pickers).map(({ node }) => node)),
    make("div", { class: "lr-with-button lr-plane-step" }, play, stepSlider.node, reset),
    checks.node,
    make("div", { class: "lr-planes" }, left.node, right.node),
    note,
    table.node,
    output,
  );
  keepLetters(root, signal);
  el.append(root);
  const drawn = {}; // where the points of each plane are; known after the first drawing

  const showPicker = (name, index, names) => {
    pickers[name].show(index, names);
    pickers[name].node.hidden = names.length < 2;
  };
  const showControls = (state) => {
    const { task, settings, options, option, rank, vertical } = state;
    showPicker("task", state.k, facts.tasks.map(({ name }) => name));
    showPicker("variant", state.v, task.variants);
    const seeds = planeChoices(task, "seed", settings);
    showPicker("seed", seeds.indexOf(settings.seed), seeds.map((seed) => (seed === "mean" ? seedText({ ...state, c: 0 }) : `seed ${seed}`)));
    showPicker("vertical", task.verticals.indexOf(vertical), task.verticals.map(({ text }) => text));
    const estimators = planeChoices(task, "estimator", settings);
    showPicker("estimator", estimators.indexOf(option.estimator), estimators.map((name) => task.options.find(({ estimator }) => estimator === name).title));
    showPicker("noise", options.indexOf(option), noises(state).map(({ text }) => text));
    showPicker("reading", task.ranks.indexOf(rank), task.ranks.map(({ text }) => text));
    stepSlider.show(state.at, state.own.length, String(task.steps[state.t]));
    checks.show(state, model.get("layers"));
  };
  const draw = () => {
    if (!Math.round(root.getBoundingClientRect().width)) return; // not in the document yet: the observer calls again
    const state = now();
    showControls(state);
    const headings = planeHeadings(state);
    left.heading.replaceChildren(...headings.left);
    right.heading.replaceChildren(...headings.right);
    note.textContent = headings.note;
    table.show(state);
    const planes = { information: left.svg, rank: right.svg };
    const items = Object.keys(planes).map((plane) => planeItems(data, state, plane));
    const rows = Math.max(...items.map(rowsAbove)); // the same above both: they stand side by side
    Object.entries(planes).forEach(([plane, svg], i) => {
      const width = Math.round(svg.parentNode.getBoundingClientRect().width);
      drawn[plane] = drawPlane(svg, items[i], { facts, state, width, rows });
    });
    const what = `${state.task.name}, ${state.settings.variant}, ${seedText(state)}, step ${state.task.steps[state.t]}`;
    left.svg.setAttribute("aria-label", `Information plane of ${state.shown.length} layers: ${what}`);
    right.svg.setAttribute("aria-label", `Rank plane of ${state.shown.length} layers: ${what}`);
    output.textContent = planeWords(data, state);
    root.dataset.ready = "true";
  };

  const goTo = (at) => {
    player.stop();
    const { task, own } = now();
    choose({ step: task.steps[own[at]] });
  };
  const advance = () => {
    const { task, own, at } = now();
    choose({ step: task.steps[own[(at + 1) % own.length]] });
  };
  const player = playback(play, { advance, atEnd: () => now().at === now().own.length - 1, pause: 300 });
  play.addEventListener("click", player.toggle, { signal });
  const startAgain = () => {
    player.stop();
    choose(facts.first);
  };
  reset.addEventListener("click", startAgain, { signal });
  const goToPoint = (plane) => (x, y) => {
    const points = drawn[plane];
    if (!points.length) return;
    const { own, at } = now(); // of points that lie together, the one that is fewest steps away
    const away = points.map((point) => Math.hypot(point.x - x, point.y - y) + 0.01 * Math.abs(own.indexOf(point.t) - at));
    goTo(own.indexOf(points[away.indexOf(Math.min(...away))].t));
  };
  draggable(left.svg, left.svg, goToPoint("information"), signal);
  draggable(right.svg, right.svg, goToPoint("rank"), signal);
  const stopDrawing = keepDrawn({ model, root, traits: [...PLANE_SETTINGS, "layers"], draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

export default { render };
