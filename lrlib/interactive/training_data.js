// What Python sent to TrainingExplorer, looked up. A choice c of seed is 0 for the mean over seeds, then 1, 2, ...

const NOT_STORED = 2 ** 32 - 1;

/** The blocks of one kind of lists (training_page.packed_lists), one for each variant and choice of seed. */
function listBlocks(facts, codes) {
  const size = facts.places.reduce((sum, places) => sum + places.length, 0);
  let next = 0;
  const starts = facts.held.map((choices) =>
    choices.map((held) => {
      const start = next;
      next += size * held.length;
      return start;
    }),
  );
  const firsts = facts.places.map((_, i) => facts.places.slice(0, i).reduce((sum, places) => sum + places.length, 0));
  return {
    ...facts,
    /** The last step with lists that is not after the t-th: its place, or null. */
    latest: (v, c, t) => facts.held[v][c].findLast((step) => step <= t) ?? null,
    /** log10 of the numbers of the i-th of the layers at a step that has them; null for what is sent as 0. */
    logs: (v, c, step, i) => {
      const held = facts.held[v][c];
      const at = (k) => codes[starts[v][c] + (firsts[i] + k) * held.length + held.indexOf(step)];
      return facts.places[i].map((_, k) => (at(k) ? facts.floors[v][i] + (at(k) - 1) / facts.perDecade : null));
    },
  };
}

/** All look-ups: ranks and their bands at a state {v, c, column, t}, losses and accuracies, spectra and pictures. */
async function trainingData(model) {
  const facts = model.get("facts");
  const [L, T, S, R] = [facts.layers.length, facts.steps.length, facts.seeds.length, facts.columns];
  const kinds = Object.keys(facts.lists);
  const [ranks, stderrs, ...codes] = await Promise.all([
    unpack(model, "ranks", Uint32Array),
    unpack(model, "stderrs", Uint32Array),
    ...kinds.map((kind) => unpack(model, kind, Uint16Array)),
  ]);
  const read = (codesOf, choices, v, c, column, l, t) => {
    const code = codesOf[(((v * choices + c) * R + column) * L + l) * T + t];
    return code === NOT_STORED ? null : code / 100;
  };
  const choicesOf = (v) => facts.seedsOf[v].map((seed) => 1 + facts.seeds.indexOf(seed));
  const rank = ({ v, c, column }, l, t) => read(ranks, S + 1, v, c, column, l, t);
  const range = (values) => (values.includes(null) ? null : [Math.min(...values), Math.max(...values)]);
  return {
    rank,
    stderr: ({ v, c, column }, l, t) => read(stderrs, S, v, c - 1, column, l, t),
    /** Lowest and highest seed; for one seed, one standard error to each side. null where it is not known. */
    band: (state, l, t) => {
      if (state.c === 0) return range(choicesOf(state.v).map((c) => rank({ ...state, c }, l, t)));
      const [mean, stderr] = [rank(state, l, t), read(stderrs, S, state.v, state.c - 1, state.column, l, t)];
      return mean === null || stderr === null ? null : [mean - stderr, mean + stderr];
    },
    network: ({ v, c }, name, t) => facts.network[name][v][c][t],
    networkBand: ({ v, c }, name, t) => (c ? null : range(choicesOf(v).map((seed) => facts.network[name][v][seed][t]))),
    lists: Object.fromEntries(kinds.map((kind, i) => [kind, listBlocks(facts.lists[kind], codes[i])])),
  };
}

function seedCount(n) {
  return n === 1 ? "1 seed" : `${n} seeds`;
}

/** The words of a state: what is counted, over which seeds, of which variant. */
function trainingWords(facts, state) {
  const eps = state.thresholds.length ? String(state.thresholds[state.e]) : "";
  const condition = {
    absolute: `σ > ${eps}`,
    relative: `σ > ${eps} σ₁`,
    "data-scaled": `data-scaled σ > ${eps}`,
    effective: "effective rank",
    stable: "stable rank",
  }[state.reading];
  const seeds = seedCount(facts.seedsOf[state.v].length);
  return {
    eps,
    condition,
    step: String(facts.steps[state.t]),
    variant: `${facts.byLabel} ${facts.variantTexts[state.v]}`,
    seed: state.c ? `seed ${facts.seeds[state.c - 1]}` : `mean over ${seeds}`,
    band: state.c ? "one standard error to each side" : `from the lowest to the highest of ${seeds}`,
  };
}

/** Whose lists are shown: those of one seed, or the mean over the seeds that have them. */
function listOwner(facts, kind, { v, c }) {
  if (c) return `seed ${facts.seeds[c - 1]}`;
  const seeds = kind.seeds[v];
  if (seeds.length === 1) return `seed ${seeds[0]}, the only one stored`;
  const all = seeds.length === facts.seedsOf[v].length;
  return `mean over ${all ? "" : "the stored "}${seedCount(seeds.length)}`;
}

/** Where lists are, in words: the step they are of, if it is not that of now; why there are none. */
function listWhen(facts, kind, { v, c, t }) {
  const step = kind.latest(v, c, t);
  if (step === t) return `at step ${facts.steps[t]}`;
  if (step !== null) return `at step ${facts.steps[step]}, the last one stored before step ${facts.steps[t]}`;
  const first = kind.held[v][c][0];
  const run = c ? `seed ${facts.seeds[c - 1]}` : facts.variantTexts[v];
  return first === undefined ? `not stored for ${run}` : `stored from step ${facts.steps[first]} on`;
}
