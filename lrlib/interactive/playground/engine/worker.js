// The playground's engine behind messages: it trains for a moment when it is asked for a frame, and answers with what
// is new. Nothing it computes depends on when it is asked.

import { digitsOf } from "./data.js";
import { NotFinite } from "./eigen.js";
import { Training } from "./training.js";
import { featurePlane, InputPlane } from "./views.js";

const TRAIN = 9; // ms of training in a frame
const PAINT = 4; // ms of painting the plane, while training; when paused, as long as TRAIN besides
const LIVE_SHARE = 8; // between records, singular values are read off when this many times their cost has passed

/** Answer the messages of `port`, a worker's scope or one end of a channel. */
export function serve(port) {
  let training = null;
  let digits = null;
  let run = null; // the number of this training: answers carry it, so that those of an older one can be told
  let sent = 0; // records that the page has
  let live = { step: -1, cost: 0, at: 0 }; // the reading between records
  let plane = null;
  let axes = null; // of the features that were shown last

  const start = ({ id, settings, digits: given }) => {
    if (given) digits = digitsOf(given);
    training = new Training(settings, digits);
    plane = new InputPlane(training);
    [run, sent, axes] = [id, 0, null];
    live = { step: -1, cost: 0, at: 0 };
    const { train } = training;
    const widths = training.network.widths.slice();
    port.postMessage({ type: "started", id, widths, points: plane.points, colours: train.classes ?? shades(train) });
  };

  /** What is read off between two records; null where it would say nothing new, or where time is short. */
  const readLive = (running) => {
    const now = performance.now();
    const known = training.step === training.records.at(-1)?.step || training.step === live.step;
    if (known || training.failure || (running && now - live.at < LIVE_SHARE * live.cost)) return null;
    const record = training.read();
    const done = performance.now();
    live = { step: training.step, cost: done - now, at: done };
    return record;
  };

  /** The plane's picture if it is complete and new. */
  const paintPlane = (view, running) => {
    if (!view.resolution || training.failure) return null;
    const picture = plane.picture;
    const same = picture && Object.keys(picture.view).every((name) => picture.view[name] === view[name]);
    const begun = picture && plane.row < picture.view.resolution;
    if (!same || (!begun && picture.step !== training.step)) plane.begin(view);
    else if (!begun) return null;
    return plane.paint(performance.now() + (running ? PAINT : PAINT + TRAIN)) ? plane.picture : null;
  };

  const frame = ({ id, steps, view }) => {
    if (id !== run) return;
    let unreadable = false; // weights so large that there is nothing to show; training says itself when it diverges
    const shown = (make) => {
      try {
        return make();
      } catch (error) {
        if (!(error instanceof NotFinite)) throw error;
        unreadable = true;
        return null;
      }
    };
    const deadline = performance.now() + TRAIN;
    for (let left = steps; left > 0 && !training.finished && performance.now() < deadline; left -= 1) training.advance();
    const records = training.records.slice(sent);
    sent = training.records.length;
    const running = steps > 0 && !training.finished;
    const now = shown(() => readLive(running));
    const features = shown(() => (view.features ? featurePlane(training, view.layer, axes) : null));
    axes = features?.axes ?? axes;
    const picture = shown(() => paintPlane(view, running));
    const { step, finished, failure } = training;
    port.postMessage({ type: "frame", id, step, finished, failure, records, live: now, features, picture, unreadable });
  };

  const save = ({ id }) => {
    if (id !== run) return;
    const { settings, step, network, losses } = training;
    const { weights, biases, widths } = network;
    port.postMessage({ type: "saved", id, settings, step, widths, weights, biases, losses: Float64Array.from(losses) });
  };

  const answers = { start, frame, save };
  port.onmessage = ({ data }) => {
    try {
      answers[data.type](data);
    } catch (error) {
      port.postMessage({ type: "error", id: data.id, message: String(error?.message ?? error) });
    }
  };
  port.postMessage({ type: "ready" });
}

/** The first of the targets, 0 to 1 over the training set: the colour of a point that has no class. */
function shades({ targets, n, outputs }) {
  const first = Float32Array.from({ length: n }, (_, i) => targets[i * outputs]);
  const [low, high] = [Math.min(...first), Math.max(...first)];
  return first.map((value) => (value - low) / (high - low || 1));
}

if (typeof WorkerGlobalScope !== "undefined" && self instanceof WorkerGlobalScope) serve(self);
