// Filters for the ledger's table. Without JavaScript the table stands there whole.
const filterLedger = (ledger) => {
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
};

// Names for those who hear the page: what a control shows, where the theme says something else or nothing.
const nameControls = () => {
  for (const control of document.querySelectorAll("details.hide > summary, .search-button-field")) {
    control.removeAttribute("aria-label");
  }
  for (const summary of document.querySelectorAll("nav .has-children > details > summary")) {
    const part = summary.closest("li").querySelector("a").textContent;
    summary.setAttribute("aria-label", `pages of ${part}`);
  }
};

// The moving pictures of the front page can be stopped; who wants less motion starts with still ones.
const addPause = (moving) => {
  const images = [...moving.querySelectorAll("img")];
  const addresses = images.map((image) => image.getAttribute("src"));
  const button = document.createElement("button");
  button.type = "button";
  for (const source of moving.querySelectorAll("source")) source.remove();
  const play = (playing) => {
    images.forEach((image, i) => (image.src = playing ? addresses[i] : image.dataset.still));
    button.textContent = playing ? "Pause" : "Play";
  };
  button.addEventListener("click", () => play(button.textContent === "Play"));
  moving.append(button);
  play(!matchMedia("(prefers-reduced-motion: reduce)").matches);
};

document.addEventListener("DOMContentLoaded", () => {
  nameControls();
  const ledger = document.getElementById("ledger");
  if (ledger) filterLedger(ledger);
  for (const moving of document.querySelectorAll(".moving")) addPause(moving);
});
