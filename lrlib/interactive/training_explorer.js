// TrainingExplorer: a study's stored runs. Nothing is computed here that a reader could quote: means over seeds come
// from Python, and the page looks numbers up, finds the lowest and highest seed, and draws.

/** What is chosen now, as places in what Python sent. */
function trainingState(model, facts) {
  const v = Math.max(0, facts.variants.indexOf(model.get("variant")));
  const stored = facts.seedsOf[v].includes(model.get("seed"));
  const r = Math.max(0, facts.readings.findIndex(({ name }) => name === model.get("reading")));
  const { name, first, thresholds } = facts.readings[r];
  const e = thresholds.length ? nearest(thresholds.map(Math.log), Math.log(model.get("eps"))) : 0;
  const own = facts.stepsOf[v]; // the places of this variant's steps among those of all
  const at = nearest(own.map((t) => facts.steps[t]), model.get("step"));
  return {
    v,
    c: stored ? 1 + facts.seeds.indexOf(model.get("seed")) : 0,
    r,
    reading: name,
    thresholds,
    e,
    column: first + e,
    own,
    at,
    t: own[at],
    weights: model.get("weights"),
    performance: model.get("performance"),
  };
}

/** The table of what is read now: every layer's rank, then losses and accuracies. */
function trainingTable(facts) {
  const head = { caption: make("caption"), spread: make("th", { scope: "col" }) };
  const layers = facts.layers.map((name, l) => {
    const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" }, styledLine(facts, l, "M0 5L26 5"));
    const cells = { rank: make("td", { "data-rank": name }), spread: make("td", { "data-spread": name }) };
    return { ...cells, row: make("tr", {}, make("th", { scope: "row" }, swatch, name), cells.rank, cells.spread) };
  });
  const network = Object.keys(facts.network).map((name) => {
    const value = make("td", { "data-network": name });
    return { name, value, row: make("tr", {}, make("th", { scope: "row" }, name.replace("_", " ")), value, make("td", {})) };
  });
  const rows = [...layers, ...network].map(({ row }) => row);
  const heads = make("thead", {}, make("tr", {}, make("th", { scope: "col" }, "layer"), make("th", { scope: "col" }, "rank"), head.spread));
  return { table: make("table", {}, head.caption, heads, make("tbody", {}, rows)), head, layers, network };
}

/** Write the numbers of a state into the table, and return them as a sentence. */
function fillTable({ head, layers, network }, { facts, data, state, words }) {
  const rankText = (value) => (value === null ? "–" : value.toFixed(2));
  const spreadText = (l) => {
    const band = data.band(state, l, state.t);
    if (band === null) return "–";
    return state.c ? `± ${data.stderr(state, l, state.t).toFixed(2)}` : band.map((value) => value.toFixed(2)).join("–");
  };
  head.caption.replaceChildren("At step ", make("span", {}, words.step), ", ", words.variant, ", ", make("span", { class: "lr-nowrap" }, words.condition));
  head.spread.textContent = state.c ? "s.e." : "lowest–highest";
  const told = layers.map(({ rank, spread }, l) => {
    rank.textContent = rankText(data.rank(state, l, state.t));
    spread.textContent = spreadText(l);
    return `${facts.layers[l]} ${rank.textContent}`;
  });
  network.forEach(({ name, value }) => {
    value.textContent = String(data.network(state, name, state.t) ?? "–");
    told.push(`${name.replace("_", " ")} ${value.textContent}`);
  });
  return `Step ${words.step}, ${words.variant}, ${words.seed}, ${words.condition}: ${told.join(", ")}.`;
}

/** A heading: what is shown, text or nodes, in bold, then the rest. */
function showHeading(heading, strong, rest) {
  heading.replaceChildren(make("strong", {}, ...strong), rest);
}

