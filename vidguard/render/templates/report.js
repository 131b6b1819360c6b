"use strict";
(() => {
  const view = JSON.parse(document.getElementById("view-data").textContent);
  const reportText = document.getElementById("report-data").textContent;
  const span = view.end - view.start;

  document.getElementById("download").addEventListener("click", () => {
    const address = URL.createObjectURL(new Blob([reportText], { type: "application/json" }));
    const link = Object.assign(document.createElement("a"), { href: address, download: "report.json" });
    link.click();
    setTimeout(() => URL.revokeObjectURL(address), 1000);
  });

  const lanes = document.getElementById("lanes");
  if (!lanes) return;
  const cursor = document.getElementById("cursor");
  const tooltip = document.getElementById("tooltip");
  const moment = document.getElementById("moment");
  const plots = [...lanes.querySelectorAll(".plot")];
  for (const tick of lanes.querySelectorAll(".tick")) tick.style.left = tick.dataset.x + "%";

  const clock = (seconds) => {
    const tenths = Math.round(Math.abs(seconds) * 10);
    const h = Math.floor(tenths / 36000), m = Math.floor(tenths / 600) % 60, s = Math.floor(tenths / 10) % 60;
    const two = (n) => String(n).padStart(2, "0");
    return (seconds < 0 && tenths ? "-" : "") + (h ? h + ":" + two(m) : m) + ":" + two(s) + "." + (tenths % 10);
  };
  const percent = (p) => (p === null ? "–" : p < 0.01 ? "<1%" : p > 0.99 ? ">99%" : Math.round(p * 100) + "%");
  const nearest = (rows, time) => {
    let best = null;
    for (const row of rows) if (!best || Math.abs(row[0] - time) < Math.abs(best[0] - time)) best = row;
    return best;
  };
  const segmentAt = (face, time) => face.segments.findIndex(([start, end]) => start <= time && time < end);
  const nearestSegment = (face, time) => {
    const inside = segmentAt(face, time);
    if (inside >= 0) return inside;
    let best = 0, distance = Infinity;
    face.segments.forEach(([start, end], i) => {
      const d = Math.min(Math.abs(start - time), Math.abs(end - time));
      if (d < distance) [best, distance] = [i, d];
    });
    return best;
  };
  const timeAt = (plot, event) => {
    const box = plot.getBoundingClientRect();
    return view.start + Math.min(Math.max((event.clientX - box.left) / box.width, 0), 1) * span;
  };
  const element = (tag, text, className) => {
    const node = document.createElement(tag);
    if (text !== undefined) node.textContent = text;
    if (className) node.className = className;
    return node;
  };

  let selected = null;

  const placeCursor = (time) => {
    const box = plots[0].getBoundingClientRect();
    cursor.style.left = box.left - lanes.getBoundingClientRect().left + ((time - view.start) / span) * box.width - 1 + "px";
    cursor.hidden = false;
  };

  const stepButton = (label, faceIndex, index) => {
    const button = element("button", label, "button");
    button.type = "button";
    const target = view.faces[faceIndex].segments[index];
    button.disabled = !target;
    button.addEventListener("click", () => select(faceIndex, middle(target)));
    return button;
  };
  const middle = ([start, end]) => (start + end) / 2;

  const select = (faceIndex, time, { remember = true } = {}) => {
    const face = view.faces[faceIndex];
    const index = nearestSegment(face, time);
    const [start, end, prob, frames, facePx] = face.segments[index];
    time = Math.min(Math.max(time, start), end - 1e-3);
    selected = { faceIndex, index, time };
    placeCursor(time);
    const picture = nearest(face.pictures, time);
    const frame = nearest(face.curve.filter(([t]) => start <= t && t < end), time);

    const image = picture ? element("img") : element("span", undefined, "no-picture");
    if (picture) {
      image.src = "data:image/jpeg;base64," + picture[1];
      image.alt = "Face " + face.id + " at " + clock(picture[0]);
    }
    const facts = element("dl");
    const fact = (name, value) => facts.append(element("dt", name), element("dd", value));
    fact("Segment", clock(start) + " – " + clock(end) + ", " + frames + (frames === 1 ? " frame judged" : " frames judged"));
    if (frame) fact("Frame at " + clock(frame[0]), percent(frame[1]));
    if (facePx !== null) fact("Face size", Math.round(facePx) + " px");
    if (picture) fact("Picture from", clock(picture[0]) + (start <= picture[0] && picture[0] < end ? "" : " (the nearest there is)"));
    const buttons = element("div", undefined, "buttons");
    buttons.append(stepButton("← Previous", faceIndex, index - 1), stepButton("Next →", faceIndex, index + 1));
    const middleBox = element("div");
    middleBox.append(element("h3", "Face " + face.id + " at " + clock(time)), facts, buttons);
    const score = element("div", undefined, "score");
    score.append(element("strong", percent(prob)), element("span", prob === null ? "not judged here" : "P(fake) of this segment"));
    moment.replaceChildren(image, middleBox, score);

    const plot = plots[faceIndex];
    plot.setAttribute("aria-valuenow", index + 1);
    plot.setAttribute("aria-valuetext", clock(start) + " to " + clock(end) + ", probability " + (prob === null ? "not judged" : percent(prob)));
    if (remember) history.replaceState(null, "", "#face=" + face.id + "&t=" + time.toFixed(3));
  };

  plots.forEach((plot, faceIndex) => {
    const face = view.faces[faceIndex];
    plot.addEventListener("click", (event) => select(faceIndex, timeAt(plot, event)));
    plot.addEventListener("pointermove", (event) => {
      const time = timeAt(plot, event), index = segmentAt(face, time);
      let text = "Face " + face.id + " · " + clock(time) + "\n";
      if (index < 0) text += "not visible";
      else {
        const [start, end, prob] = face.segments[index];
        const frame = nearest(face.curve.filter(([t]) => start <= t && t < end), time);
        text += prob === null ? "not judged" : "segment " + percent(prob) + (frame ? " · frame " + percent(frame[1]) : "");
      }
      tooltip.textContent = text;
      tooltip.hidden = false;
      const left = Math.min(event.clientX + 14, innerWidth - tooltip.offsetWidth - 8);
      tooltip.style.left = left + "px";
      tooltip.style.top = event.clientY + 16 + "px";
    });
    plot.addEventListener("pointerleave", () => { tooltip.hidden = true; });
    plot.addEventListener("keydown", (event) => {
      const here = selected && selected.faceIndex === faceIndex ? selected.index : -1;
      const last = face.segments.length - 1;
      const to = { ArrowRight: here + 1, ArrowLeft: here - 1, Home: 0, End: last, Enter: here, " ": here }[event.key];
      if (to !== undefined) select(faceIndex, middle(face.segments[Math.min(Math.max(to, 0), last)]));
      else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
        const next = plots[faceIndex + (event.key === "ArrowDown" ? 1 : -1)];
        if (next) next.focus();
      } else return;
      event.preventDefault();
    });
  });

  const fromAddress = () => {
    const match = /^#face=(\d+)&t=(-?[\d.]+)$/.exec(location.hash);
    const faceIndex = match ? view.faces.findIndex((face) => face.id === Number(match[1])) : -1;
    if (faceIndex >= 0) select(faceIndex, Number(match[2]));
    return faceIndex >= 0;
  };
  addEventListener("hashchange", () => {
    if (fromAddress()) lanes.scrollIntoView({ block: "center", behavior: "smooth" });
  });
  addEventListener("resize", () => { if (selected) placeCursor(selected.time); });

  if (!fromAddress()) {
    // Open on the most suspicious judged moment, so that the page is never empty.
    let best = [-1, 0, 0];
    view.faces.forEach((face, i) => face.segments.forEach((segment) => {
      const p = segment[2] === null ? 0 : segment[2];
      if (p > best[0]) best = [p, i, middle(segment)];
    }));
    select(best[1], best[2], { remember: false });
  }
})();
