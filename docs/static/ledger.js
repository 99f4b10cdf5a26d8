// Filters for the ledger's table. Without JavaScript the table stands there whole.
document.addEventListener("DOMContentLoaded", () => {
  const ledger = document.getElementById("ledger");
  if (!ledger) return;
  const rows = [...ledger.querySelectorAll("tbody tr")];
  const text = (row, name) => row.querySelector(`td.${name}`).textContent;
  const papers = { A: "paper A", B: "paper B", X: "our own questions" };
  const filters = {
    paper: (row) => papers[text(row, "claim")[0]],
    verdict: (row) => text(row, "verdict"),
    place: (row) => text(row, "place"),
  };
  const bar = document.createElement("div");
  bar.className = "filters";
  const count = document.createElement("output");
  const chosen = {};

  const show = () => {
    for (const row of rows) {
      row.hidden = Object.entries(chosen).some(([name, select]) => select.value && select.value !== filters[name](row));
    }
    count.textContent = `${rows.filter((row) => !row.hidden).length} of ${rows.length} claims`;
  };
  for (const [name, value] of Object.entries(filters)) {
    const select = document.createElement("select");
    select.add(new Option("all", ""));
    for (const choice of [...new Set(rows.map(value))].sort()) select.add(new Option(choice, choice));
    select.addEventListener("change", show);
    const label = document.createElement("label");
    label.append(name, select);
    bar.append(label);
    chosen[name] = select;
  }
  bar.append(count);
  ledger.prepend(bar);
  show();
});
