// The way to the engine: in a worker, so that the page never waits for it.

/**
 * Start the engine, whose source is ENGINE: in a worker or, where a page may not have one, in the page itself, which
 * then waits for it a little in every frame. Returns { post, close }; `hear(message)` is called with each answer.
 */
async function openEngine(hear) {
  const addressOfText = (text) => URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const listen = (port, close) => {
    port.onmessage = ({ data }) => hear(data);
    return { post: (message) => port.postMessage(message), close };
  };
  const source = addressOfText(ENGINE);
  let worker = null;
  try {
    worker = new Worker(source); // no module: a page opened as a file may not have such a worker
    await new Promise((resolve, reject) => {
      worker.onmessage = resolve; // its first message says that it is there
      worker.onerror = reject;
    });
    worker.onerror = ({ message }) => hear({ type: "error", message });
    return listen(worker, () => worker.terminate());
  } catch {
    worker?.terminate();
    const { serve } = await import(addressOfText(`${ENGINE}export { serve };`));
    const { port1, port2 } = new MessageChannel();
    serve(port2);
    return listen(port1, () => port1.close());
  } finally {
    URL.revokeObjectURL(source);
  }
}
