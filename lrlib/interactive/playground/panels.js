// The playground's views, each a heading over a plot or a picture, drawn from a run and what the reader has chosen.

const [TALL, SMALL] = [370, 190]; // heights of plots, in pixels
const COMPACT = 260; // of the curves of local rank on a phone too
const MOST_PIXELS = 360; // a side of a picture

function panelOf(name, label, { picture = false, extra = null } = {}) {
  const heading = make("p", { class: "lr-heading" });
  const kind = picture ? { "data-canvas": name } : { "data-plot": name };
  const plot = make(picture ? "canvas" : "svg", { ...kind, role: "img", "aria-label": label });
  return {
    node: make("div", { class: `lr-panel lr-panel-${name}` }, heading, plot, extra),
    plot,
    /** What the panel shows: the first words strong, and a sentence for those who do not see it. */
    say: (strong, rest, spoken) => {
      heading.replaceChildren(make("strong", {}, strong), rest);
      plot.setAttribute("aria-label", spoken);
    },
    width: () => Math.round(heading.getBoundingClientRect().width),
  };
}

/**
 * The views of the playground, among them the controls of what is read off and the words of the clock: { node,
 * draw(run, state), first }. A compact one has the curves of local rank only.
 */
function playPanels({ facts, compact, readings, clock }) {
  const legend = make("ul", { class: "lr-legend" });
  const ranks = panelOf("ranks", "Local rank of every layer over the steps", { extra: clock });
  const values = panelOf("values", "Singular values of every layer");
  const loss = panelOf("loss", "Loss over the steps");
  const score = panelOf("score", "Score over the steps");
  const plane = panelOf("plane", "The plane of inputs", { picture: true, extra: legend });
  const features = panelOf("features", "The features of a layer", { picture: true });
  const counted = (reading) => facts.counted.includes(reading);

  const drawRankPanel = (run, { reading, eps, ...settings }) => {
    const { widths, names } = run.started;
    const curves = run.rankCurves(reading, eps);
    const highest = Math.max(...curves.flat().map(([, rank]) => rank));
    const most = counted(reading) ? Math.min(widths[0], Math.max(...widths.slice(1))) : Math.ceil(Math.max(2, highest));
    const width = ranks.width();
    const size = { width, height: compact || width < 420 ? COMPACT : TALL };
    drawRanks(ranks.plot, { facts, ...size, last: settings.steps, clockStep: 1 / clockRate(settings), names, curves, most });
    const which = counted(reading) ? `${reading}, ε = ${eps}` : reading;
    const last = curves.map((points) => points.at(-1)[1]);
    const told = listed(last.map((rank, l) => `${names[l]} ${threeDigits(rank)}`));
    ranks.say("Local rank", ` of each layer: ${which}`, `Local rank, ${which}, at step ${run.newest.step}: ${told}`);
    ranks.plot.dataset.ranks = JSON.stringify(last);
    return told;
  };

  const drawJudgement = (run, { steps, loss: lossName }) => {
    const pair = (what) =>
      ["train", "test"].map((set) => ({ name: set, points: run.readings.map((r) => [r.step, r[set][what]]).filter(([, value]) => Number.isFinite(value)) }));
    const drawOne = (panel, what, decades) => drawPair(panel.plot, { facts, width: panel.width(), height: SMALL, last: steps, pair: pair(what), decades });
    const logs = pair("loss").flatMap(({ points }) => points.map(([, value]) => Math.log10(Math.max(value, 1e-6))));
    const low = Math.floor(Math.min(...logs));
    drawOne(loss, "loss", [low, Math.max(low + 1, Math.ceil(Math.max(...logs)))]);
    drawOne(score, "score", null);
    const { step, train, test } = run.newest;
    const spoken = (what) => `at step ${step}: ${threeDigits(train[what])} in training, ${threeDigits(test[what])} in test`;
    loss.say("Loss", lossName === "mse" ? ": mean squared error" : ": cross-entropy, in nats", `Loss ${spoken("loss")}`);
    const name = run.score[0].toUpperCase() + run.score.slice(1);
    score.say(name, "", `${name} ${spoken("score")}`);
  };

  const drawSpectra = (run, { reading, eps }) => {
    const { names } = run.started;
    const cut = (top) => (reading === "relative" ? eps * top : counted(reading) ? eps : null);
    drawValues(values.plot, { facts, width: values.width(), names, spectra: spectraOf(run.newest, reading), probe: PROBE_INPUTS, cut });
    const what = `of ∂p/∂x${reading === "data-scaled" ? " Σₓ¹ᐟ²" : ""}`;
    const over = `${PROBE_INPUTS} inputs at step ${run.newest.step}`;
    values.say("Singular values", ` ${what} over ${PROBE_INPUTS} inputs: medians, middle 80 %, range${reading === "relative" ? "; line: ε times the median σ₁" : ""}`, `Singular values ${what} in ${listed(names)}, over ${over}`);
  };

  const drawInputs = (run) => {
    const { picture, started } = run;
    const { layer } = picture.view;
    const most = Math.min(started.widths[0], started.widths[layer + 1]);
    const size = Math.min(MOST_PIXELS, Math.max(40, plane.width()));
    drawPlane(plane.plot, { facts, size, picture, most, points: started.points, labels: started.colours, classes: started.classes });
    const mean = picture.ranks.reduce((total, rank) => total + rank, 0) / picture.ranks.length;
    const what = picture.flat ? "The inputs" : "A slice of the inputs";
    const spoken = `${what}${picture.flat ? "" : ", along the data's two principal directions"}: the rank of L${layer + 1} is ${threeDigits(mean)} on average over the picture`;
    plane.say(what, `: colour is the rank of L${layer + 1} there`, spoken);
    const white = `background: rgb(${rankColour(most, most).join(" ")}); color: #fff`;
    const swatch = (rank) => make("span", { class: "lr-swatch", style: rank === most ? white : `background: rgb(${rankColour(rank, most).join(" ")}); color: ${DARK}` }, String(rank));
    const shown = most <= 5 ? Array.from({ length: most + 1 }, (_, i) => i) : [0, Math.round(most / 2), most];
    const lines = [started.classes > 0 && "bold: decision boundary", picture.pieces && layer > 0 && "fine: linear regions", !picture.flat && "points: projected onto it"];
    legend.replaceChildren(make("li", {}, "rank ", shown.map(swatch)), ...lines.filter(Boolean).map((text) => make("li", {}, text)));
  };

  const drawFeaturePanel = (run) => {
    const { started } = run;
    const { layer, share } = run.features;
    const size = Math.min(MOST_PIXELS, Math.max(40, features.width()));
    drawFeatures(features.plot, { facts, size, features: run.features, labels: started.colours, classes: started.classes });
    const held = `${Math.round(100 * share)} % of the variance`;
    features.say(`The features of L${layer + 1}`, `: two principal directions, ${held}`, `The pre-activations of L${layer + 1} at the training inputs, along two principal directions that hold ${held}`);
  };

  const draw = (run, state) => {
    const told = drawRankPanel(run, state);
    if (compact) return told;
    drawJudgement(run, state);
    drawSpectra(run, state);
    if (run.picture) drawInputs(run);
    if (run.features) drawFeaturePanel(run);
    return told;
  };
  const others = compact ? [] : [readings, ...[plane, values, features, loss, score].map((panel) => panel.node)];
  return { node: make("div", { class: "lr-panels" }, ranks.node, others), draw, first: ranks.node };
}
