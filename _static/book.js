// Boxes that scroll sideways can be reached and moved by keyboard, and say what they are; boxes that do not, stay out of the way.
(() => {
  const kinds = [
    [".bd-content .pst-scrollable-table-container", "Table, scrolls sideways"],
    [".bd-content .cell_output .output", "Output, scrolls sideways"],
    [".bd-content pre", "Code, scrolls sideways"],
    [".bd-content mjx-container[display='true']", "Equation, scrolls sideways"],
  ];
  const update = (box, name) => {
    if (box.scrollWidth > box.clientWidth + 1 || box.scrollHeight > box.clientHeight + 1) {
      box.tabIndex = 0;
      box.dataset.scrolls = "";
      box.setAttribute("role", "group"); // no landmark: a page may have dozens
      box.setAttribute("aria-label", name);
    } else if ("scrolls" in box.dataset) {
      ["tabindex", "data-scrolls", "role", "aria-label"].forEach((attribute) => box.removeAttribute(attribute));
    }
  };
  const names = new Map();
  const watcher = new ResizeObserver((entries) => entries.forEach(({ target }) => update(target, names.get(target))));
  const watch = () =>
    kinds.forEach(([selector, name]) =>
      document.querySelectorAll(selector).forEach((box) => {
        if (names.has(box)) return;
        names.set(box, name);
        watcher.observe(box);
      }),
    );
  // numbers, dates and intervals stay on one line; sentences wrap
  const keepShort = () =>
    document.querySelectorAll(".bd-content table td").forEach((cell) => {
      cell.classList.toggle("short", cell.textContent.trim().length <= 18);
    });
  document.addEventListener("DOMContentLoaded", keepShort);
  document.addEventListener("DOMContentLoaded", watch);
  window.addEventListener("load", () => (window.MathJax?.startup?.promise ?? Promise.resolve()).then(watch));
})();
