// The playground's state in words: in the address (#data=spirals&width=32&...), and as lrlib code.

/** A choice as it is written in an address and in Python. */
function writtenChoice(facts, name, value) {
  return facts.written[name][facts.choices[name].indexOf(value)];
}

/** What follows the # for this state. */
function addressOf(facts, state) {
  return Object.keys(facts.choices)
    .map((name) => `${name}=${writtenChoice(facts, name, state[name])}`)
    .join("&");
}

/** The state that an address asks for, from `state` where it is silent, and what is wrong with it, in words. */
function stateFrom(facts, text, state) {
  const found = { ...state };
  const wrong = [];
  const given = new URLSearchParams(text);
  for (const [name, value] of given) {
    const written = Object.hasOwn(facts.written, name) ? facts.written[name] : null;
    const at = written ? written.findIndex((choice) => choice === value || (value.trim() && Number(choice) === Number(value))) : -1;
    if (!written) wrong.push(`${name}: is no setting`);
    else if (at < 0) wrong.push(`${name}=${value}: must be ${shortList(written)}`);
    else found[name] = facts.choices[name][at];
  }
  const agreed = agreeing(facts, found);
  for (const [name, value] of Object.entries(agreed)) {
    if (given.has(name) && found[name] !== value) wrong.push(`${name}=${found[name]}: does not go with the others; ${value} is used`);
  }
  return { state: { ...found, ...agreed }, wrong };
}

function shortList(written) {
  return written.length > 20 ? `${written[0]} to ${written.at(-1)}` : `one of ${written.join(", ")}`;
}

/**
 * What must change for the state to go together: a teacher has no classes, and no more ranks than inputs; there is a
 * picture only of a layer that there is.
 */
function agreeing(facts, { data, inputs, rank, depth, layer }) {
  const shown = { layer: Math.min(layer, depth + 1) };
  if (data !== "teacher") return shown;
  const most = facts.choices.rank.findLast((choice) => choice <= inputs);
  return { ...shown, loss: "mse", rank: Math.min(rank, most) };
}

/** The preset whose settings these are, but for the seed; undefined where they are the reader's own. */
function presetOf(facts, settings) {
  const names = Object.keys(settings).filter((name) => name !== "seed");
  return facts.presets.find((preset) => names.every((name) => preset.settings[name] === settings[name]));
}

/** lrlib code that does what the page does: Python's template (code.py) with this state in it. */
function codeOf(facts, state) {
  const { template } = facts;
  const written = Object.fromEntries(Object.keys(facts.choices).map((name) => [name, writtenChoice(facts, name, state[name])]));
  const shape = facts.shapes[state.data] ?? [state.inputs, facts.outputs];
  written.widths = [shape[0], ...Array(state.depth).fill(state.width), shape[1]].join(", ");
  written.outputs = String(shape[1]);
  const fill = (text) => text.replace(/\{(\w+)\}/g, (_, name) => written[name]);
  written.import = template.imports[state.data];
  written.draw = fill(template.data[state.data]);
  written.targets = state.loss === "mse" && state.data !== "teacher" ? fill(template.targets) : "";
  written.factor = template.factors[state.reading] ?? "";
  written.count = fill(template.counts[state.reading]);
  return fill(template.whole);
}
