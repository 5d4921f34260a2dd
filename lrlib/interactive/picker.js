// A choice from a list: RegionMap and TrainingExplorer have some.

/** A labelled select. Keys are handled here, because JupyterLab cancels a select's own arrow keys. */
function picker({ control, caption, move, signal }) {
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
  };
  return { node, show };
}
