// What a lazy figure's page needs besides page.js: the figure is decoded and drawn when it comes near the window.

/** Wait until a lazy figure's place is near the window. Printing cannot wait for a drawing: the still stands in. */
function near(mount, signal) {
  if (typeof IntersectionObserver === "undefined") return Promise.resolve();
  return new Promise((resolve) => {
    const seen = (entries) => entries.some(({ isIntersecting }) => isIntersecting) && resolve();
    const observer = new IntersectionObserver(seen, { rootMargin: "600px" });
    const print = () => {
      mount.querySelector(".lr-waiting").hidden = true;
      mount.querySelector(".lr-still").hidden = false;
      resolve();
    };
    observer.observe(mount);
    addEventListener("beforeprint", print, { signal });
    signal.addEventListener("abort", () => observer.disconnect());
  });
}

/** A lazy figure is drawn: take away what stood in its place, and give the focus that it had to the first control. */
function arrive(mount) {
  const waiting = mount.querySelector(".lr-waiting");
  const controls = Array.from(mount.querySelectorAll("select, input, button"));
  if (document.activeElement === waiting) controls.find((control) => control.getClientRects().length)?.focus();
  mount.querySelector(".lr-still").hidden = true;
  waiting.remove();
}
