// The playground: a network trains in the page, in a worker (engine/), and its local rank is seen to rise and fall.
// Here are its state, its frames, and what it tells Python and the address.

const STILL_MOTION = 1000; // ms between drawings for those who asked for less motion
const REPORT = 2000; // ms between weights sent to Python
const PHONE = 600; // pixels: as in the style sheet
const CELLS = { training: { flat: 56, deep: 20 }, paused: { flat: 112, deep: 40 } }; // a side of the plane's picture

/** The engine's half: asks the worker for frames, one at a time, and keeps the run that it tells of. */
class Conductor {
  constructor(engine, changed) {
    this.engine = engine;
    this.changed = changed; // called when something is new
    this.run = new Run(0);
    this.waiting = false; // for a frame
    this.digitsSent = false;
    this.savers = []; // who waits for the weights, first come first served
  }

  /** Start a new run; the digits go to the worker once. */
  begin(settings, digits) {
    this.run = new Run(this.run.id + 1);
    this.waiting = false;
    this.savers = [];
    const send = settings.data === "digits" && !this.digitsSent && digits !== null;
    this.engine.post({ type: "start", id: this.run.id, settings, digits: send ? digits : null });
    this.digitsSent ||= send;
  }

  ask(steps, view) {
    this.waiting = true;
    this.engine.post({ type: "frame", id: this.run.id, steps, view });
  }

  /** Losses and weights as they are now. */
  save() {
    return new Promise((resolve) => {
      this.savers.push(resolve);
      this.engine.post({ type: "save", id: this.run.id });
    });
  }

  hear(message) {
    if (message.id !== undefined && message.id !== this.run.id) return; // of a run before
    if (message.type === "started") this.run.begin(message);
    if (message.type === "saved") this.savers.shift()?.(message);
    if (message.type === "frame") {
      this.waiting = false;
      this.run.take(message);
    }
    if (message.type === "error") Object.assign(this.run, { failure: `The engine stopped: ${message.message}`, finished: true });
    this.changed(message.type);
  }
}

