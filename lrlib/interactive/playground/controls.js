// The playground's controls: presets, the run's buttons, readings, and the settings of the experiment.

/** A button with words on it. */
function wordButton(control, text, press, signal) {
  const node = make("button", { type: "button", class: "lr-wide", "data-control": control }, text);
  node.addEventListener("click", press, { signal });
  return node;
}

/** A list of choices by their texts: a picker that is told which choice is chosen. */
function chooser({ control, caption, texts, move, signal }) {
  const made = picker({ control, caption, move, signal });
  return { node: made.node, show: (at, others = texts) => made.show(at, others) };
}

/** The presets as buttons, of which one may be pressed, and the sentence of that one. */
function presetButtons({ facts, choose, signal }) {
  const buttons = facts.presets.map((preset) => wordButton("preset", preset.name, () => choose(preset), signal));
  buttons.forEach((button, i) => (button.dataset.preset = facts.presets[i].key));
  const sentence = make("p", { class: "lr-sentence", "data-sentence": true });
  const row = make("div", { class: "lr-presets", role: "group", "aria-label": "Presets" }, buttons);
  const show = (key, seed) => {
    const at = facts.presets.findIndex((preset) => preset.key === key);
    buttons.forEach((button, i) => button.setAttribute("aria-pressed", String(i === at)));
    const other = seed < facts.checkedSeeds ? "" : ` (Checked on the seeds 0 to ${facts.checkedSeeds - 1}, of which this is none.)`;
    const own = facts.compact ? "" : "Settings of your own. A preset brings its own settings back.";
    sentence.textContent = at < 0 ? own : facts.presets[at].sentence + other;
  };
  return { row, sentence, show };
}

const SPEEDS = [[1, "1 step a frame"], [10, "10 steps a frame"], [100, "100 steps a frame"], [Infinity, "as fast as it goes"]];
const AT_FIRST = 1; // slow enough to see the fall

/** Start, step, reset and speed. `act` has toggle, step and reset. */
function runButtons({ act, compact, signal }) {
  const start = make("button", { type: "button", class: "lr-wide lr-start", "data-control": "start" });
  start.addEventListener("click", act.toggle, { signal });
  const step = wordButton("step", "Step", act.step, signal);
  const reset = wordButton("reset", "Reset", act.reset, signal);
  const speed = chooser({ control: "speed", caption: "Speed", texts: SPEEDS.map(([, text]) => text), move: act.speed, signal });
  const node = make("div", { class: "lr-run", role: "group", "aria-label": "Training" }, start, compact ? null : step, reset, compact ? null : speed.node);
  const show = ({ running, finished, begun, at }) => {
    start.textContent = finished ? "▶ Again" : running ? "❚❚ Pause" : begun ? "▶ Go on" : "▶ Train";
    step.setAttribute("aria-disabled", String(running || finished)); // not disabled: that would lose the focus
    speed.show(at);
  };
  return { node, show };
}

/** What of the settings goes into which group of the panel. */
const GROUPS = {
  Data: ["data", "inputs", "rank", "noise", "seed"],
  Network: ["width", "depth", "activation", "scale"],
  Training: ["loss", "lr", "momentum", "decay", "batch", "steps"],
};

/** The settings in a word each: what a closed panel says. */
function settingsText(facts, settings) {
  const text = (name) => facts.texts[name]?.[facts.choices[name].indexOf(settings[name])] ?? writtenChoice(facts, name, settings[name]);
  const data = settings.data === "teacher" ? `teacher of rank ${settings.rank} on ${settings.inputs} inputs` : text("data");
  const rates = `η ${settings.lr}, λ ${settings.decay}${settings.momentum ? `, momentum ${settings.momentum}` : ""}`;
  const noise = settings.noise ? `, noise ${settings.noise}` : "";
  return `${data}${noise}; ${settings.depth} × ${settings.width} ${text("activation")}; ${text("loss")}; ${rates}; batches of ${settings.batch}; seed ${settings.seed}`;
}

/** The settings, each a list of its choices, in a panel that opens; closed, it says what they are. */
function settingControls({ facts, settings, choose, signal }) {
  const made = Object.fromEntries(
    facts.settings.map((name) => {
      const texts = facts.texts[name] ?? facts.written[name].map((text) => text.replace(/\.0$/, ""));
      const move = (at) => choose({ [name]: facts.choices[name][at] });
      return [name, chooser({ control: name, caption: facts.labels[name], texts, move, signal })];
    }),
  );
  const groups = Object.entries(GROUPS).map(([title, names]) =>
    make("fieldset", { class: "lr-settings" }, make("legend", {}, title), make("div", {}, names.map((name) => made[name].node))),
  );
  const said = make("span");
  const node = make("details", { class: "lr-all-settings" }, make("summary", {}, "Change the settings: ", said), groups);
  const show = () => {
    const now = settings();
    const teacher = now.data === "teacher";
    said.textContent = settingsText(facts, now);
    for (const [name, control] of Object.entries(made)) control.show(facts.choices[name].indexOf(now[name]));
    for (const name of ["inputs", "rank"]) made[name].node.hidden = !teacher;
    made.loss.node.querySelector("select").disabled = teacher; // it has no classes
    const noise = teacher ? facts.targetNoise : facts.labels.noise;
    made.noise.node.querySelector("span").textContent = noise;
    made.noise.node.querySelector("select").setAttribute("aria-label", noise);
  };
  return { node, show };
}

/** Which reading, which threshold, and which layer the pictures are of. */
function readingControls({ facts, choose, signal }) {
  const reading = chooser({ control: "reading", caption: "Reading", texts: facts.readings, move: (i) => choose({ reading: facts.readings[i] }), signal });
  const eps = slider({ control: "eps", caption: "Threshold ε", move: (i) => choose({ eps: facts.thresholds[i] }), signal });
  const layer = chooser({ control: "layer", caption: "Layer in the pictures", texts: [], move: (i) => choose({ layer: i + 1 }), signal });
  const show = (state, names) => {
    reading.show(facts.readings.indexOf(state.reading));
    const counted = facts.counted.includes(state.reading);
    eps.node.hidden = !counted;
    eps.show(facts.thresholds.indexOf(state.eps), facts.thresholds.length, `${state.eps}${state.reading === "relative" ? " of σ₁" : ""}`);
    layer.show(state.layer - 1, names);
  };
  return { nodes: [reading.node, eps.node, layer.node], show };
}

/** The same experiment elsewhere: its code to copy, its link, and a file with all that this run has found. */
function takeaways({ code, link, save, signal }) {
  const text = make("pre", { class: "lr-code", tabindex: 0, role: "region", "data-code": true, "aria-label": "lrlib code of this experiment" });
  const said = make("span", { role: "status", class: "lr-hint" });
  const copy = async (what, words) => {
    try {
      await navigator.clipboard.writeText(what);
      said.textContent = words;
    } catch {
      said.textContent = "This page may not write to the clipboard: select the text and copy it.";
    }
  };
  const buttons = [
    wordButton("copy-code", "Copy the code", () => copy(code(), "The code is in the clipboard."), signal),
    link ? wordButton("copy-link", "Copy a link", () => copy(link(), "The link is in the clipboard."), signal) : null,
    wordButton("save", "Save the run", save, signal),
  ];
  const node = make("details", { class: "lr-takeaways" }, make("summary", {}, "Take it with you: code, link, data"), make("div", { class: "lr-run" }, buttons, said), text);
  const show = () => (text.textContent = code());
  return { node, show };
}