/** Draw one kind of lists, or say why there is nothing to draw. */
function showLists({ heading, svg }, { title, sub = "", about, draw }, context) {
  const { facts, kind, state } = context;
  const step = kind.latest(state.v, state.c, state.t);
  const when = listWhen(facts, kind, state);
  svg.style.display = step === null ? "none" : "";
  showHeading(heading, [title, make("sub", {}, sub)], step === null ? `: ${when}` : ` ${when}: ${about(listOwner(facts, kind, state))}`);
  if (step !== null) draw(svg, { ...context, step });
  svg.setAttribute("aria-label", `${title} of every layer ${when}`);
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const data = await trainingData(model);
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const id = freeId(model.get("label"));
  const choose = setterOf(model);
  const now = () => trainingState(model, facts);
  const seedNames = (v) => [`mean over ${seedCount(facts.seedsOf[v].length)}`, ...facts.seedsOf[v].map((seed) => `seed ${seed}`)];
  const toVariant = (v) => {
    const kept = facts.seedsOf[v].includes(model.get("seed"));
    choose({ variant: facts.variants[v], ...(kept ? {} : { seed: "mean" }) });
  };
  const toReading = (r) => {
    const { name, thresholds } = facts.readings[r];
    const e = thresholds.length ? nearest(thresholds.map(Math.log), Math.log(model.get("eps"))) : null;
    choose({ reading: name, ...(e === null ? {} : { eps: thresholds[e] }) });
  };
  const caption = facts.byLabel.replace(/^[a-z]/, (letter) => letter.toUpperCase()); // but λ stays λ
  const pickers = {
    variant: picker({ control: "variant", caption, move: toVariant, signal }),
    seed: picker({ control: "seed", caption: "Seed", move: (i) => choose({ seed: i ? facts.seedsOf[now().v][i - 1] : "mean" }), signal }),
    reading: picker({ control: "reading", caption: "Reading", move: toReading, signal }),
    performance: picker({ control: "performance", caption: "Performance", move: (i) => choose({ performance: facts.performances[i] }), signal }),
    weights: picker({ control: "weights", caption: "Spectra of", move: (i) => choose({ weights: i === 1 }), signal }),
  };
  const epsSlider = slider({ control: "eps", caption: "Threshold ε", move: (e) => choose({ eps: now().thresholds[e] }), signal });
  const stepSlider = slider({ control: "step", caption: "Training step", move: (at) => goTo(at), signal });
  const play = make("button", { type: "button", "data-control": "play" });
  const plot = (name, extra = {}) => ({
    heading: make("p", { class: "lr-heading" }),
    svg: make("svg", { "data-plot": name, role: "img", ...extra }),
  });
  const [ranks, performance] = ["ranks", "performance"].map((name) => plot(name, { class: "lr-timed" }));
  const [spectra, pictures] = ["spectra", "pictures"].map((name) => plot(name));
  const table = trainingTable(facts);
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const spectrumKinds = ["jacobian_spectrum", "weight_spectrum"].filter((kind) => data.lists[kind]);
  const parts = [ranks, ...(facts.performances.length ? [performance] : [])];
  const panels = [...(spectrumKinds.length ? [spectra] : []), ...(data.lists.input_sensitivity ? [pictures] : [])];
  const nodes = (plots) => plots.flatMap(({ heading, svg }) => [heading, svg]);
  const controls = [...Object.values(pickers), epsSlider].map(({ node }) => node);
  const root = make(
    "div",
    { class: "lr-figure", id, "data-figure": "TrainingExplorer", role: "group", "aria-label": model.get("title") },
    make("p", { class: "lr-title" }, model.get("title")),
    make("div", { class: "lr-controls lr-training" }, controls),
    make("div", { class: "lr-with-button lr-sticky" }, play, stepSlider.node),
    make("div", { class: "lr-lower" }, make("div", {}, nodes(parts)), table.table),
    nodes(panels),
    output,
  );
  keepLetters(root, signal);
  el.append(root);
  let places = [0]; // where the steps are drawn; known after the first drawing

  const showPicker = ({ node, show }, index, names) => {
    show(index, names);
    node.hidden = names.length < 2;
  };
  const showControls = (state, words) => {
    showPicker(pickers.variant, state.v, facts.variantTexts);
    showPicker(pickers.seed, state.c && 1 + facts.seedsOf[state.v].indexOf(facts.seeds[state.c - 1]), seedNames(state.v));
    pickers.seed.node.hidden = facts.seeds.length < 2;
    showPicker(pickers.reading, state.r, facts.readings.map(({ name }) => name));
    showPicker(pickers.performance, Math.max(0, facts.performances.indexOf(state.performance)), facts.performances);
    const weightsPlace = spectrumKinds.length > 1 && state.weights ? 1 : 0;
    showPicker(pickers.weights, weightsPlace, spectrumKinds.map((kind) => (kind[0] === "j" ? "Jacobian J" : "weights W")));
    epsSlider.node.hidden = !state.thresholds.length;
    root.querySelector(".lr-training").style.setProperty("--lr-columns", controls.filter(({ hidden }) => !hidden).length === 4 ? 4 : 3);
    epsSlider.show(state.e, state.thresholds.length, words.eps);
    stepSlider.show(state.at, state.own.length, words.step);
  };

  const drawPanels = (context) => {
    const { state, words } = context;
    const kind = data.lists[state.weights ? "weight_spectrum" : "jacobian_spectrum"];
    const probes = state.weights ? "" : "median over probe inputs, ";
    const axes = `σ against i, both axes logarithmic; ${cutWords(state, words.eps)}`;
    const title = `Singular values of ${state.weights ? "W" : "J"}`;
    if (kind) showLists(spectra, { title, sub: "l", about: (owner) => `${probes}${owner}; ${axes}`, draw: drawSpectra }, { ...context, kind });
    if (!data.lists.input_sensitivity) return;
    const scale = `${facts.inputShape ? "shade: square root of the value; " : ""}one scale for all steps of a layer`;
    const about = (owner) =>
      `root mean square over probe inputs of ∂p/∂xᵢ, ${owner}; i: ${facts.inputLabel || "coordinate of the input"}; ${scale}`;
    showLists(pictures, { title: "Sensitivity to the input", about, draw: drawPictures }, { ...context, kind: data.lists.input_sensitivity });
  };

  const draw = () => {
    const width = Math.round(root.getBoundingClientRect().width);
    if (!width) return; // not in the document yet: the observer calls again
    const state = now();
    const words = trainingWords(facts, state);
    showControls(state, words);
    output.textContent = fillTable(table, { facts, data, state, words }); // before the plots: it decides their width
    const room = Math.round(ranks.svg.getBoundingClientRect().width);
    const frame = stepFrame(facts, room);
    ({ places } = frame);
    const context = { facts, data, state, words, frame, id, width: room };
    const last = !facts.performances.length;
    showHeading(ranks.heading, [`${rankTitle(state)} over training`], `: ${state.thresholds.length ? `${words.condition}, ` : ""}${words.seed}; band: ${words.band}`);
    drawRanks(ranks.svg, { ...context, height: last ? 240 : 210, last });
    ranks.svg.setAttribute("aria-label", `${rankTitle(state)} of every layer over training, ${words.condition}, ${words.variant}, ${words.seed}`);
    if (!last) {
      showHeading(performance.heading, [state.performance === "loss" ? "Loss" : "Accuracy"], ": training solid, test dashed");
      drawPerformance(performance.svg, { ...context, height: 150 });
      performance.svg.setAttribute("aria-label", `Training and test ${state.performance} over training, ${words.variant}, ${words.seed}`);
    }
    drawPanels({ ...context, width });
    root.dataset.ready = "true";
  };

  const goTo = (at) => {
    player.stop();
    choose({ step: facts.steps[now().own[at]] });
  };
  const advance = () => {
    const { own, at } = now();
    choose({ step: facts.steps[own[(at + 1) % own.length]] });
  };
  const player = playback(play, { advance, atEnd: () => now().t === now().own.at(-1) });
  const goToPixel = (x) => goTo(nearest(now().own.map((t) => places[t]), x));
  [ranks.svg, performance.svg].forEach((svg) => draggable(svg, svg, goToPixel, signal));
  play.addEventListener("click", player.toggle, { signal });
  const traits = ["variant", "seed", "reading", "eps", "step", "weights", "performance"];
  const stopDrawing = keepDrawn({ model, root, traits, draw });

  return () => {
    player.stop();
    stopDrawing();
    life.abort();
    root.remove();
  };
}

/** What a reading is called in a heading. */
function rankTitle({ reading }) {
  return { effective: "Effective rank", stable: "Stable rank" }[reading] ?? "Local rank";
}

export default { render };
