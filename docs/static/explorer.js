// The explorer: dials choose among stored clips, and all that are shown play in step.
const SVG = "http://www.w3.org/2000/svg";

const element = (name, attributes, text = "") => {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
};

// A motion field: signed bytes, frame by frame after the first, across and down; null where nothing is known.
const decode = (clip, data) => {
  const bytes = Int8Array.from(atob(clip.field), (c) => c.charCodeAt(0));
  const [height, width] = clip.grid;
  const at = (frame, part, x, y) => bytes[((2 * (frame - 1) + part) * height + y) * width + x];
  return (frame, x, y) => {
    if (frame === 0) return [0, 0];
    const moved = [at(frame, 0, x, y), at(frame, 1, x, y)];
    return moved.includes(data.unknown) ? null : moved.map((v) => v / data.units);
  };
};

const rounded = (value) => Number(value.toFixed(2));

const inWords = (moved) => {
  if (moved === null) return "not known";
  const part = (value, less, more) => {
    const size = Math.round(Math.abs(value));
    return size ? `${size} px ${value < 0 ? less : more}` : "";
  };
  return [part(moved[0], "left", "right"), part(moved[1], "up", "down")].filter(Boolean).join(", ") || "at rest";
};

const explore = (root, data) => {
  const find = (name) => root.querySelector(`#explorer-${name}`);
  const panels = [...root.querySelectorAll(".panel")].map((panel) => ({
    name: panel.dataset.panel,
    title: panel.querySelector("strong").textContent,
    screen: panel.querySelector(".screen"),
    image: panel.querySelector("img"),
    arrows: panel.querySelector("svg"),
    how: panel.querySelector(".how"),
  }));
  const last = data.frames - 1;
  const still = matchMedia("(prefers-reduced-motion: reduce)");
  const state = { caption: 0, frame: 0, held: 0, playing: false, place: [0, 0], turned: null };
  const dials = { rho: find("rho"), motion: find("motion"), steps: find("steps") };
  let stops = {};
  let fields = new Map();

  const clipName = (variant) => `${String(state.caption).padStart(2, "0")}-${variant}.webp`;
  const clipOf = (variant) => data.clips[clipName(variant)];
  const stop = (name) => stops[name][Number(dials[name].value)];

  // Which clip each panel shows. A dial has its own slice: the others are at their defaults there.
  const variantOf = (panel) => {
    if (panel === "ours") return state.turned ? stop(state.turned).variant : "ours";
    return panel === "reuse" ? stop("steps").variant : panel;
  };
  const settingsOf = (panel, clip) => {
    if (panel === "real") return "";
    const settings = [`ρ ${clip.rho}`, `m ${rounded(clip.motion)}`];
    if (panel === "reuse") settings.push(stop("steps").value === null ? "t* full" : `t* ${stop("steps").value}`);
    return settings.join(", ");
  };

  // The stops of a caption; what was turned stays where it is, if this caption has that stop.
  const setStops = () => {
    const turned = state.turned;
    const kept = turned ? stop(turned).value : null;
    const own = data.captions[state.caption].motion;
    const motions = data.motions.filter((s) => s.value !== own);
    motions.push({ value: own, variant: "ours" });
    motions.sort((a, b) => a.value - b.value);
    stops = { rho: data.rhos, motion: motions, steps: data.switchSteps };
    for (const [name, dial] of Object.entries(dials)) dial.max = stops[name].length - 1;
    for (const name of ["rho", "motion"]) setDefault(name);
    if (turned) {
      dials[turned].value = stops[turned].findIndex((s) => s.value === kept);
      state.turned = stop(turned).variant === "ours" ? null : turned;
    }
  };
  const setDefault = (name) => {
    dials[name].value = stops[name].findIndex((s) => s.variant === "ours");
  };
  const nearest = (list, value) => {
    const away = list.map((s) => Math.abs((s.value ?? Infinity) - value));
    return away.indexOf(Math.min(...away));
  };

  const sayDials = () => {
    // ρ and m share a panel, so that one rests while the other is turned. t* has a panel of its own and never rests:
    // it has no entry here.
    const others = { rho: "motion", motion: "rho" };
    const words = {
      rho: `${stop("rho").value}`,
      motion: `${rounded(stop("motion").value)}${stop("motion").variant === "ours" ? ", from the caption" : ""}`,
      steps: "full: nothing is reused",
    };
    const chosen = stop("steps");
    if (chosen.value !== null) {
      words.steps = `${chosen.value}: ideal speed-up ${clipOf(chosen.variant).speedup.toFixed(2)}`;
    }
    for (const [name, dial] of Object.entries(dials)) {
      dial.setAttribute("aria-valuetext", words[name]);
      const rests = others[name] && state.turned === others[name];
      find(`${name}-shown`).textContent = words[name] + (rests ? " (at rest: one dial at a time)" : "");
    }
  };

  const showClips = () => {
    const caption = data.captions[state.caption].text;
    for (const panel of panels) {
      const variant = variantOf(panel.name);
      const clip = clipOf(variant);
      panel.image.src = `${data.files}/${clipName(variant)}`;
      panel.how.textContent = settingsOf(panel.name, clip);
      panel.image.alt = [panel.title, panel.how.textContent, caption].filter(Boolean).join(": ");
      panel.clip = clip;
      if (!fields.has(clip)) fields.set(clip, decode(clip, data));
    }
    sayDials();
    drawCurves();
    showFrame();
  };

  const showFrame = () => {
    for (const panel of panels) {
      panel.screen.dataset.frame = state.frame;
      panel.screen.style.setProperty("--frame", state.frame);
    }
    find("frame").value = state.frame + 1;
    find("frame-shown").textContent = `${state.frame + 1} of ${data.frames}`;
    drawArrows();
  };

  // Arrows from where things were in the first frame to where they are now.
  const drawArrows = () => {
    const lines = [];
    for (const panel of panels) {
      const [height, width] = panel.clip.grid;
      const cell = data.size / width;
      const field = fields.get(panel.clip);
      const [x, y] = [Math.min(state.place[0], width - 1), Math.min(state.place[1], height - 1)];
      const marks = [];
      const arrow = (i, j, kind) => {
        const moved = field(state.frame, i, j);
        const [cx, cy] = [(i + 0.5) * cell, (j + 0.5) * cell];
        if (moved === null) return;
        const length = Math.hypot(...moved);
        if (length < 0.75) return;
        const tip = Math.min(0.04 * data.size, 0.6 * length);
        const [dx, dy] = moved.map((v) => (v / length) * tip);
        const sides = [1, -1].map((s) => `M${cx} ${cy}L${cx - dx + 0.6 * s * dy} ${cy - dy - 0.6 * s * dx}`);
        const path = `M${cx - moved[0]} ${cy - moved[1]}L${cx} ${cy}${sides.join("")}`;
        for (const layer of ["edge", "line"]) marks.push(element("path", { d: path, class: `${kind} ${layer}` }));
      };
      if (find("all").checked) {
        for (let j = 0; j < height; j++) for (let i = 0; i < width; i++) arrow(i, j, "faint");
      }
      const box = { x: x * cell, y: y * cell, width: cell, height: cell };
      for (const layer of ["edge", "line"]) marks.push(element("rect", { ...box, class: layer }));
      arrow(x, y, "here");
      panel.arrows.replaceChildren(...marks);
      lines.push(`${panel.title}: ${state.frame ? inWords(field(state.frame, x, y)) : "the first frame"}`);
    }
    const list = find("here");
    lines.forEach((line, i) => {
      list.children[i] ?? list.append(document.createElement("li"));
      list.children[i].textContent = line;
    });
  };

  const setPlace = (x, y) => {
    const [height, width] = panels[0].clip.grid;
    state.place = [Math.max(0, Math.min(width - 1, x)), Math.max(0, Math.min(height - 1, y))];
    find("across").value = state.place[0] + 1;
    find("down").value = state.place[1] + 1;
    drawArrows();
  };
  const pointAt = (event) => {
    const bounds = event.currentTarget.getBoundingClientRect();
    const [height, width] = panels[0].clip.grid;
    const x = Math.floor(((event.clientX - bounds.left) / bounds.width) * width);
    const y = Math.floor(((event.clientY - bounds.top) / bounds.height) * height);
    setPlace(x, y);
  };
  const placeThatMoves = () => {
    const [height, width] = panels[0].clip.grid;
    const field = fields.get(panels[0].clip);
    let best = [Math.floor(width / 2), Math.floor(height / 2), 0];
    for (let y = 0; y < height; y++) {
      for (let x = 0; x < width; x++) {
        const size = Math.hypot(...(field(last, x, y) ?? [0, 0]));
        if (size > best[2] + 0.5) best = [x, y, size];
      }
    }
    setPlace(best[0], best[1]);
  };

  // NMI over the timesteps, from noise on the left to the clean clip on the right.
  const drawCurves = () => {
    const chart = find("nmi");
    const [left, right, top, bottom] = [36, 392, 10, 186];
    const begin = data.timesteps[0];
    const shown = panels.flatMap((panel) => panel.clip.nmi.filter((v) => v !== null));
    const low = Math.floor(Math.min(...shown) * 10) / 10;
    const high = Math.max(low + 0.1, Math.ceil(Math.max(...shown) * 10) / 10);
    const x = (t) => left + (1 - t / begin) * (right - left);
    const y = (v) => bottom - ((v - low) / (high - low)) * (bottom - top);
    const marks = [];
    for (const v of [low, (low + high) / 2, high]) {
      marks.push(element("line", { x1: left, x2: right, y1: y(v), y2: y(v), class: "grid" }));
      marks.push(element("text", { x: left - 5, y: y(v) + 4, "text-anchor": "end" }, v.toFixed(2)));
    }
    for (const t of [1000, 800, 600, 400, 200, 0].filter((t) => t <= begin + 1)) {
      marks.push(element("text", { x: x(t), y: bottom + 16, "text-anchor": t ? "middle" : "end" }, t));
    }
    marks.push(element("text", { x: (left + right) / 2, y: bottom + 31, "text-anchor": "middle" }, "timestep t"));
    for (const panel of panels) {
      const points = panel.clip.nmi.map((v, i) => (v === null ? "" : `${x(data.timesteps[i])},${y(v)}`));
      marks.push(element("polyline", { points: points.filter(Boolean).join(" "), class: `curve ${panel.name}` }));
    }
    const ours = panels.find((panel) => panel.name === "ours").clip;
    const step = stop("steps").value;
    const words = [];
    if (step !== null) {
      const value = ours.nmi[data.timesteps.indexOf(step)];
      marks.push(element("line", { x1: x(step), x2: x(step), y1: top, y2: bottom, class: "marker" }));
      const side = step < begin / 4 ? ["end", -4] : ["start", 4];
      marks.push(element("text", { x: x(step) + side[1], y: bottom - 6, "text-anchor": side[0], class: "strong" }, `t* ${step}`));
      if (value !== null) marks.push(element("circle", { cx: x(step), cy: y(value), r: 4, class: "dot" }));
      words.push(value === null ? `t* = ${step}.` : `At t* = ${step} the NMI of paper A's clip is ${value.toFixed(2)}.`);
    }
    const hint = x(ours.suggested);
    marks.push(element("path", { d: `M${hint} ${bottom - 2}l-5 9h10z`, class: "suggested" }));
    words.push(`Suggested for it: ${ours.suggested}.`);
    chart.replaceChildren(...marks);
    chart.setAttribute("aria-label", `NMI over timesteps ${begin} to 0, between ${low} and ${high}. ${words.join(" ")}`);
    find("nmi-shown").textContent = words.join(" ");
  };

  const play = (playing) => {
    state.playing = playing;
    find("play").textContent = playing ? "Pause" : "Play";
  };
  const tick = () => {
    if (!state.playing) return;
    if (state.frame === last && ++state.held < data.hold) return;
    state.held = 0;
    state.frame = (state.frame + 1) % data.frames;
    showFrame();
  };

  find("caption").addEventListener("change", (event) => {
    state.caption = Number(event.target.value);
    setStops();
    showClips();
    placeThatMoves();
  });
  for (const name of ["rho", "motion"]) {
    dials[name].addEventListener("input", () => {
      state.turned = stop(name).variant === "ours" ? null : name;
      setDefault(name === "rho" ? "motion" : "rho");
      showClips();
    });
  }
  dials.steps.addEventListener("input", showClips);
  find("frame").addEventListener("input", (event) => {
    play(false);
    state.frame = Number(event.target.value) - 1;
    showFrame();
  });
  find("play").addEventListener("click", () => play(!state.playing));
  find("all").addEventListener("change", drawArrows);
  for (const name of ["across", "down"]) {
    find(name).addEventListener("input", () => setPlace(Number(find("across").value) - 1, Number(find("down").value) - 1));
  }
  for (const panel of panels) {
    panel.screen.addEventListener("pointermove", pointAt);
    panel.screen.addEventListener("pointerdown", pointAt);
  }
  still.addEventListener("change", () => still.matches && play(false));

  setStops();
  dials.steps.value = nearest(data.switchSteps, 200);
  state.frame = still.matches ? last : 0;
  showClips();
  const [height, width] = panels[0].clip.grid;
  find("across").max = width;
  find("down").max = height;
  placeThatMoves();
  play(!still.matches);
  setInterval(tick, 1000 / data.fps);
};

explore(document.querySelector(".explorer"), window.explorerData);
