(() => {
  "use strict";
  const table = document.getElementById("runs");
  if (!table) return;
  const body = table.tBodies[0], rows = [...body.rows];
  const find = document.getElementById("find"), bad = document.getElementById("bad"), shown = document.getElementById("shown");
  const filter = () => {
    const words = find.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const text = row.textContent.toLowerCase();
      const keep = words.every(word => text.includes(word)) && !(bad.checked && row.dataset.tone === "good");
      row.hidden = !keep;
      count += keep;
    }
    shown.textContent = count === rows.length ? "" : `${count} of ${rows.length} runs`;
  };
  find.addEventListener("input", filter);
  bad.addEventListener("change", filter);
  // A click on a heading sorts, a second one the other way round; verdicts from bad to good.
  const tones = ["bad", "warn", "none", "good"];
  const key = (row, column) => {
    const cell = row.cells[column];
    if (column === 0) return tones.indexOf(row.dataset.tone);
    return cell.dataset.sort === undefined ? cell.textContent.trim().toLowerCase() : Number(cell.dataset.sort);
  };
  [...table.tHead.rows[0].cells].forEach((head, column) => {
    if (!["verdict", "scenario", "duration"].includes(head.textContent)) return;
    const button = document.createElement("button");
    button.type = "button";
    button.className = "sort";
    button.textContent = head.textContent;
    head.replaceChildren(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") === "ascending";
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = (a, b) => { const [x, y] = [key(a, column), key(b, column)]; return x < y ? -1 : x > y ? 1 : 0; };
      body.append(...[...rows].sort((a, b) => down ? order(b, a) : order(a, b)));
    });
  });
  document.documentElement.classList.add("js");
})();
