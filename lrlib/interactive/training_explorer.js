// TrainingExplorer: a study's stored runs. Nothing is computed here that a reader could quote: means over seeds come
// from Python, and the page looks numbers up, finds the lowest and highest seed, and draws.

/** A labelled select. Keys are handled here, because JupyterLab cancels a select's own arrow keys. */
function chooser({ control, caption, move, signal }) {
  const select = make("select", { "data-control": control, "aria-label": caption }); // without its options' text
  const node = make("label", { class: "lr-picker" }, make("span", { class: "lr-caption" }, caption), select);
  select.addEventListener("change", () => move(select.selectedIndex), { signal });
  const byKey = (event) => {
    const [at, last] = [select.selectedIndex, select.length - 1];
    const target = { ArrowUp: at - 1, ArrowLeft: at - 1, ArrowDown: at + 1, ArrowRight: at + 1, Home: 0, End: last }[event.key];
    if (target === undefined || event.ctrlKey || event.altKey || event.metaKey) return; // Alt+ArrowDown opens the list
    event.preventDefault();
    event.stopPropagation();
    if (target >= 0 && target <= last && target !== at) move(target);
  };
  select.addEventListener("keydown", byKey, { signal });
  const show = (index, names) => {
    if (names.join("\n") !== Array.from(select.options, (option) => option.textContent).join("\n")) {
      select.replaceChildren(...names.map((name) => make("option", {}, name)));
    }
    select.selectedIndex = index;
    node.hidden = names.length < 2;
  };
  return { node, show };
}

/** What is chosen now, as places in what Python sent. */
function trainingState(model, facts) {
  const v = Math.max(0, facts.variants.indexOf(model.get("variant")));
  const stored = facts.seedsOf[v].includes(model.get("seed"));
  const r = Math.max(0, facts.readings.findIndex(({ name }) => name === model.get("reading")));
  const { name, first, thresholds } = facts.readings[r];
  const e = thresholds.length ? nearest(thresholds.map(Math.log), Math.log(model.get("eps"))) : 0;
  return {
    v,
    c: stored ? 1 + facts.seeds.indexOf(model.get("seed")) : 0,
    r,
    reading: name,
    thresholds,
    e,
    column: first + e,
    t: nearest(facts.steps, model.get("step")),
    weights: model.get("weights"),
    performance: model.get("performance"),
  };
}

/** The table of what is read now: every layer's rank, then losses and accuracies. */
function trainingTable(facts) {
  const head = { caption: make("caption"), spread: make("th", { scope: "col" }) };
  const layers = facts.layers.map((name, l) => {
    const swatch = make("svg", { width: 26, height: 10, "aria-hidden": "true" }, layerStroke(facts, l, "M0 5L26 5"));
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
  const choose = (changes) => {
    Object.entries(changes).forEach(([name, value]) => model.set(name, value));
    model.save_changes();
  };
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
    variant: chooser({ control: "variant", caption, move: toVariant, signal }),
    seed: chooser({ control: "seed", caption: "Seed", move: (i) => choose({ seed: i ? facts.seedsOf[now().v][i - 1] : "mean" }), signal }),
    reading: chooser({ control: "reading", caption: "Reading", move: toReading, signal }),
    performance: chooser({ control: "performance", caption: "Performance", move: (i) => choose({ performance: facts.performances[i] }), signal }),
    weights: chooser({ control: "weights", caption: "Spectra of", move: (i) => choose({ weights: i === 1 }), signal }),
  };
  const epsSlider = slider({ control: "eps", caption: "Threshold ε", move: (e) => choose({ eps: now().thresholds[e] }), signal });
  const stepSlider = slider({ control: "step", caption: "Training step", move: (t) => goTo(t), signal });
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

  const showControls = (state, words) => {
    pickers.variant.show(state.v, facts.variantTexts);
    pickers.seed.show(state.c && 1 + facts.seedsOf[state.v].indexOf(facts.seeds[state.c - 1]), seedNames(state.v));
    pickers.seed.node.hidden = facts.seeds.length < 2;
    pickers.reading.show(state.r, facts.readings.map(({ name }) => name));
    pickers.performance.show(Math.max(0, facts.performances.indexOf(state.performance)), facts.performances);
    const weightsPlace = spectrumKinds.length > 1 && state.weights ? 1 : 0;
    pickers.weights.show(weightsPlace, spectrumKinds.map((kind) => (kind[0] === "j" ? "Jacobian J" : "weights W")));
    epsSlider.node.hidden = !state.thresholds.length;
    root.querySelector(".lr-training").style.setProperty("--lr-columns", controls.filter(({ hidden }) => !hidden).length === 4 ? 4 : 3);
    epsSlider.show(state.e, state.thresholds.length, words.eps);
    stepSlider.show(state.t, facts.steps.length, words.step);
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

  const goTo = (t) => {
    player.stop();
    choose({ step: facts.steps[t] });
  };
  const player = playback(play, {
    advance: () => choose({ step: facts.steps[(now().t + 1) % facts.steps.length] }),
    atEnd: () => now().t === facts.steps.length - 1,
  });
  [ranks.svg, performance.svg].forEach((svg) => draggable(svg, svg, (x) => goTo(nearest(places, x)), signal));
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
