// Click a column's head to sort by it; a second click turns the order round. Rows of class "mean" stay at the end.
for (const table of document.querySelectorAll("table")) {
  const heads = [...table.querySelectorAll("thead tr:last-child th")];
  const body = table.tBodies[0];
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const rows = [...body.rows].filter((row) => !row.classList.contains("mean"));
      const last = [...body.rows].filter((row) => row.classList.contains("mean"));
      const key = (row) => row.cells[column].dataset.value ?? row.cells[column].textContent;
      rows.sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === "" || y === "") return (x === "") - (y === "");
        const order = Number.isNaN(+x) || Number.isNaN(+y) ? x.localeCompare(y) : x - y;
        return down ? -order : order;
      });
      body.append(...rows, ...last);
    });
  });
}