/** Hand the reader a file. */
function download(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  make("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

async function render({ model, el }) {
  const facts = model.get("facts");
  const { compact } = facts;
  const life = new AbortController(); // aborting it removes every listener made below
  const { signal } = life;
  const set = setterOf(model);
  const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
  const settings = () => model.get("settings");
  const state = () => ({ ...settings(), reading: model.get("reading"), eps: model.get("eps"), layer: model.get("layer") });
  let [running, dirty, closed, stepsAsked, speed] = [false, true, false, 0, AT_FIRST];
  let [timer, drawnAt, reportedAt, reported, complaint, addressDue] = [0, 0, 0, 0, "", false];
  let conductor = null;

  const change = (changes) => {
    const next = { ...state(), ...changes };
    const { reading, eps, layer, ...chosen } = { ...next, ...agreeing(facts, next) };
    const same = Object.keys(chosen).every((name) => chosen[name] === settings()[name]);
    const preset = presetOf(facts, chosen)?.key ?? "";
    set({ reading, eps, layer, ...(same ? {} : { settings: chosen, preset }) });
  };
  const choosePreset = ({ key, settings: own, reading, eps, layer }) => {
    if (model.get("preset") === key) restart();
    else set({ settings: { ...own, seed: settings().seed }, reading, eps, layer, preset: key });
  };
  const act = {
    toggle: () => {
      if (conductor.run.finished) restart(true);
      else turn(!running);
      // on a phone the curves are below the buttons
      if (running && root.getBoundingClientRect().width < PHONE) panels.first.scrollIntoView({ block: "nearest", behavior: calm ? "auto" : "smooth" });
    },
    step: () => {
      if (!running && !conductor.run.finished) stepsAsked += 1;
      wake();
    },
    reset: () => restart(),
    speed: (at) => {
      speed = at;
      show();
    },
  };
  const presets = presetButtons({ facts, choose: choosePreset, signal });
  const buttons = runButtons({ act, compact, signal });
  const readings = readingControls({ facts, choose: change, signal });
  const controls = settingControls({ facts, settings, choose: change, signal });
  const code = () => codeOf(facts, state());
  const link = () => `${location.href.split("#")[0]}#${addressOf(facts, state())}`;
  const save = async () => {
    const { run } = conductor;
    if (!run.started) return;
    download("playground.json", JSON.stringify(run.table(await conductor.save(), state())));
  };
  const takeaway = takeaways({ code, link: facts.address ? link : null, save, signal });
  const status = make("p", { class: "lr-status", "data-status": true });
  const clock = make("p", { class: "lr-clock", "data-clock": true });
  const panels = playPanels({ facts, compact, clock, readings: make("div", { class: "lr-play-readings" }, readings.nodes) });
  const alarm = make("p", { class: "lr-alarm", role: "alert", "data-alarm": true, hidden: true });
  const output = make("p", { "data-output": true, "aria-live": "polite", class: "lr-output" });
  const root = make(
    "div",
    { class: `lr-figure lr-play${compact ? " lr-compact" : ""}`, id: freeId(model.get("label")), "data-figure": "Playground", role: "group", "aria-label": model.get("title"), inert: true },
    make("p", { class: "lr-title" }, model.get("title")),
    compact ? presets.sentence : [presets.row, presets.sentence],
    buttons.node,
    status,
    alarm,
    compact ? null : controls.node,
    panels.node,
    compact ? null : takeaway.node,
    output,
  );
  keepLetters(root, signal);
  el.append(root);

  /** What the worker is asked to paint. */
  const view = () => {
    const { layer, reading, eps } = state();
    const cells = CELLS[running ? "training" : "paused"][conductor.run.started.widths[0] === 2 ? "flat" : "deep"];
    return { layer: layer - 1, reading, eps, resolution: compact ? 0 : cells, features: !compact };
  };
  /** Whether the pictures are of the step and the choices of now. */
  const upToDate = () => {
    const { picture, features, step, failure, unreadable, records } = conductor.run;
    if (failure || unreadable) return true;
    if (compact) return records.length > 0;
    const { layer, reading, eps, resolution } = view();
    if (picture?.step !== step || features?.layer !== layer) return false;
    return Object.entries({ layer, reading, eps, resolution }).every(([name, value]) => picture.view[name] === value);
  };

  const draw = () => {
    const { run } = conductor;
    dirty = false;
    if (!run.records.length || !root.getBoundingClientRect().width) return; // a frame, or the observer, calls again
    drawnAt = performance.now();
    const now = state();
    const told = panels.draw(run, now);
    status.textContent = run.told(now.steps);
    status.style.setProperty("--lr-done", run.step / now.steps);
    clock.textContent = clockText(now, run);
    const spoken = `${status.textContent} Local rank: ${told}.`; // read aloud once it has begun, and not while it runs
    if (!running && spoken !== output.textContent && (run.step || output.textContent)) output.textContent = spoken;
    const settled = !running && !conductor.waiting && upToDate();
    Object.assign(root.dataset, { step: run.step, finished: run.finished, settled, ready: true });
  };
  /** Show what the controls are set to, and why nothing moves, if something is wrong. */
  const show = () => {
    const { run } = conductor;
    buttons.show({ running, finished: run.finished, begun: run.step > 0, at: speed });
    presets.show(model.get("preset"), settings().seed);
    readings.show(state(), Array.from({ length: settings().depth + 1 }, (_, l) => `L${l + 1}`));
    controls.show();
    takeaway.show();
    if (!run.started) status.textContent = "";
    alarm.textContent = run.failure ?? complaint;
    alarm.hidden = !alarm.textContent;
    output.setAttribute("aria-live", running ? "off" : "polite");
    root.dataset.settled = false;
    dirty = true;
    wake();
  };
  const turn = (on) => {
    running = on && !conductor.run.finished;
    if (!running) report();
    show();
  };
  /** Send Python the weights. */
  const report = async () => {
    [reportedAt, reported] = [performance.now(), conductor.run.step];
    if (!facts.live || !conductor.run.started) return;
    const { step, weights, biases } = await conductor.save();
    const all = Float64Array.from(weights.flatMap((weight, l) => [...weight, ...biases[l]]));
    if (!closed) set({ step, trained: new DataView(all.buffer) });
  };
  const heard = (type) => {
    if (type === "saved") return;
    dirty = true;
    const { run } = conductor;
    if (run.finished && (running || run.failure)) turn(false);
    else if (run.step !== reported && (!running || performance.now() - reportedAt > REPORT)) report();
    if (!running && run.step) buttons.show({ running, finished: run.finished, begun: true, at: speed });
    wake();
  };
  const begin = (on = false) => {
    conductor.begin(settings(), digits);
    [running, stepsAsked, reported] = [on, 0, 0];
    show();
  };

  const tick = () => {
    timer = 0;
    if (closed || !conductor.run.started) return;
    if (!conductor.waiting && !conductor.run.failure && (running || stepsAsked || !upToDate())) {
      conductor.ask(running ? SPEEDS[speed][0] : stepsAsked, view());
      stepsAsked = 0;
    }
    if (dirty && !(calm && running && performance.now() - drawnAt < STILL_MOTION)) draw();
    if (addressDue) writeAddress();
    if (running || dirty || conductor.waiting) wake();
  };
  const wake = () => {
    if (!timer && !closed) timer = requestAnimationFrame(tick);
  };

  const readAddress = () => {
    if (!facts.address || !location.hash.includes("=")) return;
    const { state: found, wrong } = stateFrom(facts, location.hash.slice(1), state());
    change(found);
    complaint = wrong.length ? `In the address, ${wrong.join("; ")}.` : "";
  };
  /** At most once a frame: a browser may refuse many, and a page that is nobody's any. */
  const writeAddress = () => {
    addressDue = false;
    try {
      history.replaceState(history.state, "", `#${addressOf(facts, state())}`);
    } catch (error) {
      if (error.name !== "SecurityError") throw error;
    }
  };
  const arrived = () => {
    readAddress();
    show();
  };
  const restart = (on = false) => {
    if (facts.live) set({ step: 0, trained: new DataView(new ArrayBuffer(0)) });
    begin(on);
  };
  const changed = (begins) => () => {
    [complaint, addressDue] = ["", facts.address];
    if (begins) restart(running);
    else show();
  };
  const [other, choice] = [changed(true), changed(false)];

  const digits = model.get("digits").byteLength ? { ...facts.digits, pixels: await unpack(model, "digits", Uint16Array) } : null;
  const engine = await openEngine((message) => conductor.hear(message));
  conductor = new Conductor(engine, heard);
  readAddress();
  begin();
  root.inert = false;
  const listeners = [["change:settings", other], ...["reading", "eps", "layer", "preset"].map((name) => [`change:${name}`, choice])];
  listeners.forEach(([event, listener]) => model.on(event, listener));
  addEventListener("hashchange", arrived, { signal });
  const observer = new ResizeObserver(show);
  observer.observe(root);

  return () => {
    closed = true;
    cancelAnimationFrame(timer);
    observer.disconnect();
    engine.close();
    listeners.forEach(([event, listener]) => model.off(event, listener));
    life.abort();
    root.remove();
  };
}

export default { render };
